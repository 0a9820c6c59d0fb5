"""A host is tuned, rebooted, compared and put back; and its power is cut in the middle of that."""

from __future__ import annotations

import json
import random
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from tests.lab.guest.image import image
from tests.lab.guest.machine import Guest, overlay
from tests.lab.guest.software import UNPACK, pack

# An emulated processor has no steady counter, which is one of the things that an apply refuses.
APPLY = "hftctl tune apply latency --isolate 2-3 --force unsteady-clock --yes"
REVERT = "hftctl tune revert --yes"
VERIFY = "hftctl tune verify -o json"
READY, TUNED = "ready", "tuned"
EFFECTIVE = {"/sys/devices/system/cpu/isolated": "2-3", "/sys/devices/system/cpu/nohz_full": "2-3"}
# Every file that tuning may write, with mode, owner and content; and every setting of the kernel that does not move by itself.
SNAPSHOT = r"""
import hashlib, json, os, sys
found = {}
for top in ("/etc", "/boot", "/usr/lib/systemd"):
    for folder, _, names in os.walk(top):
        for name in names:
            path = os.path.join(folder, name)
            state = os.lstat(path)
            what = os.readlink(path) if os.path.islink(path) else hashlib.sha256(open(path, "rb").read()).hexdigest()
            found[path] = [oct(state.st_mode), state.st_uid, state.st_gid, what]
if "kernel" in sys.argv:
    moving = ("random/", "fs/dentry-state", "fs/inode-", "fs/file-nr", "ns_last_pid", "pty/nr", "fs/aio-nr", "nf_conntrack_count",
              "perf_event_max_sample_rate", "perf_cpu_time_max", "vm/stat_refresh", "vm/compact_memory", "vm/drop_caches",
              "vm/user_reserve_kbytes", "fs/quota", "tcp_fastopen_key", "stable_secret", "kernel/cad_pid")
    for folder, _, names in os.walk("/proc/sys"):
        for name in names:
            path = os.path.join(folder, name)
            if not any(part in path for part in moving):
                try:
                    found[path] = open(path, "rb").read().decode(errors="replace")
                except OSError:
                    pass
    for path in ("devices/system/cpu/isolated", "devices/system/cpu/nohz_full", "kernel/mm/transparent_hugepage/enabled",
                 "kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", "devices/virtual/workqueue/cpumask"):
        path = "/sys/" + path
        found[path] = open(path).read()
print(json.dumps(found))
"""


@dataclass
class Cut:
    """One power cut: when, and what the machine was after it."""

    during: str
    after_s: float
    boot_s: float = 0.0
    applied: bool = False
    problem: str = ""


def snapshot(guest: Guest, *, kernel: bool = False) -> dict[str, object]:
    return json.loads(guest.say(f"python3 -c '{SNAPSHOT}' {'kernel' if kernel else ''}"))


def differences(before: dict[str, object], after: dict[str, object]) -> list[str]:
    return [
        f"{path}: {before.get(path)!r} -> {after.get(path)!r}"
        for path in sorted({*before, *after})
        if before.get(path) != after.get(path)
    ]


def fresh(folder: Path) -> tuple[Path, Path]:
    """A disk of its own and the software beside it."""
    return overlay(image(), folder / "disk.qcow2"), pack(folder / "software.tar")


def cycle(folder: Path) -> list[str]:
    """apply, reboot, verify, revert, reboot; returns what is not as it was. Problems on the way raise."""
    disk, software = fresh(folder)
    with Guest(disk, second=software) as guest:
        guest.say(UNPACK, 300)
        before = snapshot(guest, kernel=True)
        files = {path: state for path, state in before.items() if not path.startswith(("/proc", "/sys"))}
        guest.say(APPLY, 300)
        assert differences(files, snapshot(guest)), "an apply writes files"
        guest.reboot()
        for path, wanted in EFFECTIVE.items():
            assert guest.say(f"cat {path}").strip() == wanted, path
        code, said = guest.run(VERIFY)
        assert code == 0, said
        guest.say(REVERT, 300)
        assert differences(files, snapshot(guest)) == []
        guest.reboot()
        return differences(before, snapshot(guest, kernel=True))


def prepare(folder: Path) -> tuple[Path, Path, dict[str, object], float, float]:
    """A disk with two moments to go on from, `ready` and `tuned` (applied and rebooted); how long an apply and a revert take."""
    disk, software = fresh(folder)
    with Guest(disk, second=software) as guest:
        guest.say(UNPACK, 300)
        before = snapshot(guest)
        guest.keep(READY)
        began = time.monotonic()
        guest.say(APPLY, 300)
        apply_s = time.monotonic() - began
        guest.reboot()
        guest.say(VERIFY)
        guest.keep(TUNED)
        began = time.monotonic()
        guest.say(REVERT, 300)
        revert_s = time.monotonic() - began
    return disk, software, before, apply_s, revert_s


def cut(folder: Path, prepared: tuple[Path, Path, dict[str, object], float, float], number: int, seed: int) -> Cut:
    """The power goes at a moment that the seed and the number choose; then the machine must come up and lead back."""
    disk, software, before, apply_s, revert_s = prepared
    draw = random.Random(f"{seed}-{number}")
    during, takes_s, moment, command = (
        ("apply", apply_s, READY, APPLY) if number % 2 == 0 else ("revert", revert_s, TUNED, REVERT)
    )
    found = Cut(during, draw.uniform(0.05, 1.05) * takes_s)
    own = folder / f"cut-{number}.qcow2"
    shutil.copyfile(disk, own)
    try:
        with Guest(own, second=software, snapshot=moment) as guest:
            guest.begin(command, 300)
            time.sleep(found.after_s)
        began = time.monotonic()
        with Guest(own, second=software) as guest:
            found.boot_s = time.monotonic() - began
            found.applied = guest.say("cat /sys/devices/system/cpu/isolated").strip() == "2-3"
            guest.say("systemctl is-system-running --wait || true")
            guest.say(REVERT, 300)
            if left := differences(before, snapshot(guest)):
                found.problem = f"not as before: {left[:3]}"
    except Exception as error:
        found.problem = f"{type(error).__name__}: {error}"[:600]
    finally:
        own.unlink(missing_ok=True)
    return found
