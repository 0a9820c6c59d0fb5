"""Docker's programs, unpacked from Debian's packages of the release after this one: nothing is installed, nothing is replaced."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

CACHE = Path(os.environ.get("HFTCTL_LAB_CACHE", "/var/cache/hftctl-lab"))
SUITE = "trixie"
PACKAGES = (
    "docker.io",
    "docker-cli",
    "docker-buildx",
    "docker-compose",
    "containerd",
)  # runc of this release: that one wants a newer libc
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


def mirror() -> str:
    """Where this machine gets Debian from."""
    places = [Path("/etc/apt/sources.list"), *sorted(Path("/etc/apt/sources.list.d").glob("*"))]
    for path in places:
        lines = path.read_text().splitlines() if path.is_file() else []
        for line in lines:
            if not line.startswith("#") and (found := re.search(r"https?://\S+/debian(?=[/\s]|$)", line)):
                return found[0]
    raise FileNotFoundError("no Debian mirror in /etc/apt/sources.list*")


def unpacked(packages: Sequence[str] = PACKAGES) -> Path:
    """The folder with usr/sbin/dockerd and all it needs, or with the files of other packages."""
    key = hashlib.sha256("\n".join((SUITE, *packages)).encode()).hexdigest()[:12]
    folder = CACHE / f"programs-{key}"
    if folder.exists():
        return folder
    part = folder.with_suffix(".part")
    shutil.rmtree(part, ignore_errors=True)
    for name in ("lists/partial", "archives/partial", "debs"):
        (part / name).mkdir(parents=True)
    sources = part / "sources.list"
    sources.write_text(f"deb [signed-by={KEYRING}] {mirror()} {SUITE} main\n")
    options = [
        "-o", f"Dir::Etc::sourcelist={sources}", "-o", "Dir::Etc::sourceparts=-", "-o", f"Dir::State::lists={part}/lists",
        "-o", f"Dir::Cache::archives={part}/archives", "-o", "APT::Sandbox::User=root", "-o", f"Dir::Cache::pkgcache={part}/pkgcache",
        "-o", f"Dir::Cache::srcpkgcache={part}/srcpkgcache", "-o", "Dir::State::status=/dev/null", "-o", "APT::Update::Error-Mode=any",
    ]  # fmt: skip
    subprocess.run(["apt-get", "-q", *options, "update"], check=True, stdout=subprocess.DEVNULL)
    subprocess.run(
        ["apt-get", "-q", *options, "download", *packages], check=True, cwd=part / "debs", stdout=subprocess.DEVNULL
    )
    for deb in sorted((part / "debs").glob("*.deb")):
        subprocess.run(["dpkg", "-x", deb, part], check=True)
    for name in ("lists", "archives", "debs"):
        shutil.rmtree(part / name)
    part.rename(folder)
    return folder
