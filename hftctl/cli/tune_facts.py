"""hftctl tune facts: what this host is."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hftctl.cli import output
from hftctl.cli.options import Format, Output
from hftctl.cli.tune_options import THIS_MACHINE, Root

if TYPE_CHECKING:
    from hftctl.tuning.facts.model import Facts


def facts(
    root: Root = THIS_MACHINE,
    capture: Annotated[
        Path | None,
        typer.Option(
            "--capture", metavar="DIR", help="Write what was read as a tree for --root, e.g. for a plan elsewhere."
        ),
    ] = None,
    format_: Output = Format.TEXT,
) -> None:
    """Show CPUs, cores, nodes, memory, network cards, kernel and boot loader.

    Plans are computed from these facts and nothing else. Reads only.

    \b
    Examples:
      hftctl tune facts
      hftctl tune facts --capture ./desk3 -o json
    """
    from hftctl.operations.host import look
    from hftctl.operations.tune_capture import capture_host

    found = look(root) if capture is None else capture_host(root, capture)
    if format_ is Format.JSON:
        output.document("TuneFacts", {"facts": asdict(found), "plan_only": found.plan_only})
    else:
        output.facts(_shown(found))


def _shown(found: Facts) -> dict[str, Any]:
    from hftctl.tuning import cpu_list

    around, kernel = found.surroundings, found.kernel
    cores = len({(cpu.package, cpu.core) for cpu in found.cpus})
    machine = f"a virtual machine ({around.virtualisation})" if around.virtualisation else "bare metal"
    stands_in = f"a container ({around.container})" if around.container else "WSL" if around.wsl else machine
    return {
        "host": found.host_name,
        "processor": f"{found.model or found.vendor}: {len(found.cpus)} CPUs, {cores} cores, SMT {found.smt}",
        "stands in": stands_in,
        "system": f"{around.system} {around.version}, kernel {kernel.release} {kernel.arch}, {around.init or 'no init'}",
        "memory": f"{output.size(found.memory_bytes)}, {output.size(found.available_bytes)} available",
        "nodes": {
            str(node.number): f"CPUs {cpu_list.shown(node.cpus)}, {output.size(node.memory_bytes)}"
            + "".join(
                f", {held.total} pages of {int(kib) // 1024} MiB" for kib, held in node.pages.items() if held.total
            )
            for node in found.nodes
        },
        "network": {
            nic.name: f"{nic.driver or 'no driver'}, node {nic.node if nic.node >= 0 else 'unknown'}, "
            f"{nic.receive_queues} receive queues, {len(nic.interrupts)} interrupts"
            + (f"; carries {nic.carries}" if nic.carries else "")
            for nic in found.nics
        },
        "isolated CPUs": cpu_list.shown(kernel.isolated),
        "tick stops on": "not built into this kernel" if kernel.nohz_full is None else cpu_list.shown(kernel.nohz_full),
        "clock": f"{kernel.clocksource} of {', '.join(kernel.clocksources)}",
        "boot loader": found.boot.loader or "none found",
        "also running": around.services,
        "can be changed": f"no: {found.plan_only}" if found.plan_only else "yes",
    }
