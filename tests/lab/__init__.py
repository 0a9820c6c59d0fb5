"""Tests that need root, real faults or a bare machine; `.ci/run` runs them, `make test` never does."""
