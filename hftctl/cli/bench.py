"""hftctl bench: benchmarks of the source tree, as commands."""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer

from hftctl.cli import output
from hftctl.cli.options import Format, Output

app = typer.Typer(no_args_is_help=True, help="Benchmarks, from a checkout of the sources.")


@app.command()
def scaling(
    profile: Annotated[str, typer.Option("--profile", metavar="PROFILE", help="Of the target compose.")] = "compose",
    gateways: Annotated[str, typer.Option("--gateways", metavar="N,N", help="Numbers to compare.")] = "1,4,8",
    rounds: Annotated[int | None, typer.Option("--rounds", min=1, max=99, help="Runs of each; default 3.")] = None,
    seconds: Annotated[int | None, typer.Option("--seconds", min=1, max=600, help="Of each run; default 4.")] = None,
    tries: Annotated[
        int | None, typer.Option("--tries", min=1, max=9, help="Of a run that others disturb; default 3.")
    ] = None,
    local: Annotated[bool, typer.Option("--local", help="Measure the local stack's ratio, too.")] = False,
    short: Annotated[bool, typer.Option("--short", help="One short run of each, generous targets.")] = False,
    format_: Output = Format.TEXT,
) -> None:
    """Measure 1, 4 and 8 gateways on Docker, and the seed design beside them.

    Brings up deployments of its own and takes them down. Exit code 11 when the
    most gateways are below 0.90 of the best number, or when, with --local, the
    ratio to the seed design differs from the local stack's by more than 1.5.

    \b
    Examples:
      hftctl bench scaling
      hftctl bench scaling --gateways 1,2 --rounds 1 -o json
    """
    from hftctl.cli.sender import ended
    from hftctl.errors import BelowTarget, Failed, NotFound, UsageError
    from hftctl.paths import package_folder

    if not all(word.isdigit() and 0 < int(word) <= 64 for word in gateways.split(",")):
        raise UsageError(f"--gateways is '{gateways}'; it is numbers from 1 to 64", hint="--gateways 1,4,8")
    if not (package_folder("stack").parent / "benchmarks" / "docker_scaling.py").is_file():
        raise NotFound("benchmarks are in the source tree, and this hftctl is installed without it",
                       hint="run it in a checkout of the sources")  # fmt: skip
    words = ["--profile", profile, "--gateways", gateways, "--json"]
    for name, number in (("--rounds", rounds), ("--seconds", seconds), ("--tries", tries)):
        words += [] if number is None else [name, str(number)]
    words += [flag for flag, wanted in (("--local", local), ("--short", short)) if wanted]
    said, last, code = ended([sys.executable, "-m", "benchmarks.docker_scaling", *words], ())
    if code not in (0, BelowTarget.exit_code):
        raise Failed(f"cannot measure: {last or f'the benchmark ended with exit status {code}'}")
    found = json.loads(said)
    if format_ is Format.JSON:
        output.document("Scaling", found)
    else:
        _table(found)
    if found["ratio"] < found["target"]:
        raise BelowTarget(
            f"the most gateways reach {found['ratio']} of the best number, {found['target']} is the target"
        )
    if not found["met"]:
        raise BelowTarget(
            f"ours is {found['ratio_seed']} times the seed design on Docker and {found['ratio_seed_local']} times without; a factor of"
            " 1.5 between them is the target"
        )


def _table(found: dict[str, object]) -> None:
    designs = found["designs"]
    assert isinstance(designs, dict)  # noqa: S101 - our own document
    rows = [
        [
            name,
            f"{run['per_s']:,.0f}",
            f"{run['per_s_min']:,.0f}",
            f"{run['per_s_max']:,.0f}",
            run["latency_ms"].get("p50"),
            run["latency_ms"].get("p99"),
            f"{run['cpu_us_per_order']['all']:.1f}",
        ]
        for name, run in designs.items()
    ]
    output.columns(["DESIGN", "ORDERS/S", "MIN", "MAX", "P50 MS", "P99 MS", "CPU US/ORDER"], rows)
    cpu = "by processor time per order"
    output.put(
        f"the most gateways reach {found['ratio']} of the best number of them (target {found['target']}); {cpu} {found['ratio_cpu']}"
    )
    output.put(f"ours is {found['ratio_seed']} times the seed design; {cpu} {found['ratio_seed_cpu']} times")
    if "ratio_seed_local" in found:
        output.put(f"without Docker {found['ratio_seed_local']} times; {cpu} {found['ratio_seed_local_cpu']} times")
