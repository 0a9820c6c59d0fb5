"""Settings that circulate and do nothing, or harm: found in this host's own files, each named with what to write instead."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from hftctl.tuning import cpu_list
from hftctl.tuning.boot.command_line import words
from hftctl.tuning.facts.model import Facts
from hftctl.tuning.host import Host
from hftctl.tuning.sysctl_files import CLASSIC, files, lines

GRUB = "/etc/default/grub"
DEAD_SYSCTLS = {
    "net.ipv4.tcp_low_latency": "does nothing since Linux 4.14",
    "net.ipv4.tcp_tw_recycle": "is gone since Linux 4.12; it broke clients behind NAT",
    "net.ipv4.tcp_fack": "does nothing since Linux 4.15",
    "kernel.sched_min_granularity_ns": "is gone since Linux 5.13 (it moved to debugfs, and changed its name in 6.6)",
    "kernel.sched_wakeup_granularity_ns": "is gone since Linux 5.13 (it moved to debugfs, and is no more since 6.6)",
    "kernel.sched_migration_cost_ns": "is gone since Linux 5.13 (it moved to debugfs)",
    "kernel.sched_latency_ns": "is gone since Linux 5.13 (it moved to debugfs, and is no more since 6.6)",
}
HARMFUL_SYSCTLS = {
    (
        "vm.nr_hugepages",
        "",
    ): "spreads huge pages over the nodes as the kernel likes, and says nothing when it grants fewer; "
    "hftctl asks each node and reads back",
    ("vm.swappiness", "0"): "lets the kernel kill programs before it swaps anything; 10 is meant",
    (
        "net.ipv4.tcp_timestamps",
        "0",
    ): "takes away protection against wrapped sequence numbers; it wins nothing measurable",
    ("vm.overcommit_memory", "2"): "makes allocations fail that would never be used",
}
HARMFUL_PARAMETERS = {
    "idle=poll": "burns every CPU, so that none has room for turbo; a wake-up limit (idle-states) does the same and lets go",
    "mitigations=off": "lets programs read each other's memory; decide that with whoever answers for this machine",
    "processor.max_cstate=0": "is no value: 1 is the lowest that counts",
    "intel_idle.max_cstate=0": "turns the driver off, and acpi_idle takes over with its own states",
}
NO_PARAMETERS = {
    "isolated_cores": "is a word of TuneD, no parameter of the kernel, which passes it on to init: nothing is isolated; "
    "isolcpus is meant",
    "isolcpu": "is no parameter of the kernel: isolcpus is meant",
    "nohz_cpus": "is no parameter of the kernel: nohz_full is meant",
    "hugepage": "is no parameter of the kernel: hugepages is meant",
}


@dataclass(frozen=True)
class DeadKnob:
    where: str  # file:line, or /proc/cmdline
    what: str
    why: str


def found(host: Host, facts: Facts) -> Iterator[DeadKnob]:
    yield from _sysctls(host)
    yield from _parameters("/proc/cmdline", facts.kernel.command_line)
    for number, text in enumerate((host.read(GRUB) or "").splitlines(), 1):
        where, line = f"{GRUB}:{number}", text.strip()
        if variable := re.match(r"(GRUB_CMDLINE_LINUX(?:_DEFAULT)?)=[\"']?(.*?)[\"']?$", line):
            yield from _parameters(where, variable[2])
        elif (name := line.partition("=")[0]) in {*NO_PARAMETERS, "isolcpus", "nohz_full", "rcu_nocbs", "hugepages"}:
            why = NO_PARAMETERS.get(name, "is a parameter of the kernel")
            yield DeadKnob(where, line, f"{why}; on a line of its own here it is a variable that GRUB never looks at")


def _sysctls(host: Host) -> Iterator[DeadKnob]:
    seen: dict[str, str] = {}
    for file in dict.fromkeys([*files(host), CLASSIC]):
        for line in lines(host, file):
            where, what = f"{line.file}:{line.line}", f"{line.key} = {line.value}"
            if line.key in DEAD_SYSCTLS:
                yield DeadKnob(where, what, DEAD_SYSCTLS[line.key])
            for (key, value), why in HARMFUL_SYSCTLS.items():
                if line.key == key and value in {"", line.value}:
                    yield DeadKnob(where, what, why)
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
        if word in HARMFUL_PARAMETERS:
            yield DeadKnob(where, word, HARMFUL_PARAMETERS[word])
        if name in {"isolcpus", "nohz_full"} and _names_cpu_0(value):
            does = (
                "the kernel takes it out of nohz_full by itself"
                if name == "nohz_full"
                else "it can never be free of work"
            )
            yield DeadKnob(where, word, f"names CPU 0, which keeps the time and answers at boot: {does}")


def _names_cpu_0(value: str) -> bool:
    lists = [part for part in value.split(",") if re.fullmatch(r"\d+(-\d+)?", part)]
    return bool(lists) and 0 in cpu_list.parse(",".join(lists))
