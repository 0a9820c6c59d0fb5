"""Tuning for real, on this machine's own kernel, in namespaces of its own: `unshare --net --mount python -m tests.lab.tune_host`.

/etc and what hftctl keeps are copies in memory; of /proc/sys only the network namespace's own values can be reached. Prints
one JSON document of what was seen, and ends with 1 when something is not as it was.
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

from hftctl.tuning.host import Host
from hftctl.tuning.places.ethtool import Ethtool
from hftctl.tuning.places.interrupt import Interrupt
from hftctl.tuning.places.kernel_value import KernelValue
from hftctl.tuning.places.pages import HugePages

HFTCTL = [sys.executable, "-m", "hftctl", "tune"]
KILLS = 8
COPIED = ("osrelease", "hostname", "arch", "random/boot_id")
KHUGEPAGED = "/sys/kernel/mm/transparent_hugepage/khugepaged/defrag"


def main() -> int:
    _private()
    seen: dict[str, Any] = {"sysctl": _sysctl(), "kills": _kills(), "places": _places()}
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
    _run("ip", "link", "add", "first0", "type", "veth", "peer", "name", "second0")


def _sysctl() -> list[dict[str, Any]]:
    before = _snapshot()
    planned = json.loads(_tune("plan", "latency", "--only", "sysctl", "-o", "json", expect=3))
    applied = json.loads(_tune("apply", "latency", "--only", "sysctl", "--yes", "-o", "json"))
    after = _snapshot()
    _tune("verify")
    _tune("plan", expect=0)
    _tune("revert", "--yes")
    return [
        {
            "what": "apply and revert of the sysctls of a network namespace",
            "planned": planned["pending"],
            "changed": len(applied["changes"]),
            "differing": len(_differing(before, after)),
            "as_before": _snapshot() == before,
        }
    ]


def _kills() -> list[dict[str, Any]]:
    before, chance, ends = _snapshot(), random.Random(7), []
    left: list[str] = []
    for _ in range(KILLS):
        process = subprocess.Popen([*HFTCTL, "apply", "latency", "--only", "sysctl", "--yes"], stdout=-3, stderr=-3)
        time.sleep(chance.uniform(0.2, 0.9))
        process.kill()
        ends.append(process.wait())
        _tune("revert", "--yes")
        if left := _differing(before, _snapshot()):
            break
    return [{"what": "SIGKILL in an apply, then a revert", "ends": ends, "left": left, "as_before": not left}]


def _places() -> list[dict[str, Any]]:
    host = Host()
    pages, values, cards, lines = HugePages(), KernelValue(), Ethtool(), Interrupt()
    seen = []
    for where, more in (("node0/2048", 16), ("node0/1048576", 1)):
        had = pages.read(host, where)
        if had is None:
            continue
        wanted = {"pages": had["pages"] + more}
        try:
            pages.write(host, where, wanted, had)
            result = pages.read(host, where)
        except Exception as error:  # a short grant is an answer too
            result = str(error)
        pages.write(host, where, had, pages.read(host, where))
        seen.append({"what": where, "wanted": wanted, "got": result, "as_before": pages.read(host, where) == had})
    seen.append(_there_and_back(values, host, KHUGEPAGED, {"value": "0"}))
    for name in ("virtio0-inflate", "virtio0-deflate"):
        if lines.read(host, name) is not None:
            seen.append(_there_and_back(lines, host, name, {"cpus": "0"}))
    offloads = cards.read(host, "first0/offloads")
    seen.append(_there_and_back(cards, host, "first0/offloads", {**offloads, "gro": 1 - offloads["gro"]}))
    channels = cards.read(host, "first0/channels")
    seen.append({"what": "first0/channels", "got": channels, "as_before": channels is not None})
    seen.append({"what": "first0/coalescing", "got": cards.read(host, "first0/coalescing"), "as_before": True})
    return seen


def _there_and_back(kind: Any, host: Host, where: str, wanted: dict[str, Any]) -> dict[str, Any]:
    had = kind.read(host, where)
    kind.write(host, where, wanted, had)
    got = kind.read(host, where)
    kind.write(host, where, had, got)
    return {"what": where, "wanted": wanted, "got": got, "as_before": got == wanted and kind.read(host, where) == had}


def _snapshot() -> dict[str, bytes]:
    """Every value of the network namespace, every file of /etc."""
    found: dict[str, bytes] = {}
    for top in ("/proc/sys/net", "/etc"):
        for folder, _, files in os.walk(top):
            for name in files:
                path = Path(folder, name)
                try:
                    content = str(path.readlink()).encode() if path.is_symlink() else path.read_bytes()
                    found[str(path)] = oct(path.lstat().st_mode).encode() + content
                except OSError as error:
                    found[str(path)] = str(error.errno).encode()
    return {path: data for path, data in found.items() if not path.endswith(("/route/flush", "nf_conntrack_count"))}


def _differing(before: dict[str, bytes], after: dict[str, bytes]) -> list[str]:
    return sorted(path for path in {*before, *after} if before.get(path) != after.get(path))


def _tune(*words: str, expect: int = 0) -> str:
    done = subprocess.run([*HFTCTL, *words], capture_output=True, text=True, check=False)
    if done.returncode != expect:
        raise SystemExit(f"tune {' '.join(words)}: exit {done.returncode}: {done.stdout[-400:]} {done.stderr[-400:]}")
    return done.stdout


def _run(*words: str) -> None:
    subprocess.run(words, check=True)


if __name__ == "__main__":
    sys.exit(main())
