"""Tuning for real, on this machine's own kernel, in namespaces of its own: `unshare --net --mount python -m tests.lab.tune_host`.

/etc and what hftctl keeps are copies in memory; of /proc/sys only the network namespace's own values can be reached. Memory,
work queues and interrupts are the machine's own, for the seconds between an apply and its revert. Prints one JSON document
of what was seen, and ends with 1 when something is not as it was.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from hftctl.errors import HftctlError
from hftctl.operations import tune_apply, tune_revert
from hftctl.operations.tune_plan import Asked
from hftctl.operations.tune_verify import verify
from hftctl.tuning.host import Host
from hftctl.tuning.host_profiles.catalog import PROFILES
from hftctl.tuning.host_profiles.model import Choice, HostProfile
from hftctl.tuning.layout import Share
from hftctl.tuning.places.ethtool import Ethtool
from hftctl.tuning.places.kernel_value import KernelValue
from hftctl.tuning.places.pages import HugePages
from tests.lab.machine_state import differing, snapshot

HFTCTL = [sys.executable, "-m", "hftctl", "tune"]
KILLS = 8
COPIED = ("osrelease", "hostname", "arch", "random/boot_id")
THP = "/sys/kernel/mm/transparent_hugepage"
CHOICES = {
    f"{THP}/enabled": ("always", "never"),
    f"{THP}/defrag": ("defer", "never"),
    f"{THP}/khugepaged/defrag": ("0", "1"),
}
PAGES_2M = 64
MACHINE_KNOBS = ("transparent-huge-pages", "same-page-merging", "workqueues", "interrupts")


def main() -> int:
    _private()
    seen: dict[str, Any] = {
        "sysctl": _sysctl(), "machine": _machine(), "pages": _pages_applied(), "kills": _kills(), "places": _places(),
    }  # fmt: skip
    sys.stdout.write(json.dumps(seen, indent=1) + "\n")
    return 0 if all(one["as_before"] for part in seen.values() for one in part) else 1


def _private() -> None:
    if os.readlink("/proc/self/ns/net") == os.readlink(f"/proc/{os.getppid()}/ns/net"):  # noqa: PTH115
        raise SystemExit("this changes a network namespace: start it with unshare --net --mount")
    work = Path("/mnt")
    _run("mount", "-t", "tmpfs", "tmpfs", str(work))
    shutil.copytree("/etc", work / "etc", symlinks=True)
    kernel = work / "kernel"
    for name in COPIED:
        (kernel / name).parent.mkdir(parents=True, exist_ok=True)
        (kernel / name).write_text(Path("/proc/sys/kernel", name).read_text())
    for empty in ("vm", "state"):
        (work / empty).mkdir()
    Path("/var/lib/hftctl-tune").mkdir(exist_ok=True)
    for source, target in (
        ("etc", "/etc"),
        ("kernel", "/proc/sys/kernel"),
        ("vm", "/proc/sys/vm"),
        ("state", "/var/lib/hftctl-tune"),
    ):
        _run("mount", "--bind", str(work / source), target)
    _run("ip", "link", "set", "lo", "up")
    queues = ("numrxqueues", "2", "numtxqueues", "2")
    _run("ip", "link", "add", "first0", *queues, "type", "veth", "peer", "name", "second0", *queues)
    _run("ip", "tuntap", "add", "dev", "tap0", "mode", "tap")


def _sysctl() -> list[dict[str, Any]]:
    return [_cycle("the sysctls of a network namespace", ("sysctl",))]


def _machine() -> list[dict[str, Any]]:
    """What belongs to the whole machine: each interrupt, the masks of work queues, how memory is glued together."""
    return [_cycle("memory, work queues and interrupts of the machine", MACHINE_KNOBS)]


def _pages_applied() -> list[dict[str, Any]]:
    """Each size while the machine runs, by the whole way: plan, apply, verify, revert. The shipped profiles leave pages of 1 GiB to
    the next boot, since memory is in pieces soon; so it is a profile of the lab that asks for one."""
    return [_applied_pages(kib, count) for kib, count in (("2048", PAGES_2M), ("1048576", 1))]


def _applied_pages(kib: str, count: int) -> dict[str, Any]:
    choice = Choice("huge-pages", {kib: count}, "for the lab")
    PROFILES["lab"] = HostProfile("lab", "a machine of the lab", "memory", Share.NONE, (choice,))
    before = snapshot()
    try:
        applied = tune_apply.apply(Path("/"), Asked("lab"), confirm=lambda _made: True)
        verified = [one.message for one in verify(Path("/")).verdicts] if applied.error is None else []
    finally:
        tune_revert.revert(Path("/"), confirm=lambda _name, _back: True)
    left = differing(before, snapshot())
    return {
        "what": kib, "result": applied.result, "cause": applied.cause, "verified": verified, "left": left, "as_before": not left
    }  # fmt: skip


def _cycle(what: str, knobs: tuple[str, ...]) -> dict[str, Any]:
    """plan, apply, verify, an apply that finds nothing to do, revert: by the commands themselves."""
    only = [word for knob in knobs for word in ("--only", knob)]
    before = snapshot()
    planned = json.loads(_tune("plan", "latency", *only, "-o", "json", expect=3))
    try:
        applied = json.loads(_tune("apply", "latency", *only, "--yes", "-o", "json"))
        after = snapshot()
        verified = json.loads(_tune("verify", "-o", "json"))
        _tune("plan", expect=0)
        again = json.loads(_tune("apply", "--yes", "-o", "json"))
    finally:
        _tune("revert", "--yes")
    return {
        "what": f"apply and revert of {what}",
        "planned": planned["pending"],
        "changed": [change["subject"] for change in applied["changes"]],
        "unchangeable": [one["subject"] for one in verified["verdicts"] if one["answer"] == "unsupported"],
        "differing": differing(before, after),
        "again": again["result"],
        "as_before": not (left := differing(before, snapshot())),
        "left": left,
    }


def _kills() -> list[dict[str, Any]]:
    before, chance, ends = snapshot(), random.Random(7), []
    left: list[str] = []
    for _ in range(KILLS):
        process = subprocess.Popen([*HFTCTL, "apply", "latency", "--only", "sysctl", "--yes"], stdout=-3, stderr=-3)
        time.sleep(chance.uniform(0.2, 0.9))
        process.kill()
        ends.append(process.wait())
        _tune("revert", "--yes")
        if left := differing(before, snapshot()):
            break
    return [{"what": "SIGKILL in an apply, then a revert", "ends": ends, "left": left, "as_before": not left}]


def _places() -> list[dict[str, Any]]:
    host = Host()
    values, cards = KernelValue(), Ethtool()
    seen = [_pages(host, where, more) for where, more in (("node0/2048", 16), ("node0/1048576", 1))]
    for path, choices in CHOICES.items():
        had = values.read(host, path)
        wanted = next({"value": one} for one in choices if had != {"value": one})
        seen.append(_there_and_back(values, host, path, wanted))
    offloads, channels = cards.read(host, "first0/offloads"), cards.read(host, "first0/channels")
    seen.append(_there_and_back(cards, host, "first0/offloads", {**offloads, "gro": 1 - offloads["gro"]}))
    seen.append(_there_and_back(cards, host, "first0/channels", {**channels, "rx": 3 - channels["rx"]}))
    coalescing = cards.read(host, "tap0/coalescing")
    seen.append(_there_and_back(cards, host, "tap0/coalescing", {**coalescing, "rx_frames": 5}))
    # A driver without coalescing is told from one that has it.
    refused = cards.read(host, "first0/coalescing")
    seen.append({"what": "first0/coalescing", "got": refused, "as_before": refused is None})
    return seen


def _pages(host: Host, where: str, more: int) -> dict[str, Any]:
    pages = HugePages()
    had = pages.read(host, where)
    if had is None:
        return {"what": where, "got": "this kernel has none of that size", "as_before": True}
    wanted, result = {"pages": had["pages"] + more}, ""
    try:
        pages.write(host, where, wanted, had)
    except HftctlError as error:  # a short grant is an answer too
        result = str(error)
    got = pages.read(host, where)
    pages.write(host, where, had, got)
    return {"what": where, "wanted": wanted, "got": result or got, "as_before": pages.read(host, where) == had}


def _there_and_back(kind: Any, host: Host, where: str, wanted: dict[str, Any]) -> dict[str, Any]:
    had = kind.read(host, where)
    kind.write(host, where, wanted, had)
    got = kind.read(host, where)
    kind.write(host, where, had, got)
    return {"what": where, "wanted": wanted, "got": got, "as_before": got == wanted and kind.read(host, where) == had}


def _tune(*words: str, expect: int = 0) -> str:
    done = subprocess.run([*HFTCTL, *words], capture_output=True, text=True, check=False)
    if done.returncode != expect:
        raise SystemExit(f"tune {' '.join(words)}: exit {done.returncode}: {done.stdout[-400:]} {done.stderr[-400:]}")
    return done.stdout


def _run(*words: str) -> None:
    subprocess.run(words, check=True)


if __name__ == "__main__":
    sys.exit(main())
