"""Settings that circulate and do nothing, or harm: found in this host's own files, each named with what to write instead."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from hftctl.tuning import cpu_list
from hftctl.tuning.boot.command_line import MEANT, words
from hftctl.tuning.facts.model import Facts
from hftctl.tuning.host import Host
from hftctl.tuning.knobs.sysctl import path_of
from hftctl.tuning.sysctl_files import CLASSIC, files, lines

GRUB = "/etc/default/grub"
MOVED = "is gone since Linux 5.13 (it moved to debugfs{more})"
DEAD_SYSCTLS = {
    "net.ipv4.tcp_low_latency": "does nothing since Linux 4.14",
    "net.ipv4.tcp_tw_recycle": "is gone since Linux 4.12; it broke clients behind NAT",
    "net.ipv4.tcp_fack": "does nothing since Linux 4.15",
    "net.ipv4.tcp_frto_response": "is gone since Linux 3.10",
    "kernel.sched_min_granularity_ns": MOVED.format(more=", and changed its name in 6.6"),
    "kernel.sched_wakeup_granularity_ns": MOVED.format(more=", and is no more since 6.6"),
    "kernel.sched_latency_ns": MOVED.format(more=", and is no more since 6.6"),
    "kernel.sched_migration_cost_ns": MOVED.format(more=""),
    "kernel.sched_nr_migrate": MOVED.format(more=""),
    "kernel.sched_tunable_scaling": MOVED.format(more=""),
    "kernel.sched_child_runs_first": "is gone since Linux 6.7, and meant nothing since 6.6",
}
HARMFUL_SYSCTLS = {  # key and value; no value: whatever it is
    ("vm.nr_hugepages", ""): "spreads huge pages over the nodes as the kernel likes, and says nothing when it grants fewer; hftctl "
    "asks each node and reads back",
    ("vm.swappiness", "0"): "lets the kernel kill programs before it swaps anything; 10 is meant",
    ("vm.overcommit_memory", "2"): "makes allocations fail that would never be used",
    ("vm.drop_caches", ""): "is a command, no setting: each boot throws the page cache away once",
    ("net.ipv4.tcp_timestamps", "0"): "takes away protection against wrapped sequence numbers; it wins nothing measurable",
    ("net.ipv4.tcp_sack", "0"): "sends a whole window again for one lost packet",
    ("net.ipv4.tcp_window_scaling", "0"): "keeps windows below 64 KiB, however large the buffers are",
    ("kernel.sched_rt_runtime_us", "-1"): "lets a real-time thread that never sleeps hang its core; isolated CPUs do not need it",
    ("kernel.randomize_va_space", "0"): "puts programs where an attacker expects them; it wins nothing measurable",
    ("kernel.shmmax", ""): "lowers a limit that there is none of since Linux 3.16",
    ("kernel.shmall", ""): "lowers a limit that there is none of since Linux 3.16",
}  # fmt: skip
OPEN = "lets programs read each other's memory; decide that with whoever answers for this machine"
HARMFUL_PARAMETERS = {
    "idle=poll": "burns every CPU, so that none has room for turbo; a wake-up limit (idle-states) does the same and lets go",
    **dict.fromkeys(
        ("mitigations=off", "nopti", "pti=off", "spectre_v2=off", "nospectre_v2", "mds=off", "l1tf=off"), OPEN
    ),
    "processor.max_cstate=0": "is no value: 1 is the lowest that counts",
    "intel_idle.max_cstate=0": "turns the driver off, and acpi_idle takes over with its own states",
    "nohz=off": "keeps the tick on all CPUs, whatever nohz_full says",
    "notsc": "makes each look at the clock a slow one, or does nothing (on 64 bits)",
    "clocksource=hpet": "makes each look at the clock take a microsecond",
    "numa=off": "makes one node of all: memory is far away as often as near",
}
DEAD_PARAMETERS = {  # with any value
    "elevator": "does nothing since Linux 5.0: a disk's scheduler is set by udev",
}
NO_PARAMETERS = {name: f"is no parameter of the kernel: {meant} is meant" for name, meant in MEANT.items()} | {
    "isolated_cores": "is a word of TuneD, no parameter of the kernel, which passes it on to init: nothing is isolated; "
    "isolcpus is meant",
}
ADMINISTRATORS = ("/etc/sysctl.d/", "/run/sysctl.d/", CLASSIC)  # a distribution's own files are for many kernels
PAGE_BYTES = 4096


@dataclass(frozen=True)
class DeadKnob:
    where: str  # file:line, or /proc/cmdline
    what: str
    why: str


def found(host: Host, facts: Facts) -> Iterator[DeadKnob]:
    yield from _sysctls(host, facts)
    yield from _parameters("/proc/cmdline", facts.kernel.command_line)
    for number, text in enumerate((host.read(GRUB) or "").splitlines(), 1):
        where, line = f"{GRUB}:{number}", text.strip()
        if variable := re.match(r"(GRUB_CMDLINE_LINUX(?:_DEFAULT)?)=[\"']?(.*?)[\"']?$", line):
            yield from _parameters(where, variable[2])
        elif (name := line.partition("=")[0]) in {*NO_PARAMETERS, "isolcpus", "nohz_full", "rcu_nocbs", "hugepages"}:
            why = NO_PARAMETERS.get(name, "is a parameter of the kernel")
            yield DeadKnob(where, line, f"{why}; on a line of its own here it is a variable that GRUB never looks at")


def _sysctls(host: Host, facts: Facts) -> Iterator[DeadKnob]:
    seen: dict[str, str] = {}
    for file in dict.fromkeys([*files(host), CLASSIC]):
        for line in lines(host, file):
            where, what = f"{line.file}:{line.line}", f"{line.key} = {line.value}"
            if line.key in DEAD_SYSCTLS:
                yield DeadKnob(where, what, DEAD_SYSCTLS[line.key])
            elif why := HARMFUL_SYSCTLS.get((line.key, line.value)) or HARMFUL_SYSCTLS.get((line.key, "")):
                yield DeadKnob(where, what, why)
            elif line.key == "net.ipv4.tcp_mem" and (limit := _most(line.value) * PAGE_BYTES) > facts.memory_bytes:
                yield DeadKnob(
                    where,
                    what,
                    f"is in pages, not in bytes: {limit >> 30} GiB for a machine of {facts.memory_bytes >> 30}",
                )
            elif file.startswith(ADMINISTRATORS) and "*" not in line.key and not host.exists(path_of(line.key)):
                yield DeadKnob(
                    where, what, "does nothing: this kernel has no such sysctl, or not before some module is loaded"
                )
            if file == CLASSIC and line.key in seen:
                yield DeadKnob(
                    where, what, f"stands there again, as {seen[line.key]} has it: appended (>>) more than once"
                )
            if file == CLASSIC:
                seen[line.key] = where


def _parameters(where: str, line: str) -> Iterator[DeadKnob]:
    for word in words(line):
        name, _, value = word.partition("=")
        if name in NO_PARAMETERS:
            yield DeadKnob(where, word, NO_PARAMETERS[name])
        if name in DEAD_PARAMETERS:
            yield DeadKnob(where, word, DEAD_PARAMETERS[name])
        if word in HARMFUL_PARAMETERS:
            yield DeadKnob(where, word, HARMFUL_PARAMETERS[word])
        if name in {"isolcpus", "nohz_full"} and _names_cpu_0(value):
            does = (
                "the kernel takes it out of nohz_full by itself"
                if name == "nohz_full"
                else "it can never be free of work"
            )
            yield DeadKnob(where, word, f"names CPU 0, which keeps the time and answers at boot: {does}")


def _most(value: str) -> int:
    return max((int(number) for number in value.split() if number.isdecimal()), default=0)


def _names_cpu_0(value: str) -> bool:
    lists = [part for part in value.split(",") if re.fullmatch(r"\d+(-\d+)?", part)]
    return bool(lists) and 0 in cpu_list.parse(",".join(lists))
