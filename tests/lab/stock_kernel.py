"""A stock Debian kernel as a file, got by apt and unpacked into a cache folder; nothing of it is installed."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

TIMEOUT_S = 300


def cache() -> Path:
    """Where downloads and images of the lab stay between runs: HFTCTL_LAB_CACHE, else below ~/.cache."""
    folder = Path(os.environ.get("HFTCTL_LAB_CACHE") or Path.home() / ".cache/hftctl-lab")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def said(*words: str, cwd: Path | None = None) -> str:
    return subprocess.run(words, cwd=cwd, capture_output=True, text=True, check=True, timeout=TIMEOUT_S).stdout


def vmlinuz(meta: str = "linux-image-cloud-amd64") -> Path:
    """The newest kernel that this name stands for; its configuration lies beside it, as in /boot."""
    depends = said("apt-cache", "depends", meta)
    found = re.search(r"Depends: (linux-image-\d\S+)", depends)
    if found is None:
        pytest.skip(f"apt knows no kernel by the name {meta}: apt-get update")
    folder = cache() / found[1]
    images = sorted(folder.glob("boot/vmlinuz-*"))
    if not images:
        folder.mkdir(exist_ok=True)
        try:
            said("apt-get", "-q", "download", found[1], cwd=folder)
        except subprocess.CalledProcessError:  # a list of packages that is older than the archive
            said("apt-get", "-q", "update")
            said("apt-get", "-q", "download", found[1], cwd=folder)
        (package,) = folder.glob("*.deb")
        said("dpkg-deb", "-x", str(package), str(folder))
        package.unlink()
        images = sorted(folder.glob("boot/vmlinuz-*"))
    return images[-1]
