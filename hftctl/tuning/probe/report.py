"""What a measurement found, as a document that can be kept, compared and drawn."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hftctl.errors import NotFound, UsageError
from hftctl.tuning.probe.counters import Difference
from hftctl.tuning.probe.histogram import Histogram

if TYPE_CHECKING:
    from hftctl.tuning.probe.loop import Spun

KIND = "TuneProbe"
PERCENTS = {"p50": 50.0, "p90": 90.0, "p99": 99.0, "p99_9": 99.9, "p99_99": 99.99, "p99_999": 99.999}
NEVER_SEEN_EVENTS = 3.0  # none seen in T seconds: at 95 % the rate is below 3/T
FILE_BYTES_MAX = 64 << 20


@dataclass(frozen=True)
class CpuReport:
    """Of one CPU. A step is one round of the loop; a gap is a step of at least `threshold_ns`."""

    cpu: int
    elapsed_s: float
    steps: Histogram
    threshold_ns: int
    gaps: int
    lost_ppm: float  # of the time, in gaps, beyond what the loop itself takes
    longest_ns: int
    worst: tuple[tuple[int, int], ...]  # (ns since the begin, length in ns), the longest first
    counted: Difference
    voluntary: int
    involuntary: int
    faults: int

    @property
    def floor_ns(self) -> int:
        return next((lowest for lowest, _, _ in self.steps.filled()), 0)

    @property
    def gaps_per_s(self) -> float:
        return self.gaps / self.elapsed_s

    @property
    def unseen_per_s(self) -> float:
        """At 95 %: how often at most something longer than the longest gap happens."""
        return NEVER_SEEN_EVENTS / self.elapsed_s

    def body(self) -> dict[str, Any]:
        steps, gaps = (
            self.steps,
            {name: self.steps.percentile(p, from_ns=self.threshold_ns) for name, p in PERCENTS.items()},
        )
        return {
            "cpu": self.cpu,
            "elapsed_s": round(self.elapsed_s, 6),
            "steps": steps.total,
            "step_ns": {"floor": self.floor_ns, **{name: steps.percentile(p) for name, p in PERCENTS.items()}},
            "max_ns": self.longest_ns or max((highest for _, highest, _ in steps.filled()), default=0),
            "gaps": {
                "threshold_ns": self.threshold_ns,
                "count": self.gaps,
                "per_s": round(self.gaps_per_s, 3),
                "lost_ppm": round(self.lost_ppm, 3),
                "ns": gaps,
                "longer_than_max_per_s_below": round(self.unseen_per_s, 4),
                "worst": [{"at_s": round(at / 1e9, 6), "ns": gap} for at, gap in self.worst],
            },
            "interrupts_per_s": round(self.counted.interrupts_per_s, 3),
            "interrupts": dict(self.counted.interrupts),
            "softirqs": dict(self.counted.softirqs),
            "steal_ms": round(self.counted.steal_ms, 3),
            "switches": {"voluntary": self.voluntary, "involuntary": self.involuntary},
            "page_faults": self.faults,
            "smi": self.counted.smi,
            "throttled": self.counted.throttled,
            "histogram": steps.encode(),
        }


@dataclass(frozen=True)
class Report:
    measured_at: str  # UTC
    kernel: str
    processor: str
    isolated: str
    nohz_full: str
    clock: str
    clock_why: str
    clock_ghz: float | None
    clock_drift_ppm: float
    asked_s: float
    interrupted: bool
    memory_locked: bool
    fifo: bool
    cpus: tuple[CpuReport, ...]

    def body(self) -> dict[str, Any]:
        return {
            "measured_at": self.measured_at,
            "host": {
                "kernel": self.kernel,
                "processor": self.processor,
                "isolated": self.isolated,
                "nohz_full": self.nohz_full,
            },
            "clock": {
                "name": self.clock,
                "why": self.clock_why,
                "ghz": None if self.clock_ghz is None else round(self.clock_ghz, 6),
                "drift_ppm": round(self.clock_drift_ppm, 3),
            },
            "asked_s": self.asked_s,
            "interrupted": self.interrupted,
            "memory_locked": self.memory_locked,
            "fifo": self.fifo,
            "cpus": [cpu.body() for cpu in self.cpus],
        }


def cpu_report(cpu: int, spun: Spun, counted: Difference) -> CpuReport:
    steps = Histogram.from_bytes(spun["steps"])
    floor_ns = next((lowest for lowest, _, _ in steps.filled()), 0)
    return CpuReport(
        cpu=cpu,
        elapsed_s=spun["elapsed_ns"] / 1e9,
        steps=steps,
        threshold_ns=spun["threshold_ns"],
        gaps=spun["gaps"],
        lost_ppm=1e6 * (spun["gaps_ns"] - spun["gaps"] * floor_ns) / spun["elapsed_ns"],
        longest_ns=spun["longest_ns"],
        worst=tuple(sorted(spun["worst"], key=lambda one: -one[1])),
        counted=counted,
        voluntary=spun["voluntary"],
        involuntary=spun["involuntary"],
        faults=spun["faults"],
    )


def load(path: Path) -> Report:
    """A report that `--save` wrote, or what `-o json` printed. Raises NotFound and UsageError."""
    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            raise UsageError(f"{path} has more than {FILE_BYTES_MAX >> 20} MiB: it is no report of the probe")
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise NotFound(
            f"cannot read the report {path}: {error.strerror}", hint="hftctl tune probe --save FILE"
        ) from error
    except ValueError as error:
        raise UsageError(f"{path} is no JSON document: {error}", hint="hftctl tune probe --save FILE") from error
    if not isinstance(found, dict) or found.get("kind") != KIND:
        raise UsageError(f"{path} is no report of the probe (kind {KIND})", hint="hftctl tune probe --save FILE")
    try:
        return _report(found)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UsageError(
            f"{path} is no whole report of the probe: {error!r}", hint="hftctl tune probe --save FILE"
        ) from error


def _report(found: Mapping[str, Any]) -> Report:
    host, clock = found["host"], found["clock"]
    return Report(
        measured_at=str(found["measured_at"]),
        kernel=str(host["kernel"]),
        processor=str(host["processor"]),
        isolated=str(host["isolated"]),
        nohz_full=str(host["nohz_full"]),
        clock=str(clock["name"]),
        clock_why=str(clock["why"]),
        clock_ghz=clock["ghz"],
        clock_drift_ppm=float(clock["drift_ppm"]),
        asked_s=float(found["asked_s"]),
        interrupted=bool(found["interrupted"]),
        memory_locked=bool(found["memory_locked"]),
        fifo=bool(found["fifo"]),
        cpus=tuple(map(_cpu, found["cpus"])),
    )


def _cpu(found: Mapping[str, Any]) -> CpuReport:
    gaps = found["gaps"]
    counted = Difference(
        interrupts_per_s=float(found["interrupts_per_s"]),
        interrupts={str(name): int(count) for name, count in found["interrupts"].items()},
        softirqs={str(name): int(count) for name, count in found["softirqs"].items()},
        steal_ms=float(found["steal_ms"]),
        smi=found["smi"],
        throttled=found["throttled"],
    )
    if not float(found["elapsed_s"]) > 0:
        raise ValueError(f"CPU {found['cpu']} was measured for {found['elapsed_s']} s")
    return CpuReport(
        cpu=int(found["cpu"]),
        elapsed_s=float(found["elapsed_s"]),
        steps=Histogram.decode(found["histogram"]),
        threshold_ns=int(gaps["threshold_ns"]),
        gaps=int(gaps["count"]),
        lost_ppm=float(gaps["lost_ppm"]),
        longest_ns=int(found["max_ns"]),
        worst=tuple((int(one["at_s"] * 1e9), int(one["ns"])) for one in gaps["worst"]),
        counted=counted,
        voluntary=int(found["switches"]["voluntary"]),
        involuntary=int(found["switches"]["involuntary"]),
        faults=int(found["page_faults"]),
    )
