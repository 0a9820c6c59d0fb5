"""hftctl tune rehearse: a planned kernel command line, booted in a virtual machine before the host is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hftctl.cli import output, tune_rehearse_view
from hftctl.cli.options import Format, Output, duration_s
from hftctl.cli.tune_options import THIS_MACHINE, HostProfile, Isolate, Root
from hftctl.errors import UsageError

ACCELERATORS = ("kvm", "tcg")

Line = Annotated[str | None, typer.Option("--cmdline", metavar="TEXT", help="The whole line, in place of a plan's.")]
Kernel = Annotated[
    Path | None, typer.Option("--kernel", metavar="FILE", help="A vmlinuz; default: the one that this host runs.")
]
Cpus = Annotated[int | None, typer.Option("--cpus", min=1, max=255, help="Of another host than this one.")]
Nodes = Annotated[int | None, typer.Option("--nodes", min=1, max=64, help="NUMA nodes of another host.")]
Memory = Annotated[str | None, typer.Option("--memory", metavar="SIZE", help="Of another host: 512M, 256G.")]
Accelerator = Annotated[
    str | None, typer.Option("--accelerator", metavar="NAME", help="kvm or tcg; default: kvm where it works.")
]
Timeout = Annotated[
    float, typer.Option("--timeout", metavar="TIME", parser=duration_s, help="Longer than that is a finding: stuck.")
]


def rehearse(
    host_profile: HostProfile = "",
    isolate: Isolate = "",
    command_line: Line = None,
    kernel: Kernel = None,
    cpus: Cpus = None,
    nodes: Nodes = None,
    memory: Memory = None,
    accelerator: Accelerator = None,
    root: Root = THIS_MACHINE,
    timeout: Timeout = 60.0,
    format_: Output = Format.TEXT,
) -> None:
    """Boot the planned kernel command line in QEMU; say what the kernel made of it.

    Needs no root and changes nothing. Exit code 9 when the kernel did not take
    all of it, 8 when it was not rehearsed: then only rules have spoken.

    \b
    Examples:
      hftctl tune rehearse latency --isolate 2-7
      hftctl tune rehearse --cmdline "isolcpus=2-3 nohz_full=2-3" -o json
    """
    from hftctl.operations.rehearsing import Elsewhere
    from hftctl.operations.rehearsing import rehearse as run
    from hftctl.operations.tune_plan import Asked
    from hftctl.tuning.rehearse.shape import memory as size_bytes

    if accelerator is not None and accelerator not in ACCELERATORS:
        raise UsageError(f"--accelerator {accelerator}: one of {', '.join(ACCELERATORS)} is wanted")
    result = run(
        root,
        Asked(host_profile, isolate),
        command_line=command_line,
        elsewhere=Elsewhere(cpus, nodes, None if memory is None else size_bytes(memory)),
        kernel=kernel,
        accelerator=accelerator or "",
        timeout_s=timeout,
    )
    if format_ is Format.JSON:
        output.document("TuneRehearsal", tune_rehearse_view.body(result))
    else:
        tune_rehearse_view.show(result)
    output.ended(tune_rehearse_view.ended(result), as_json=format_ is Format.JSON)
