"""A host is tuned, rebooted, compared and put back; and its power is cut in the middle of that."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.lab.guest import persistence
from tests.lab.guest.image import BOOTED, image
from tests.lab.guest.machine import Guest
from tests.lab.guest.snapshot import differences, files_of, snapshot
from tests.lab.guest.software import UNPACK, pack

# An emulated processor has no steady counter, which is one of the things that an apply refuses.
APPLY = "hftctl tune apply latency-extreme --isolate 1 --force unsteady-clock --yes"
REVERT = "hftctl tune revert --yes --lock-wait 300s"  # our service may be at it, by a card that appeared
VERIFY = "hftctl tune verify -o json"
READY, TUNED, NEXT = "ready", "tuned", "next"
SLOW_S = 400  # of a command of ours by emulation, beside other work
BOOT_FILE = "file:/boot/grub/grub.cfg"  # the subject of what the boot loader reads
COMMAND_PID = "/run/lab-command"
# Runs inside the guest: lets a command go on until the journal has so many lines (or, behind so many, says of a place that it is
# written), stops it there, or finds that it has ended, and says how many lines there are.
FOLLOW = r"""
import json, os, signal, sys, time
count, command, place = int(sys.argv[1]), int(open(sys.argv[2]).read()), sys.argv[3:]
def lines():
    try:
        return open("/var/lib/hftctl-tune/journal", "rb").read().split(b"\n")[:-1]
    except FileNotFoundError:
        return []
def there():
    own = lines()[count:]
    if not place:
        return len(lines()) >= count
    changes = [one["subject"] for one in json.loads(own[0])["changes"]] if own else []
    done = [one["change"] for one in map(json.loads, own) if one["entry"] == "outcome"]
    return place[0] in [changes[at] for at in done]
try:
    while not there():
        os.kill(command, signal.SIGCONT)
        time.sleep(0.002)
    os.kill(command, signal.SIGSTOP)
except ProcessLookupError:
    pass
print(len(lines()))
"""


@dataclass
class Run:
    """What a command wrote to its journal when nobody disturbed it: after which line what began there, and where."""

    command: str
    moment: str  # the snapshot that it begins from
    had: int = 0  # lines before it
    lines: int = 0  # of its own
    boot_file: int = 0  # the line, of its own, that says that the boot loader's file is about to be written


@dataclass
class Prepared:
    """A disk with two moments to go on from, `ready` and `tuned` (applied and rebooted), and what was seen on the way there."""

    disk: Path
    software: Path
    before: dict[str, object]
    reverted: dict[str, object] = field(
        default_factory=dict
    )  # after a revert, by a machine that still has the parameters
    runs: dict[str, Run] = field(default_factory=lambda: {"apply": Run(APPLY, READY), "revert": Run(REVERT, TUNED)})
    brought: dict[str, object] = field(default_factory=dict)  # by which way a reboot found what
    left: list[str] = field(default_factory=list)  # what is not as it was, at the end of the whole cycle
    boots_s: list[float] = field(default_factory=list)


@dataclass
class Cut:
    """One power cut: when, and what the machine was after it."""

    number: int
    during: str
    at_line: int  # of the journal, counted from where the command began
    lines: int = 0  # that stood there when the power went
    boot_file: str = "untouched"  # by the journal: untouched, about to be written, written
    boot_s: float = 0.0
    isolated: bool = False  # came up with the kernel parameters
    problem: str = ""


def cycle(folder: Path) -> Prepared:
    """apply, reboot, verify, revert, reboot, with the moments kept that cuts go on from. Problems on the way raise."""
    told = _clock()
    with _booted(folder) as guest:
        found = _tuned(guest, told, moments=True)
        found.brought |= persistence.moving(guest)
        _green(guest)  # after all that, still
        told("looked at a card that comes and at irqbalance")
        guest.keep(TUNED)
        _whole(guest, found.runs["revert"])
        found.reverted = snapshot(guest, kernel=True)
        assert differences(files_of(found.before), files_of(found.reverted)) == []
        told("reverted")
        _reboot(guest, found)
        told("rebooted")
        found.left = differences(found.before, snapshot(guest, kernel=True))
    return found


def write(prepared: Prepared, path: Path) -> None:
    path.write_text(json.dumps(asdict(prepared), default=str))


def read(path: Path) -> Prepared:
    kept = json.loads(path.read_text())
    runs = {during: Run(**run) for during, run in kept["runs"].items()}
    return Prepared(**{**kept, "disk": Path(kept["disk"]), "software": Path(kept["software"]), "runs": runs})


def short(folder: Path) -> tuple[Prepared, Cut]:
    """apply, reboot, verify, and a revert whose power goes when the boot loader's file is back; the next boot has to be as before."""
    told = _clock()
    with _booted(folder) as guest:
        found = _tuned(guest, told, moments=False)
        run, one = found.runs["revert"], Cut(0, "revert", 0)
        run.had = len(_journal(guest))
        _start(guest, run)
        one.lines = _follow(guest, run.had, BOOT_FILE) - run.had
    told("power cut")
    _after(folder, found.disk, found, one)
    told("as before" if not one.problem else one.problem)
    return found, one


def _booted(folder: Path) -> Guest:
    disk = folder / "disk.qcow2"
    shutil.copyfile(image(), disk)
    return Guest(disk, second=pack(folder / "software.tar"), snapshot=BOOTED)


