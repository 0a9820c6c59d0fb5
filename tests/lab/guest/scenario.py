"""A host is tuned, rebooted, compared and put back; and its power is cut in the middle of that."""

from __future__ import annotations

import json
import random
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.lab.guest import persistence
from tests.lab.guest.image import BOOTED, image
from tests.lab.guest.machine import Guest
from tests.lab.guest.snapshot import differences, files_of, snapshot
from tests.lab.guest.software import UNPACK, pack

# An emulated processor has no steady counter, which is one of the things that an apply refuses.
APPLY = "hftctl tune apply latency-extreme --isolate 1 --force unsteady-clock --yes"
REVERT = "hftctl tune revert --yes"
VERIFY = "hftctl tune verify -o json"
READY, TUNED = "ready", "tuned"
SLOW_S = 400  # of a command of ours by emulation, beside other work
# Runs inside the guest: starts a command, and ends as soon as its journal has so many more lines, or the command is over.
FOLLOW = r"""
import subprocess, sys, time
def lines():
    try:
        return open("/var/lib/hftctl-tune/journal", "rb").read().count(b"\n")
    except FileNotFoundError:
        return 0
had = lines()
running = subprocess.Popen(sys.argv[2:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
while running.poll() is None and lines() - had < int(sys.argv[1]):
    time.sleep(0.002)
print(lines() - had)
"""


@dataclass
class Prepared:
    """A disk with two moments to go on from, `ready` and `tuned` (applied and rebooted), and what was seen on the way there."""

    disk: Path
    software: Path
    before: dict[str, object]
    apply_lines: int = 0  # that an apply writes to its journal when nobody disturbs it
    revert_lines: int = 0
    brought: dict[str, object] = field(default_factory=dict)  # by which way a reboot found what
    left: list[str] = field(default_factory=list)  # what is not as it was, at the end of the whole cycle
    boots_s: list[float] = field(default_factory=list)


@dataclass
class Cut:
    """One power cut: when, and what the machine was after it."""

    during: str
    at_line: int  # of the journal, counted from where the command began
    lines: int = 0  # that stood there when the power went
    boot_s: float = 0.0
    isolated: bool = False  # came up with the kernel parameters
    problem: str = ""


def cycle(folder: Path, *, moments: bool = False) -> Prepared:
    """apply, reboot, verify, revert, reboot. Problems on the way raise. `moments`: keep those that cuts go on from."""
    disk, software = folder / "disk.qcow2", pack(folder / "software.tar")
    shutil.copyfile(image(), disk)
    told = _clock()
    with Guest(disk, second=software, snapshot=BOOTED) as guest:
        guest.say(UNPACK, SLOW_S)
        before = snapshot(guest, kernel=True)
        found = Prepared(disk, software, files_of(before))
        told("the software is there")
        if moments:
            guest.keep(READY)
        found.apply_lines = _whole(guest, APPLY)
        assert differences(found.before, snapshot(guest)), "an apply writes files"
        told("applied")
        _reboot(guest, found)
        told("rebooted")
        _green(guest)
        told("verified")
        found.brought = persistence.checked(guest)
        _green(guest)  # after all that, still
        told("looked at what brought what")
        if moments:
            guest.keep(TUNED)
        found.revert_lines = _whole(guest, REVERT)
        assert differences(found.before, snapshot(guest)) == []
        told("reverted")
        _reboot(guest, found)
        told("rebooted")
        found.left = differences(before, snapshot(guest, kernel=True))
    return found


def _clock() -> Callable[[str], None]:
    """Says when each step is over; where a run fails, that is what tells how far it came and what was slow."""
    began = time.monotonic()
    return lambda step: print(f"{time.monotonic() - began:6.1f} s  {step}", flush=True)


def _green(guest: Guest) -> None:
    code, said = guest.run(VERIFY, SLOW_S)
    bad = [one for one in json.loads(said)["verdicts"] if one["answer"] not in {"ok", "unsupported"}] if code else []
    assert code == 0, bad or said


def _reboot(guest: Guest, found: Prepared) -> None:
    began = time.monotonic()
    guest.reboot()
    found.boots_s.append(time.monotonic() - began)


def _whole(guest: Guest, command: str) -> int:
    """How many lines it wrote to the journal."""
    count = f"cat {persistence.JOURNAL} 2>/dev/null | wc -l"
    had = int(guest.say(count))
    guest.say(command, SLOW_S)
    return int(guest.say(count)) - had


def cut(folder: Path, prepared: Prepared, number: int, seed: int) -> Cut:
    """The power goes at a moment that the seed and the number choose; then the machine must come up and lead back."""
    draw = random.Random(f"{seed}-{number}")
    during, lines, moment, command = (
        ("apply", prepared.apply_lines, READY, APPLY)
        if number % 2 == 0
        else ("revert", prepared.revert_lines, TUNED, REVERT)
    )
    found = Cut(during, draw.randint(0, lines))
    own = folder / f"cut-{number}.qcow2"
    shutil.copyfile(prepared.disk, own)
    try:
        with Guest(own, second=prepared.software, snapshot=moment) as guest:
            found.lines = int(guest.say(f"python3 -c '{FOLLOW}' {found.at_line} {command}", SLOW_S))
        began = time.monotonic()
        with Guest(own, second=prepared.software) as guest:
            found.boot_s = time.monotonic() - began
            found.isolated = guest.say("cat /sys/devices/system/cpu/isolated").strip() == "1"
            guest.say(REVERT, SLOW_S)
            if left := differences(prepared.before, snapshot(guest)):
                found.problem = f"not as before: {left[:3]}"
    except Exception as error:
        found.problem = f"{type(error).__name__}: {error}"[:600]
    finally:
        own.unlink(missing_ok=True)
    return found
