"""What the numbers of a CPU say: who took the time, and which knob keeps it from doing so."""

from __future__ import annotations

from collections.abc import Iterator

from hftctl.tuning.probe.report import CpuReport

TICK = ("LOC", "arch_timer")  # x86, arm
TICK_PER_S = 50.0  # the slowest HZ there is, halved; below it the tick is off
CALLS = {"RES", "CAL", "TLB", "IWI"}
CALLS_PER_S = 1.0
STEAL_SHARE = 0.001
SWITCHES_PER_S = 0.5


def reading(cpu: CpuReport) -> Iterator[str]:
    """Sentences, the most certain first. Silence means that nothing here explains what is left: firmware or a host."""
    rates = {name: count / cpu.elapsed_s for name, count in cpu.counted.interrupts.items()}
    tick = sum(rate for name, rate in rates.items() if name.split()[-1] in TICK)
    if tick >= TICK_PER_S:
        yield f"the tick runs, {tick:,.0f} a second: nohz_full, and one busy task only, stop it"
    if (calls := sum(rate for name, rate in rates.items() if name in CALLS)) >= CALLS_PER_S:
        yield f"other CPUs call it {calls:,.0f} times a second (RES, CAL, TLB, IWI): isolcpus and workqueue masks"
    for name, rate in rates.items():
        if name[0].isdigit() and name.split()[-1] not in TICK and rate >= CALLS_PER_S:
            yield f"the device {name.partition(' ')[2] or name} interrupts it {rate:,.0f} times a second: its IRQ affinity"
    if cpu.involuntary / cpu.elapsed_s >= SWITCHES_PER_S:
        yield f"it was taken away for other tasks {cpu.involuntary} times: isolcpus keeps them off"
    if cpu.counted.steal_ms / 1000 > STEAL_SHARE * cpu.elapsed_s:
        yield f"the hypervisor gave {cpu.counted.steal_ms:,.0f} ms of it to others: nothing in the guest mends that"
    if cpu.counted.smi:
        yield f"firmware took it {cpu.counted.smi} times (SMI): a matter of BIOS settings"
    if cpu.counted.throttled:
        yield f"heat slowed it down {cpu.counted.throttled} times"
