"""What this process is called among those that share a folder with it."""

from __future__ import annotations

import os
import platform

_HOST = platform.node().replace("_", "-")


def process_name() -> str:
    """In containers that share a folder every service is process 1, so the host's name stands too."""
    return f"{_HOST}.{os.getpid()}"
