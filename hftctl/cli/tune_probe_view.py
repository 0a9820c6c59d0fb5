"""What a measurement of the probe looks like, and the comparison of two."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hftctl.cli import output
from hftctl.errors import UsageError

if TYPE_CHECKING:
    from hftctl.tuning.probe.compare import CpuChange
    from hftctl.tuning.probe.report import CpuReport, Report

HEADS = ["CPU", "P50", "P99.9", "P99.99", "P99.999", "LONGEST", "GAPS/S", "LOST PPM", "INTERRUPTS/S", "SWITCHES"]
SOURCES_SHOWN = 5


def body(report: Report, compared: Sequence[CpuChange] | None) -> dict[str, Any]:
    return {**report.body(), "comparison": None if compared is None else list(compared)}


def kept(found: dict[str, Any]) -> str:
    whole = {"apiVersion": output.API_VERSION, "kind": "TuneProbe", **found, "comparison": None}
    return json.dumps(whole, indent=1) + "\n"


def write(path: Path, text: str) -> None:
    from hftctl.paths import write_atomic

    try:
        write_atomic(path, text)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}", hint="name another file") from error


def svg(report: Report, earlier: Report | None) -> str:
    from hftctl.tuning.probe.svg import draw

    subtitle = f"{report.processor}, kernel {report.kernel}, {report.measured_at}, clock {report.clock}"
    return draw("What interrupts a busy CPU", subtitle, _series(report, earlier))


def show(report: Report, earlier: Report | None, compared: Sequence[CpuChange] | None) -> None:
    from hftctl.tuning.probe.picture import lines, nanoseconds, per_second
    from hftctl.tuning.probe.reading import reading

    def times(cpu: CpuReport) -> list[str]:
        found = [cpu.steps.percentile(percent) for percent in (50, 99.9, 99.99, 99.999)]
        return [nanoseconds(value) for value in [*found, cpu.longest_ns]]

    if report.interrupted:
        output.say("interrupted: what was measured until then")
    rows = [
        [
            cpu.cpu, *times(cpu), per_second(cpu.gaps_per_s), f"{cpu.lost_ppm:,.0f}",
            per_second(cpu.counted.interrupts_per_s), cpu.voluntary + cpu.involuntary,
        ]
        for cpu in report.cpus
    ]  # fmt: skip
    output.columns(HEADS, rows)
    for name, cpu in _series(report, None):
        output.put()
        series = [(name, cpu)]
        if earlier is not None:
            series = [("before", one) for one in earlier.cpus if one.cpu == cpu.cpu] + [("after", cpu)]
        output.put(
            output.paint(f"{name}, {cpu.elapsed_s:.3g} s, a gap is {nanoseconds(cpu.threshold_ns)} or more", "1")
        )
        for line in lines(series, width=output.width()):
            output.put(line)
        shown = list(cpu.counted.interrupts.items())[:SOURCES_SHOWN]
        if shown:
            output.hanging("  interrupts:", ", ".join(f"{source} {count:,}" for source, count in shown), gap=" ")
        for sentence in reading(cpu):
            output.hanging("  -", sentence, gap=" ")
        output.hanging(
            "  -",
            f"longer than {nanoseconds(cpu.longest_ns)}: less than {cpu.unseen_per_s:.2g} a second, at 95 %",
            gap=" ",
        )
    if compared is not None:
        output.put()
        _changes(compared)
    if not report.memory_locked:
        output.say("memory was not locked (RLIMIT_MEMLOCK): a page that is fetched counts as a gap")


def _changes(compared: Sequence[CpuChange]) -> None:
    from hftctl.tuning.probe.picture import nanoseconds

    def value(measure: str, found: float | None) -> str:
        if found is None:
            return "-"
        return nanoseconds(found) if measure.endswith("_ns") else f"{found:,.1f}"

    rows = []
    for one in compared:
        for change in one.changes:
            factor = "-" if change.factor is None else f"{change.factor:,.3g} times less"
            if change.factor is not None and change.factor < 1:
                factor = f"{1 / change.factor:,.3g} times more"
            said = f"{factor}, by chance perhaps" if change.chance else factor
            name = change.measure.removesuffix("_ns").replace("_per_s", "/s").replace("p99_", "p99.").replace("_", " ")
            rows.append(
                [one.cpu, name, value(change.measure, change.before), value(change.measure, change.after), said]
            )
    output.columns(["CPU", "WHAT", "BEFORE", "AFTER", ""], rows)


def _series(report: Report, earlier: Report | None) -> list[tuple[str, CpuReport]]:
    before = [] if earlier is None else [(f"before, CPU {cpu.cpu}", cpu) for cpu in earlier.cpus]
    return before + [(f"after, CPU {cpu.cpu}" if before else f"CPU {cpu.cpu}", cpu) for cpu in report.cpus]
