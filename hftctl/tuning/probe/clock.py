"""Which clock the loop reads, and how many nanoseconds one of its counts is."""

from __future__ import annotations

import time
from dataclasses import dataclass

from hftctl.errors import Inconclusive
from hftctl.tuning.probe import loop

CALIBRATION_S = 0.1
DRIFT_MAX_PPM = 100.0
WANTED = ("constant_tsc", "nonstop_tsc")  # one rate whatever the processor's, and no stop in idle states
ONE = 1 << 32


@dataclass(frozen=True)
class Clock:
    """`scale`: nanoseconds per count times 2^32, what the loop multiplies with."""

    name: str
    why: str
    by_counter: bool
    scale: int
    begin: tuple[int, int]  # counts and nanoseconds when its calibration began

    @property
    def ghz(self) -> float | None:
        return ONE / self.scale if self.by_counter else None

    def drift_ppm(self) -> float:
        """How far the rate over everything since the calibration began is from the calibrated one.

        Raises Inconclusive above DRIFT_MAX_PPM: durations measured by such a counter mean nothing."""
        if not self.by_counter:
            return 0.0
        drift = (_scale(self.begin, loop.stamp(True)) / self.scale - 1) * 1e6
        if abs(drift) > DRIFT_MAX_PPM:
            raise Inconclusive(
                f"the counter {self.name} ran {drift:+.0f} ppm off its calibration meanwhile, more than {DRIFT_MAX_PPM:g}: "
                "what was measured by it is thrown away",
                hint="run it again with the system's clock: hftctl tune probe --clock system",
            )
        return drift


def choose(cpuinfo: str, wanted: str = "") -> Clock:
    """The CPU's counter where its rate is constant, else the system's clock. `wanted`: counter, system, or either."""
    reason = _why_not(cpuinfo)
    if wanted == "system" or (reason and wanted != "counter"):
        return Clock("clock_gettime", reason or "asked for", False, ONE, (0, 0))
    if not loop.COUNTER_NAME:
        raise Inconclusive(
            "this processor has no counter that the probe reads", hint="hftctl tune probe --clock system"
        )
    begin = loop.stamp(True)
    time.sleep(CALIBRATION_S)
    scale = _scale(begin, loop.stamp(True))
    return Clock(loop.COUNTER_NAME, "asked for" if wanted else "its rate is constant", True, scale, begin)


def _why_not(cpuinfo: str) -> str:
    """Empty when the counter can be trusted."""
    if not loop.COUNTER_NAME:
        return "this processor has no counter that the probe reads"
    if loop.COUNTER_NAME != "rdtscp":
        return ""  # the architecture says that it is constant
    flags = next((line.split() for line in cpuinfo.splitlines() if line.startswith("flags")), [])
    missing = [flag for flag in (*WANTED, "rdtscp") if flag not in flags]
    return f"the processor does not say {' '.join(missing)}" if missing else ""


def _scale(begin: tuple[int, int], end: tuple[int, int]) -> int:
    counts, elapsed_ns = end[0] - begin[0], end[1] - begin[1]
    if counts <= 0 or elapsed_ns <= 0:
        raise Inconclusive(
            f"the counter went on by {counts} in {elapsed_ns} ns: nothing can be measured by it",
            hint="run it again with the system's clock: hftctl tune probe --clock system",
        )
    return elapsed_ns * ONE // counts
