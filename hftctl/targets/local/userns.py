"""Runs PostgreSQL where it refuses to run: as root, and as a user without a name.

PostgreSQL will not run as root, and `initdb` wants its user to have a name. As root, or as a uid that /etc/passwd does not
know, it runs in a user namespace that holds one uid: 65534 inside, we outside. Nothing changes owner or mode, no user is
made, and every file stays ours. Where the kernel or a container forbids namespaces, root becomes `nobody` instead: the data
folder is given to it, and the programs are copied to where it can read them. An ordinary user needs neither.

Call these in a process of their own, before its exec: they change the whole process.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import shutil
from enum import StrEnum
from pathlib import Path

CLONE_NEWUSER = 0x10000000
NOBODY = 65534


class Way(StrEnum):
    PLAIN = "plain"
    NAMESPACE = "namespace"
    NOBODY = "nobody"


def needed() -> Way:
    if os.geteuid() == 0:
        return Way.NAMESPACE
    try:
        pwd.getpwuid(os.geteuid())
    except KeyError:
        return Way.NAMESPACE
    return Way.PLAIN


def enter() -> Way:
    """Makes this process one that PostgreSQL accepts; says how. Raises OSError where there is no way."""
    if needed() is Way.PLAIN:
        return Way.PLAIN
    uid, gid = os.geteuid(), os.getegid()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWUSER) == 0:
        own = Path("/proc/self")
        (own / "setgroups").write_text("deny")
        (own / "uid_map").write_text(f"{NOBODY} {uid} 1")
        (own / "gid_map").write_text(f"{NOBODY} {gid} 1")
        return Way.NAMESPACE
    if uid != 0:
        number = ctypes.get_errno()
        raise OSError(
            number, f"no user namespace for uid {uid}, which has no entry in /etc/passwd: {os.strerror(number)}"
        )
    return Way.NOBODY


def readable(program: Path) -> bool:
    """Whether nobody can reach and run it."""
    return all(folder.stat().st_mode & 0o001 for folder in program.parents) and bool(program.stat().st_mode & 0o001)


def copy_runtime(program: Path, to: Path) -> Path:
    """The installation around `.../PACKAGE/INSTALLATION/bin/postgres` where nobody can read it, once per content.

    The wheel's programs find their libraries in the folder `PACKAGE.libs` beside the package, so that place is kept.
    """
    installation = program.parent.parent
    package = installation.parent
    facts = program.stat()
    place = to / f"{package.name}-{facts.st_size}-{facts.st_mtime_ns}"
    copied = place / package.name / installation.name / "bin" / program.name
    if not place.exists():
        part = place.with_name(f"{place.name}.{os.getpid()}")
        shutil.copytree(installation, part / package.name / installation.name, symlinks=True)
        libraries = package.with_name(f"{package.name}.libs")
        if libraries.is_dir():
            shutil.copytree(libraries, part / libraries.name)
        for path in [part, *part.rglob("*")]:
            if not path.is_symlink():
                path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644)
        try:
            part.rename(place)
        except OSError:
            shutil.rmtree(part)  # another one was faster
    return copied


def give(folder: Path) -> None:
    """Everything in a folder to nobody."""
    for path in [folder, *folder.rglob("*")]:
        os.chown(path, NOBODY, NOBODY, follow_symlinks=False)


def drop() -> None:
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)
