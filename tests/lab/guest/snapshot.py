"""What a guest is at a moment: every file that tuning may write, and every setting of the kernel that does not move by itself."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping

from tests.lab.guest.machine import Guest

# Runs inside the guest. Files with mode, owner and content; settings as text.
PROGRAM = r"""
import glob, hashlib, json, os, re, sys
found = {}
for top in ("/etc", "/boot", "/usr/lib/systemd"):
    for folder, _, names in os.walk(top):
        for name in names:
            path = os.path.join(folder, name)
            state = os.lstat(path)
            what = os.readlink(path) if os.path.islink(path) else hashlib.blake2b(open(path, "rb").read()).hexdigest()
            found[path] = [oct(state.st_mode), state.st_uid, state.st_gid, what]
if "kernel" in sys.argv:
    moving = ("random/", "fs/dentry-state", "fs/inode-", "fs/file-nr", "ns_last_pid", "pty/nr", "fs/aio-nr", "nf_conntrack_count",
              "perf_event_max_sample_rate", "perf_cpu_time_max", "vm/stat_refresh", "vm/compact_memory", "vm/drop_caches",
              "vm/user_reserve_kbytes", "ipv4/udp_mem", "ipv4/tcp_mem", "fs/quota", "tcp_fastopen_key", "stable_secret", "kernel/cad_pid")
    paths = [os.path.join(folder, name) for folder, _, names in os.walk("/proc/sys") for name in names]
    paths = [path for path in paths if not any(part in path for part in moving)]
    for pattern in (
        "devices/system/cpu/isolated", "devices/system/cpu/nohz_full", "kernel/mm/transparent_hugepage/enabled",
        "kernel/mm/transparent_hugepage/defrag", "kernel/mm/transparent_hugepage/khugepaged/defrag", "kernel/mm/ksm/run",
        "devices/system/node/node*/hugepages/*/nr_hugepages", "devices/virtual/workqueue/cpumask",
        "devices/virtual/workqueue/*/cpumask", "class/net/*/queues/rx-*/rps_cpus",
    ):
        paths += glob.glob("/sys/" + pattern)
    paths += ["/proc/irq/default_smp_affinity", "/proc/mounts"]
    for path in paths:
        try:
            found[path] = open(path, "rb").read().decode(errors="replace")
        except OSError:
            pass
    # Numbers that the kernel draws at each boot: of a pipe, and of what its free memory holds. And systemd mounts side by side.
    mounts = re.sub(r"(nr_inodes|pipe_ino|fd|pgrp)=\d+", r"\1=", found["/proc/mounts"])
    found["/proc/mounts"] = "".join(sorted(mounts.splitlines(keepends=True)))
print(json.dumps(found))
"""


def snapshot(guest: Guest, *, kernel: bool = False) -> dict[str, object]:
    return json.loads(guest.say(f"python3 -c '{PROGRAM}' {'kernel' if kernel else ''}", 300))


def files_of(seen: Mapping[str, object]) -> dict[str, object]:
    return {path: state for path, state in seen.items() if not path.startswith(("/proc", "/sys"))}


def differences(before: Mapping[str, object], after: Mapping[str, object]) -> list[str]:
    return [
        f"{path}: {_told(before.get(path), after.get(path))}"
        for path in sorted({*before, *after})
        if before.get(path) != after.get(path)
    ]


def _told(before: object, after: object) -> str:
    """Of text with several lines those that came or went."""
    if isinstance(before, str) and isinstance(after, str) and "\n" in before.strip():
        lines = difflib.unified_diff(before.splitlines(), after.splitlines(), n=0, lineterm="")
        return " | ".join(line for line in lines if not line.startswith(("---", "+++", "@@")))
    return f"{before!r} -> {after!r}"
