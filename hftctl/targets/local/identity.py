"""Which process is which. A pid alone says nothing: it is used again, after a reboot soon. Pid, start time and boot together do.

Linux only, through /proc; nothing here is imported elsewhere than where processes are looked at.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Identity:
    pid: int
    start_ticks: int  # clock ticks between boot and the process's start
    boot: str  # id of the boot these ticks count from


@dataclass(frozen=True)
class Facts:
    """What /proc/PID/stat says."""

    state: str
    session: int
    start_ticks: int
    cpu_s: float
    memory_bytes: int


def boot_id() -> str:
    return (PROC / "sys/kernel/random/boot_id").read_text().strip()


def facts(pid: int) -> Facts | None:
    """None when there is no such process, or only its remains (a zombie)."""
    try:
        text = (PROC / str(pid) / "stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    words = text[text.rindex(")") + 2 :].split()  # the name before may hold blanks and parentheses
    if words[0] in "ZX":
        return None
    return Facts(
        state=words[0],
        session=int(words[3]),
        start_ticks=int(words[19]),
        cpu_s=(int(words[11]) + int(words[12])) / CLOCK_TICKS,
        memory_bytes=int(words[21]) * os.sysconf("SC_PAGE_SIZE"),
    )


def identify(pid: int) -> Identity | None:
    found = facts(pid)
    return Identity(pid, found.start_ticks, boot_id()) if found else None


def alive(identity: Identity) -> bool:
    return identify(identity.pid) == identity


def processes() -> Iterator[int]:
    for entry in PROC.iterdir():
        if entry.name.isdecimal():
            yield int(entry.name)


def members(session: int, stand_in: Path, folder: Path | None, program_name: str) -> list[int]:
    """Living processes of a component: of its session, or running its program in its own folder.

    PostgreSQL gives each of its processes a session of its own, but all of them stand in the data folder. Both tests ask
    for a second sign, because what they find is killed: a session's number may be somebody else's by now, and a person
    may have a shell open in the data folder.
    """
    found = []
    for pid in processes():
        seen = facts(pid)
        if seen is None or pid == os.getpid():
            continue
        where = working_directory(pid)
        if where is None:
            continue
        if (session and seen.session == session and where in {stand_in, folder}) or (
            where == folder and program_name and program(pid) == program_name
        ):
            found.append(pid)
    return found


def program(pid: int) -> str:
    """Name of the file it runs, also when that was replaced; empty when we may not know."""
    found = _link(pid, "exe")
    return found.name.removesuffix(" (deleted)") if found else ""


def working_directory(pid: int) -> Path | None:
    return _link(pid, "cwd")


def _link(pid: int, name: str) -> Path | None:
    try:
        return (PROC / str(pid) / name).readlink()
    except OSError:  # gone meanwhile, or somebody else's
        return None


def environment(pid: int) -> dict[str, str]:
    """As it was when the process started; empty for other people's processes."""
    try:
        data = (PROC / str(pid) / "environ").read_bytes()
    except OSError:
        return {}
    pairs = (entry.decode(errors="replace").partition("=") for entry in data.split(b"\0") if entry)
    return {name: value for name, _, value in pairs}
