"""What `make` says to somebody whose machine lacks Python or its venv. Only `setup` is made here, in a folder of its own."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copy(ROOT / "Makefile", tmp_path)
    for name in ("pyproject.toml", "setup.py"):
        (tmp_path / name).touch()
    return tmp_path


def make_setup(folder: Path, python: str, *, body: str = "") -> subprocess.CompletedProcess[str]:
    if body:
        (folder / python).write_text(f"#!/bin/sh\n{body}\n")
        (folder / python).chmod(0o755)
        python = f"./{python}"
    words = ["make", "setup", f"PYTHON={python}"]
    return subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)


def test_a_python_that_is_not_there_is_named(folder: Path) -> None:
    done = make_setup(folder, "python9")
    assert done.returncode != 0
    assert done.stderr.startswith("there is no 'python9' on the PATH; install Python 3.11 or newer")


def test_an_old_python_is_named_with_its_version(folder: Path) -> None:
    done = make_setup(folder, "old", body='case "$1" in --version) echo Python 3.9.2;; *) exit 1;; esac')
    assert done.stderr.startswith("hftctl needs Python 3.11 or newer, and this is Python 3.9.2;")


def test_a_python_without_venv_leaves_nothing_that_the_next_make_would_trust(folder: Path) -> None:
    body = 'case "$2" in venv) mkdir -p .venv/bin; ln -s /bin/true .venv/bin/python; echo no ensurepip; exit 1;; esac'
    for _ in range(2):
        done = make_setup(folder, "bare", body=body)
        assert "apt install python3-venv" in done.stderr
        assert not (folder / ".venv").exists()
