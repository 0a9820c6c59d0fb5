"""Whether a host is as the last apply made it: what is in effect, not what stands in files alone. Reads only."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hftctl.errors import NotFound
from hftctl.operations.host import open_host
from hftctl.tuning import cpu_list, persistence, sysctl_files
from hftctl.tuning.actuator import told
from hftctl.tuning.effective import effects
from hftctl.tuning.facts.kernel import interrupts
from hftctl.tuning.host import Host
from hftctl.tuning.knobs.sysctl import key_of
from hftctl.tuning.places import pages
from hftctl.tuning.places.interrupt import numbers
from hftctl.tuning.places.kind import split
from hftctl.tuning.places.registry import place
from hftctl.tuning.state import Applied, HostState, Standing

GOOD = ("ok", "unsupported")
PENDING = "pending-reboot"


@dataclass(frozen=True)
class Verdict:
    subject: str
    answer: str  # ok, drift, pending-reboot, not-effective, overruled, unsupported
    message: str


@dataclass(frozen=True)
class Verification:
    host: str
    profile: str
    applied_ns: int
    verdicts: tuple[Verdict, ...]

    @property
    def bad(self) -> tuple[Verdict, ...]:
        return tuple(one for one in self.verdicts if one.answer not in GOOD)


def verify(root: Path) -> Verification:
    host = open_host(root)
    state = HostState(host)
    applied = state.applied
    if applied is None:
        raise NotFound("no host profile is applied on this host", hint="see what would be done: hftctl tune plan")
    found = (*_places(host, applied), *_parameters(host, applied), *_overruled(host, applied))
    name = host.read("/proc/sys/kernel/hostname") or ""
    return Verification(name, applied.profile, applied.time_ns, found)


def _places(host: Host, applied: Applied) -> Iterator[Verdict]:
    lines = interrupts(host)
    for one in applied.settings:
        kind, where = place(one.subject)
        live = kind.read(host, where)
        if live != one.wanted:
            yield Verdict(one.subject, "drift", f"is {told(live)}; wanted: {told(one.wanted)}")
        else:
            yield Verdict(one.subject, "ok", _effective(host, one, lines) or told(live))
    for subject in applied.unchangeable:
        yield Verdict(subject, "unsupported", "the kernel keeps it to itself")


def _effective(host: Host, one: Standing, lines: dict[str, str]) -> str:
    """An interrupt moves when it comes the next time; pages are there once the kernel counts them."""
    kind, where = split(one.subject)
    if kind == "pages":
        return pages.effect(host, where)
    if kind != "interrupt" or one.wanted is None:
        return ""
    number = numbers(lines).get(where)
    there = cpu_list.parse(host.read(f"/proc/irq/{number}/effective_affinity_list") or "")
    if set(there) <= set(cpu_list.parse(str(one.wanted["cpus"]))):
        return ""
    return f"{one.wanted['cpus']}; still on {cpu_list.shown(there)} until it comes the next time"


def _parameters(host: Host, applied: Applied) -> Iterator[Verdict]:
    for effect in effects(host, host.read("/proc/cmdline") or "", list(applied.arguments)):
        answer = PENDING if not effect.accepted else "not-effective" if effect.effective == "no" else "ok"
        yield Verdict(f"parameter:{effect.parameter}", answer, effect.message)


def _overruled(host: Host, applied: Applied) -> Iterator[Verdict]:
    values = {
        key_of(split(one.subject)[1]): str((one.wanted or {}).get("value"))
        for one in applied.settings
        if one.subject.startswith("kernel:/proc/sys/")
    }
    for line in sysctl_files.overruled(host, persistence.SYSCTLS, values):
        message = f"{line.file}:{line.line} says {line.value}, and is read after our file at the next boot"
        yield Verdict(f"sysctl:{line.key}", "overruled", message)
