"""hftctl tune probe: what interrupts a busy loop on a CPU, how often and for how long."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hftctl.cli import output, tune_probe_view
from hftctl.cli.options import Format, Output, duration_s
from hftctl.errors import UsageError

CLOCKS = ("counter", "system")

Cpus = Annotated[str | None, typer.Option("--cpus", metavar="LIST", help="2-7,10; default: the isolated, else all.")]
Duration = Annotated[float, typer.Option("--duration", metavar="TIME", parser=duration_s, help="10s, 1m.")]
Threshold = Annotated[
    int, typer.Option("--threshold-ns", min=0, help="What counts as a gap; 0: 8 times the loop's own cost.")
]
Clock = Annotated[str | None, typer.Option("--clock", metavar="NAME", help="counter or system; default: the better.")]
Fifo = Annotated[bool, typer.Option("--fifo", help="As SCHED_FIFO: ordinary programs do not count.")]
Save = Annotated[Path | None, typer.Option("--save", metavar="FILE", help="Keep the report, to compare later.")]
Svg = Annotated[Path | None, typer.Option("--svg", metavar="FILE", help="A picture for a browser.")]
Before = Annotated[Path | None, typer.Option("--before", metavar="FILE", help="Compare with this earlier report.")]
After = Annotated[Path | None, typer.Option("--after", metavar="FILE", help="Do not measure; take this report.")]


def probe(
    cpus: Cpus = None,
    duration: Duration = 10.0,
    threshold_ns: Threshold = 0,
    clock: Clock = None,
    fifo: Fifo = False,
    save: Save = None,
    svg: Svg = None,
    before: Before = None,
    after: After = None,
    format_: Output = Format.TEXT,
) -> None:
    """Measure what interrupts a CPU: how often, how long, by what.

    A loop reads the clock without pause on each CPU, which is busy meanwhile.
    Changes nothing on the host.

    \b
    Examples:
      hftctl tune probe --cpus 2-3 --duration 10s --save before.json
      hftctl tune probe --cpus 2-3 --before before.json --svg tuned.svg
      hftctl tune probe --before before.json --after after.json
    """
    from hftctl.tuning import cpu_list
    from hftctl.tuning.probe.compare import compare
    from hftctl.tuning.probe.measure import default_cpus, measure
    from hftctl.tuning.probe.report import load

    if clock is not None and clock not in CLOCKS:
        raise UsageError(f"--clock {clock}: one of {', '.join(CLOCKS)} is wanted", hint="hftctl tune probe --help")
    earlier = None if before is None else load(before)
    if after is not None:
        report = load(after)
    else:
        wanted = default_cpus() if cpus is None else cpu_list.parse(cpus)
        output.say(f"CPU {cpu_list.shown(wanted)} busy for {output.duration(duration)}; Ctrl-C ends it early")
        report = measure(wanted, duration_s=duration, threshold_ns=threshold_ns, clock=clock or "", fifo=fifo)
    compared = None if earlier is None else compare(earlier, report)
    body = tune_probe_view.body(report, compared)
    if save is not None:
        tune_probe_view.write(save, tune_probe_view.kept(body))
    if svg is not None:
        tune_probe_view.write(svg, tune_probe_view.svg(report, earlier))
    if format_ is Format.JSON:
        output.document("TuneProbe", body)
    else:
        tune_probe_view.show(report, earlier, compared)
