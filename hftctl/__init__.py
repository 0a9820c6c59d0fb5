"""hftctl: build, tune, deploy and operate a low-latency trading stack."""

__version__ = "0.1.0"
