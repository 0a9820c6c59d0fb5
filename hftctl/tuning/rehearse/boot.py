"""One boot of the guest: from QEMU's start to the last word of its first program, or whatever ended it before."""

from __future__ import annotations

import math
import os
import re
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from hftctl.errors import Failed, NotFound
from hftctl.tuning.probe.counters import table
from hftctl.tuning.rehearse import initramfs, qemu
from hftctl.tuning.rehearse.shape import Shape
from hftctl.tuning.rehearse.words import Word, line

TIMEOUT_S = 60.0
PATIENCE = 4  # times that, where QEMU gets less of the processors
GRACE_S = 5.0
FIRST_WORDS_S = 5.0  # an accelerator that works has the kernel's first line long before
KERNEL_LINE = re.compile(r"^\[ *\d+\.\d+\] ", re.MULTILINE)
LOOK_S = 0.05
PANIC = re.compile(r"Kernel panic - not syncing: (.*)")
BROKEN = ("KVM internal error", "emulation failure", "failed to initialize", "Could not access KVM", "kvm run failed")
OURS = "console=ttyS0 earlyprintk=ttyS0 panic=-1 rdinit=/init"  # panic=-1: restart at once, which ends QEMU
KEPT_LINES = 40
_COMPILED = "guest/init"


@dataclass(frozen=True)
class Counted:
    """/proc/interrupts at one moment of the guest's clock."""

    at_ns: int
    interrupts: Mapping[str, Mapping[int, int]]


@dataclass(frozen=True)
class Boot:
    """`ended`: `done`, `panic`, `timeout`, or `died` (it went down without a word)."""

    ended: str
    panic: str
    accelerator: str
    duration_s: float
    files: Mapping[str, str]
    dmesg: str
    counted: Sequence[Counted]
    console: str

    @property
    def log(self) -> str:
        """All that the kernel said, by whichever way it reached us."""
        return self.dmesg or self.console

    @property
    def last_words(self) -> list[str]:
        return [text for text in self.console.splitlines() if text.strip()][-KEPT_LINES:]


def first_program() -> bytes:
    """Raises NotFound where the compiled parts are missing."""
    place = files("hftctl.tuning.rehearse").joinpath(_COMPILED)
    try:
        return place.read_bytes()
    except OSError as error:
        raise NotFound(
            "the rehearsal's guest program is not compiled here", hint="with a C compiler for x86-64: hftctl build"
        ) from error


def boot(
    kernel: Path,
    words: Sequence[Word],
    shape: Shape,
    orders: Sequence[str],
    *,
    accelerator: str = "",
    timeout_s: float = TIMEOUT_S,
) -> Boot:
    """Raises NotFound without QEMU or the guest's program, Failed when QEMU itself could not start."""
    program = qemu.program()
    if program is None:
        raise NotFound(f"{qemu.PROGRAM} is not installed", hint="Debian and Ubuntu: apt install qemu-system-x86")
    ways = qemu.accelerators(accelerator)
    for last, way in zip([False] * (len(ways) - 1) + [True], ways, strict=True):
        with tempfile.TemporaryDirectory(prefix="hftctl-rehearse-") as folder:
            found = _once(program, way, kernel, words, shape, orders, Path(folder), timeout_s, may_give_up=not last)
        if found is not None:
            return found
    raise AssertionError("the last way never gives up")


def _once(
    program: str,
    way: str,
    kernel: Path,
    words: Sequence[Word],
    shape: Shape,
    orders: Sequence[str],
    folder: Path,
    timeout_s: float,
    *,
    may_give_up: bool,
) -> Boot | None:
    """None when this accelerator does not work here."""
    archive, console, report, complaints = (folder / name for name in ("initramfs", "console", "report", "qemu"))
    archive.write_bytes(initramfs.build(first_program(), orders))
    words_line = f"{line(words)} {OURS}"
    argv = qemu.argv(program, way, kernel, archive, words_line, shape, console, report)
    # Also when we are killed, no guest goes on for ever.
    argv = ["timeout", "--signal=KILL", f"{PATIENCE * timeout_s + GRACE_S:g}", *argv]
    began = time.monotonic()
    with (
        complaints.open("wb") as stderr,
        subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=stderr, stderr=stderr, start_new_session=True
        ) as process,
    ):
        try:
            broken, late = _watch(process, console, report, complaints, began, timeout_s, impatient=may_give_up)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    said = _read(complaints).strip()
    if may_give_up and (broken or (process.returncode != 0 and not _spoke(console, report))):
        return None
    if broken or (process.returncode != 0 and not late and not _spoke(console, report)):
        last = (said or "it said nothing").splitlines()[0]
        raise Failed(f"QEMU could not boot {kernel} by {way}: {last}", hint="hftctl tune rehearse --accelerator tcg")
    return parsed(_read(console), _read(report), way, time.monotonic() - began, late=late)


def _watch(
    process: subprocess.Popen[bytes],
    console: Path,
    report: Path,
    complaints: Path,
    began: float,
    timeout_s: float,
    *,
    impatient: bool,
) -> tuple[bool, bool]:
    """(the accelerator is broken, the time was up). QEMU lives on with a guest that it gave up, so it is watched."""
    while process.poll() is None:
        elapsed_s = time.monotonic() - began
        if any(word in _read(complaints) for word in BROKEN):
            return True, False
        if impatient and elapsed_s > FIRST_WORDS_S and not _spoke(console, report):
            return True, False
        if elapsed_s > timeout_s and (_worked_s(process.pid) > timeout_s or elapsed_s > PATIENCE * timeout_s):
            return False, True
        time.sleep(LOOK_S)
    return any(word in _read(complaints) for word in BROKEN), False


def _spoke(console: Path, report: Path) -> bool:
    """Whether the kernel came up. Its loader speaks before it, also where it hangs then: nested KVM was seen to stop after
    `Probing EDD`. A kernel told to be quiet is known by our program in it."""
    return bool(KERNEL_LINE.search(_read(console)) or _read(report))


def _worked_s(timeout_pid: int) -> float:
    """Processor time that QEMU got so far: on a busy host a guest that gets little of it is slow and not stuck."""
    try:
        child = Path(f"/proc/{timeout_pid}/task/{timeout_pid}/children").read_text().split()[0]
        fields = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()
    except (OSError, IndexError):
        return math.inf  # nobody tells: then it is the clock alone
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def parsed(console: str, report: str, way: str, duration_s: float, *, late: bool) -> Boot:
    found: dict[str, str] = {}
    counted: list[Counted] = []
    at_ns, path, lines = 0, "", list[str]()
    for text in report.splitlines():
        if path and text == "@end":
            content = "\n".join(lines).strip("\n")
            if path == "/proc/interrupts":
                counted.append(Counted(at_ns, table(content)))
            found[path] = content
            path = ""
        elif path:
            lines.append(text)
        elif text.startswith("@file "):
            path, lines = text[len("@file ") :], []
        elif text.startswith("@at "):
            at_ns = int(text[len("@at ") :])
    panic = PANIC.search(console)
    done = "\n@done" in f"\n{report}"
    ended = "done" if done else "panic" if panic else "timeout" if late else "died"
    dmesg = found.pop("dmesg", "")
    return Boot(ended, panic[1].strip() if panic else "", way, duration_s, found, dmesg, counted, console)


def _read(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8", "replace").replace("\r", "")
    except OSError:
        return ""
