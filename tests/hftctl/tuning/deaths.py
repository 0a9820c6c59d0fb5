"""Kills apply and revert at each of their system calls; `python -m tests.hftctl.tuning.deaths` does it at every one."""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.hftctl.tuning.driving import apply, plan, revert
from tests.hftctl.tuning.machines import SMALL
from tests.hftctl.tuning.trees import build, snapshot

CALLS = (
    "open", "write", "pwrite", "ftruncate", "fsync", "fchmod", "fchown", "setxattr", "close", "rename", "unlink", "rmdir",
    "mkdir", "symlink", "link", "chmod",
)  # fmt: skip
WRITES = ("write", "pwrite")
PROFILE, BOUND = "latency-extreme", ("ens2f0",)


@dataclass
class Outcome:
    calls: int = 0  # that the whole command makes
    tried: int = 0
    lost: list[str] = field(default_factory=list)


def tune(root: Path) -> object:
    """Every kind of place."""
    return apply(root, PROFILE, bind=BOUND)


def place(fallback: Path) -> Path:
    memory = Path("/dev/shm")
    return Path(tempfile.mkdtemp(dir=memory, prefix="hftctl-deaths-")) if os.access(memory, os.W_OK) else fallback


def hook(at: int, *, torn: bool) -> list[int]:
    """From now on this process counts its calls, and ends itself at the `at`-th one (0: never)."""
    count = [0]

    def dying(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, **named: Any) -> Any:
            if torn and name not in WRITES:
                return real(*given, **named)
            count[0] += 1
            if count[0] == at:
                if torn:
                    handle, data, *rest = given
                    real(handle, data[: len(data) // 2], *rest)
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*given, **named)

        return call

    for name in CALLS:
        setattr(os, name, dying(name, getattr(os, name)))
    return count


def child(command: Callable[[Path], object], root: Path, at: int, *, torn: bool) -> int:
    """How many calls it made; -1 when it died as it was to."""
    inner, outer = os.pipe()
    process = os.fork()
    if process == 0:
        try:
            os.close(inner)
            count = hook(at, torn=torn)
            command(root)
            os.write(outer, str(count[0]).encode())
        except BaseException as error:
            os.write(outer, f"failed: {error!r}".encode())
        os._exit(0)
    os.close(outer)
    with os.fdopen(inner) as pipe:
        said = pipe.read()
    _, status = os.waitpid(process, 0)
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
        return -1
    if not said.isdecimal():
        raise AssertionError(said or f"ended with {status}")
    return int(said)


def rounds(folder: Path, verb: str, *, torn: bool, step: int = 1, first: int = 1) -> Outcome:
    """For each death: a second one while it is taken back, then a revert to its end; and, after a death of apply, an apply
    to its end instead."""
    try:
        return _rounds(folder, verb, torn=torn, step=step, first=first)
    finally:
        if folder.parent == Path("/dev/shm"):
            shutil.rmtree(folder, ignore_errors=True)


def _rounds(folder: Path, verb: str, *, torn: bool, step: int, first: int) -> Outcome:
    pristine = build(folder / "pristine", SMALL)
    tuned = folder / "tuned"
    shutil.copytree(pristine, tuned, symlinks=True)
    tune(tuned)
    before, after = snapshot(pristine), snapshot(tuned)
    start, command = (pristine, tune) if verb == "apply" else (tuned, revert)
    outcome = Outcome()
    work = folder / "work"

    def fresh(source: Path) -> Path:
        shutil.rmtree(work, ignore_errors=True)
        shutil.copytree(source, work, symlinks=True)
        return work

    outcome.calls = child(command, fresh(start), 0, torn=torn)
    for at in range(first, outcome.calls + 1, step):
        outcome.tried += 1
        if child(command, fresh(start), at, torn=torn) != -1:
            outcome.lost.append(f"{verb} did not die at {at}")
            continue
        second = 1 + (at * 37) % max(outcome.calls, 1)
        if verb == "apply" and at % 2:
            tune(work)
            if snapshot(work) != after or plan(work).plan.pending:
                outcome.lost.append(
                    f"after a death at call {at} of apply an apply led elsewhere: {differing(after, work)}"
                )
        child(revert, work, second, torn=torn)
        revert(work)
        if snapshot(work) != before:
            outcome.lost.append(f"after a death at call {at} of {verb}: {differing(before, work)}")
    return outcome


def differing(wanted: dict[str, Any], root: Path) -> list[str]:
    found = snapshot(root)
    return sorted(name for name in {*wanted, *found} if wanted.get(name) != found.get(name))[:5]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--report", type=Path, help="write what was seen to this file")
    parser.add_argument("--step", type=int, default=1, help="die at each so-manieth call only")
    parser.add_argument("--first", type=int, default=1, help="begin with this call: a run can be split into passes")
    given = parser.parse_args()
    lines, bad, began = [], 0, time.monotonic()
    for torn in (True, False):  # the fewer ones first
        for verb in ("apply", "revert"):
            outcome = rounds(place(Path(tempfile.gettempdir())), verb, torn=torn, step=given.step, first=given.first)
            bad += len(outcome.lost)
            how = "half written" if torn else "between calls"
            lines.append(
                f"| {verb} | {how} | {outcome.calls} | {outcome.tried} | {outcome.tried - len(outcome.lost)} |"
            )
            sys.stdout.write("\n".join([lines[-1], *outcome.lost]) + "\n")
            sys.stdout.flush()
            if given.report:  # what was seen so far: the whole takes a while
                given.report.write_text(report(lines, given, time.monotonic() - began))
    return 1 if bad else 0


def report(lines: list[str], given: argparse.Namespace, took_s: float) -> str:
    which = "each" if given.step == 1 else f"every {given.step}th, from the {given.first}th on,"
    return f"""# Deaths while tuning

`make tune-long` ends `tune apply` and `tune revert` of a host with every kind of place, `{PROFILE}` and a card for `vfio-pci`, by
SIGKILL, in a process of their own, right before {which} of their system calls that change something on a disk, or after half of what
a write was to write. After each death a revert is killed once more at another call, and then a revert goes to its end; after
each second death of an apply an apply goes to its end first, and has to lead to what an apply that nobody killed leads to. Compared is
the whole tree: content, mode, owner, links.

| killed | how | calls | deaths | byte-exact after it |
|---|---|---|---|---|
{chr(10).join(lines)}

Seen on {time.strftime("%Y-%m-%d")} in {took_s / 60:.0f} minutes, on Linux {platform.release()}, {os.cpu_count()} processors, the tree in
memory. What the kernel keeps in memory is not part of this: `tests/lab/tune_host.py` kills applies on a real kernel. What a disk loses
with its power is in [tune-reboots.md](tune-reboots.md); what a boot loader finds after a death is in `tests/lab/test_loader_file.py`.
"""


if __name__ == "__main__":
    sys.exit(main())
