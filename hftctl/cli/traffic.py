"""hftctl load and replay: traffic through a running stack, made by processes of the data plane."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from hftctl.cli import output, traffic_report
from hftctl.cli.options import Deployment, Format, Output, duration_s
from hftctl.errors import NotFound, UsageError

DURATION_MAX_S = 86_400.0

IMean = Annotated[
    str | None, typer.Option("--i-mean", metavar="NAME", help="Yes, this deployment, though it is production.")
]


Symbols = Annotated[
    str | None, typer.Option("--symbols", metavar="A,B", help="Only these instruments; else all that are open.")
]


class Mix(StrEnum):
    ORDERS = "orders"
    WITH_CANCELS = "orders+cancels"


def load(
    name: Deployment = None,
    clients: Annotated[int, typer.Option("--clients", min=1, max=10_000, help="Connections that ask at once.")] = 40,
    duration: Annotated[float, typer.Option("--duration", metavar="TIME", parser=duration_s, help="30s, 2m.")] = 60.0,
    rate: Annotated[
        int | None,
        typer.Option("--rate", min=1, max=10_000_000, help="Orders per second, open loop; else closed loop."),
    ] = None,
    workers: Annotated[int, typer.Option("--workers", min=1, max=256, help="Processes that make the load.")] = 1,
    mix: Annotated[Mix, typer.Option("--mix", help="Only new orders, or some of them cancelled too.")] = Mix.ORDERS,
    symbols: Symbols = None,
    target_rate: Annotated[
        float | None, typer.Option("--target-rate", min=0.0, help="Exit code 11 below so many per second.")
    ] = None,
    account: Annotated[
        str, typer.Option("--account", metavar="NAME", help="Of its own: it is cancelled whole.")
    ] = "load",
    i_mean: IMean = None,
    format_: Output = Format.TEXT,
) -> None:
    """Send orders and report what came back, how late, and how fast.

    With --rate latency counts from the intended send time; without it from the
    moment a client was free. Exit code 11 below the target, or when a request
    failed.

    \b
    Examples:
      hftctl load --clients 40 --duration 60s
      hftctl load --rate 20000 --duration 30s --workers 2 -o json
    """
    from hftctl.cli.generator import run, sync_probe

    if not 0 < duration <= DURATION_MAX_S:
        raise UsageError(f"--duration is {duration:g} s; it is above 0 and at most one day", hint="--duration 60s")
    if workers > clients:
        raise UsageError(f"{workers} workers for {clients} clients: each needs one", hint=f"--workers {clients}")
    words = ["--clients", str(clients), "--duration", str(duration), "--workers", str(workers), "--account", account]
    words += ["--mix", mix.value]
    words += [] if symbols is None else ["--symbols", *_names(symbols)]
    words += [] if rate is None else ["--rate", str(rate)]
    words += [] if target_rate is None else ["--target-rate", str(target_rate)]
    words += ["--i-mean"] if i_mean else []
    words += sync_probe(name)
    output.say(f"{clients} clients for {output.duration(duration)}; Ctrl-C ends it early, with a report")
    report, code = run("stack.traffic.load", name, words, i_mean=i_mean)
    traffic_report.load(report, code, format_)


def replay(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A captured day, compressed or not.")],
    name: Deployment = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Only the first so many records.")] = None,
    account: Annotated[str, typer.Option("--account", metavar="NAME", help="Of its own.")] = "replay",
    i_mean: IMean = None,
    format_: Output = Format.TEXT,
) -> None:
    """Send captured market activity through the stack and compare.

    Every answer is compared with what the reference book says; exit code 10
    when one differs.

    \b
    Examples:
      hftctl replay esh4.mbo.dbn.zst
      hftctl replay btcusdt.gz --limit 10000 -o json
    """
    from hftctl.cli.generator import run

    if not file.is_file():
        raise NotFound(f"no captured activity at {file}")
    words = [str(file.absolute()), "--account", account] + ([] if limit is None else ["--limit", str(limit)])
    report, code = run("stack.traffic.replay", name, words, i_mean=i_mean)
    traffic_report.replay(report, code, format_)


def _names(symbols: str) -> list[str]:
    names = [name.strip() for name in symbols.split(",")]
    if not all(names):
        raise UsageError(
            f"--symbols '{symbols}': names with commas between them are wanted", hint="--symbols AAPL,MSFT"
        )
    return names
