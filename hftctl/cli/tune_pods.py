"""hftctl tune pods: which pods of a manifest get CPUs of their own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hftctl.cli import output
from hftctl.cli.options import Format, Output
from hftctl.cli.tune_options import THIS_MACHINE, Root
from hftctl.errors import Degraded

if TYPE_CHECKING:
    from hftctl.operations.tune_pods import PodReports


def pods(
    manifest: Annotated[
        list[Path], typer.Argument(metavar="MANIFEST...", help="Files of YAML or JSON; - reads stdin.", allow_dash=True)
    ],
    root: Root = THIS_MACHINE,
    format_: Output = Format.TEXT,
) -> None:
    """Tell which pods get CPUs of their own from the kubelet, and why others do not.

    A pod that asks wrongly runs all the same, on CPUs that it shares. Where
    this host (or --root) has a kubelet, what that one can give counts too.
    Reads only. Exit code 9 when a pod does not get what it is meant to.

    \b
    Examples:
      hftctl tune pods engine.yaml
      helm template ./chart | hftctl tune pods - --root ./node7 -o json
    """
    from hftctl.operations.tune_pods import examine_pods

    found = examine_pods(root, manifest)
    if format_ is Format.JSON:
        body = {
            "node": found.node,
            "pods": [
                {
                    "where": one.where, "name": one.name, "good": one.good, "cpus": one.verdict.cpus,
                    "verdicts": one.verdict.verdicts, "advice": one.verdict.advice, "against": one.against,
                }
                for one in found.pods
            ],
            "bad": len(found.bad),
        }  # fmt: skip
        output.document("TunePods", body)
    else:
        _text(found)
    if found.bad:
        raise typer.Exit(Degraded.exit_code)


def _text(found: PodReports) -> None:
    for one in found.pods:
        output.put(f"{one.where}  {one.name}")
        for verdict in one.verdict.verdicts:
            if verdict.cpus:
                output.put(f"  {verdict.container}: {verdict.cpus} CPUs of its own")
            elif verdict.container and verdict.meant and not one.verdict.cpus:
                continue  # the pod's own line says it
            else:
                head = f"  {verdict.container}:" if verdict.container else output.paint("  no:", "33")
                output.hanging(head, verdict.why, gap=" ")
        for sentence in one.against:
            output.hanging(output.paint("  no:", "33"), sentence, gap=" ")
        for sentence in one.verdict.advice:
            output.hanging("  but:", sentence, gap=" ")
    judged = f"on {found.node}" if found.node else "by the manifest alone: there is no kubelet here"
    output.put(f"{len(found.pods) - len(found.bad)} of {len(found.pods)} pods get what they are meant to, {judged}")
