"""What is installed: all that runs needs, and nothing that only we need."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("hftctl", "stack", "engine", "profiles")
DATA = ("*.yaml", "*.json", "*.sql", "*.pyi", "*.pyx", "*.pxd", "*.h")


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Names in a wheel made without a compiler, from a copy: leftovers of earlier builds must not get in."""
    source = tmp_path_factory.mktemp("source")
    for name in (*PACKAGES, "tests", "benchmarks"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__", "*.so", "*.c"))
    for name in ("pyproject.toml", "setup.py", "README.md"):
        shutil.copy(ROOT / name, source)
    done = subprocess.run(
        [sys.executable, "setup.py", "-q", "bdist_wheel", "-d", "out"],
        cwd=source, env=os.environ | {"CC": "no-compiler-here"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (wheel,) = (source / "out").glob("*.whl")
    with zipfile.ZipFile(wheel) as opened:
        return {name for name in opened.namelist() if ".dist-info/" not in name}


def test_every_module_and_data_file_is_installed(installed):
    wanted = {
        str(path.relative_to(ROOT))
        for package in PACKAGES
        for pattern in ("*.py", *DATA)
        for path in (ROOT / package).rglob(pattern)
    }
    assert "hftctl/cli/schemas/Error.json" in wanted
    assert wanted - installed == set()


def test_tests_and_benchmarks_are_not_installed(installed):
    assert {name.partition("/")[0] for name in installed} == set(PACKAGES)
