"""Options that the commands of `hftctl tune` share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

THIS_MACHINE = Path("/")


def _complete(incomplete: str) -> list[str]:
    from hftctl.tuning.host_profiles.catalog import PROFILES

    return [name for name in PROFILES if name.startswith(incomplete)]


Root = Annotated[
    Path,
    typer.Option(
        "--root", metavar="DIR", help="Another root folder: a captured host. Default: this machine.", show_default=False
    ),
]
HostProfile = Annotated[
    str,
    typer.Argument(
        metavar="[HOST_PROFILE]",
        help="latency, latency-extreme, throughput, virtual-machine or kubernetes-node; default: the applied one, "
        "else what fits the host.",
        autocompletion=_complete,
        show_default=False,
    ),
]
Isolate = Annotated[
    str, typer.Option("--isolate", metavar="CPUS", help="Isolate exactly these, e.g. 2-7,10.", show_default=False)
]
Only = Annotated[
    list[str] | None,
    typer.Option("--only", metavar="KNOB", help="This knob alone; may be repeated.", show_default=False),
]
Bind = Annotated[
    list[str] | None,
    typer.Option(
        "--bind", metavar="CARD", help="Give this card to vfio-pci, for DPDK: its name or PCI address; may be repeated.",
        show_default=False,
    ),
]  # fmt: skip
Force = Annotated[
    list[str] | None,
    typer.Option(
        "--force", metavar="CODE", help="Do it in spite of that one refusal; may be repeated.", show_default=False
    ),
]
