"""The compiled parts. Left out only where there is no C compiler; a compile error fails the build.

ENGINE_DEBUG=1 builds with bounds checks and invariants after every command.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

DEBUG = os.environ.get("ENGINE_DEBUG") == "1"
HEADERS = ("engine", "hftctl/tuning/probe")
GUEST = Path("hftctl/tuning/rehearse/guest/init")
GUEST_SOURCE = GUEST.with_suffix(".c")
GUEST_FLAGS = (
    "-Os",
    "-s",
    "-static",
    "-nostdlib",
    "-ffreestanding",
    "-fno-pie",
    "-no-pie",
    "-fno-stack-protector",
    "-Wall",
)
MODULES = sorted(str(path) for folder in ("engine", "stack", "hftctl") for path in Path(folder).rglob("*.pyx"))


def compiler() -> str | None:
    """The C compiler, if there is one that finds Python.h."""
    command = (os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc").split()
    if not shutil.which(command[0]):
        return None
    include = sysconfig.get_paths()["include"]
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "probe.c")
        source.write_text("#include <Python.h>\n")
        done = subprocess.run(
            [*command, f"-I{include}", "-fsyntax-only", str(source)], stderr=subprocess.DEVNULL, check=False
        )
    return command[0] if done.returncode == 0 else None


class Build(build_ext):
    """The extensions, and the first program of a rehearsal's guest: no shared object, but a whole x86-64 program that
    links against nothing."""

    def run(self) -> None:
        super().run()
        command = (os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc").split()
        target = GUEST if self.inplace else Path(self.build_lib, GUEST)
        # The image of the services has no part of hftctl but its version.
        if (
            platform.machine() != "x86_64"
            or not GUEST_SOURCE.is_file()
            or (target.is_file() and target.stat().st_mtime >= GUEST_SOURCE.stat().st_mtime)
        ):
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run([*command, *GUEST_FLAGS, str(GUEST_SOURCE), "-o", str(target)], check=True)


def extensions() -> list[Extension]:
    if not MODULES:
        return []
    if compiler() is None:
        print("hftctl: no C compiler with Python's headers: the plain-Python engine will run", file=sys.stderr)
        return []
    from Cython.Build import cythonize

    headers = [str(path) for folder in HEADERS for path in Path(folder).glob("*.h")]
    return cythonize(
        [
            Extension(
                source.removesuffix(".pyx").replace(os.sep, "."),
                [source],
                depends=headers,
                include_dirs=list(HEADERS),
                define_macros=[("ENGINE_DEBUG", "1")]
                if DEBUG
                else [("CYTHON_INLINE", "inline __attribute__((always_inline))")],
                extra_compile_args=["-O0", "-g"] if DEBUG else ["-O3", "-fwrapv"],
            )
            for source in MODULES
        ],
        compiler_directives={
            "language_level": 3,
            "boundscheck": DEBUG,
            "wraparound": False,
            "cdivision": True,
            "initializedcheck": DEBUG,
            "embedsignature": True,
        },
        compile_time_env=None,
        force=DEBUG,
    )


# One compiler per processor: half the minute that an install takes on two of them.
setup(ext_modules=extensions(), cmdclass={"build_ext": Build}, options={"build_ext": {"parallel": os.cpu_count() or 1}})