def _tuned(guest: Guest, told: Callable[[str], None], *, moments: bool) -> Prepared:
    """Our software on it, applied, rebooted, verified, and looked at which way brought what."""
    guest.say(UNPACK, SLOW_S)
    found = Prepared(guest.disk, guest.second, snapshot(guest, kernel=True))
    told("the software is there")
    if moments:
        guest.keep(READY)
    _whole(guest, found.runs["apply"])
    assert differences(files_of(found.before), snapshot(guest)), "an apply writes files"
    told("applied")
    _reboot(guest, found)
    told("rebooted")
    _green(guest)
    told("verified")
    found.brought = persistence.checked(guest)
    told("looked at what brought what")
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


def _whole(guest: Guest, run: Run) -> None:
    """From its begin to its end, with nobody disturbing it."""
    run.had = len(_journal(guest))
    guest.say(run.command, SLOW_S)
    entries = _journal(guest)[run.had :]
    changed = [change["subject"] for change in entries[0]["changes"]]
    run.lines = len(entries)
    run.boot_file = 1 + entries.index(_bare(entries, "intent", changed.index(BOOT_FILE)))


def _journal(guest: Guest) -> list[dict[str, Any]]:
    """Whole lines only: a last one may be torn."""
    text = guest.say(f"cat {persistence.JOURNAL} 2>/dev/null || true", 60)
    return [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]


def _bare(entries: list[dict[str, Any]], kind: str, change: int) -> dict[str, Any]:
    return next(one for one in entries if one["entry"] == kind and one["change"] == change)


def moments(prepared: Prepared, count: int, seed: int) -> list[Cut]:
    """Half during an apply, half during a revert. The first two of each around the boot loader's file, the others drawn."""
    found = []
    for number in range(count):
        during = ("apply", "revert")[number % 2]
        run = prepared.runs[during]
        fixed = {0: run.boot_file, 1: run.boot_file + 1}.get(number // 2)
        drawn = random.Random(f"{seed}-{number}").randint(0, run.lines)
        found.append(Cut(number, during, drawn if fixed is None else fixed))
    return found


def cut_all(folder: Path, prepared: Prepared, cuts: list[Cut]) -> Iterator[Cut]:
    """The power goes at those moments. One apply and one revert are begun for all: each goes on from a snapshot of the moment
    before its machine was killed, and what the disk was at the kill is booted beside."""
    for during, run in prepared.runs.items():
        done = [Cut(**json.loads(path.read_text())) for path in folder.glob(f"{during}-*.json")]
        yield from done
        known = {one.number for one in done}
        mine = sorted(
            (one for one in cuts if one.during == during and one.number not in known), key=lambda one: one.at_line
        )
        disk, moment = folder / f"{during}.qcow2", run.moment
        if mine:
            shutil.copyfile(prepared.disk, disk)
        for one in mine:
            try:
                with Guest(disk, second=prepared.software, snapshot=moment) as guest:
                    if moment == run.moment:
                        _start(guest, run)
                    one.lines = _follow(guest, run.had + one.at_line) - run.had
                    guest.keep(NEXT)
                moment = NEXT
                _after(folder, disk, prepared, one)
            except Exception as error:
                one.problem = f"{type(error).__name__}: {error}"[:600]
            (folder / f"{during}-{one.number}.json").write_text(json.dumps(asdict(one)))
            yield one
        disk.unlink(missing_ok=True)


def _start(guest: Guest, run: Run) -> None:
    """It waits until it is followed."""
    guest.say(f"(sh -c 'echo $$ > {COMMAND_PID}; kill -STOP $$; exec {run.command}') >/dev/null 2>&1 </dev/null & true")
    guest.say(f"until test -s {COMMAND_PID}; do sleep 0.1; done")


def _follow(guest: Guest, lines: int, place: str = "") -> int:
    """How many lines the journal has when that is reached."""
    return int(guest.say(f"python3 -c '{FOLLOW}' {lines} {COMMAND_PID} {place}", SLOW_S))


def _after(folder: Path, disk: Path, prepared: Prepared, one: Cut) -> None:
    """The disk of a dead machine is booted, has to be what its journal says, and to lead back."""
    own = folder / "after.qcow2"
    layer = ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", str(disk), str(own)]
    subprocess.run(layer, check=True, capture_output=True)
    began = time.monotonic()
    with Guest(own, second=prepared.software) as guest:
        one.boot_s = time.monotonic() - began
        one.isolated = guest.say("cat /sys/devices/system/cpu/isolated").strip() == "1"
        one.boot_file = _boot_file(_journal(guest)[prepared.runs[one.during].had :])
        guest.say(REVERT, SLOW_S)
        # What only a boot takes away is known from the whole cycle, and that the boot does.
        left = differences(prepared.reverted if one.isolated else prepared.before, snapshot(guest, kernel=True))
    own.unlink()
    tuned = one.during == "apply"
    if (one.boot_file, one.isolated) in {("written", not tuned), ("untouched", tuned)}:
        left.insert(0, f"its journal says that {BOOT_FILE} is {one.boot_file}, and it came up isolated: {one.isolated}")
    if left:
        one.problem = f"{left[:4]}"[:600]


def _boot_file(entries: list[dict[str, Any]]) -> str:
    """By what stood in the journal when the power went; what came later, by the next start, is not part of that."""
    if not entries or entries[0]["entry"] != "begin":
        return "untouched"
    ends = (at for at, one in enumerate(entries) if at and one["entry"] in {"begin", "reverting"})
    own = entries[: next(ends, len(entries))]
    change = [one["subject"] for one in own[0]["changes"]].index(BOOT_FILE)
    said = {one["entry"] for one in own if one.get("change") == change}
    return "written" if "outcome" in said else "about to be written" if said else "untouched"
