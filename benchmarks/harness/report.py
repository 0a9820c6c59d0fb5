"""One document per benchmark: figures, ratio and verdict, with the machine and what a sync costs on its disk beside them."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.harness.measured import Unmeasured
from stack.traffic.load_machine import machine, sync_probe

FAILED, BELOW_TARGET, TERMINATED = 1, 11, 143


def options(name: str, what: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{name}", description=what)
    parser.add_argument("--json", action="store_true", help="one JSON document, `ratio` at its top level")
    parser.add_argument("--short", action="store_true", help="few short runs and generous targets, for CI")
    return parser


def beside(folder: Path | None = None) -> dict[str, Any]:
    """The machine, and what syncing 4 KiB of a zero-filled file costs where the journal stands."""
    return {"machine": machine(), "disk_sync": sync_probe(folder or Path(tempfile.gettempdir()))}


def finish(document: Mapping[str, Any], *, as_json: bool) -> int:
    """Prints it; the exit code."""
    print(json.dumps(document) if as_json else "\n".join(lines(document)))
    return 0 if document.get("met", True) else BELOW_TARGET


def guarded(work: Callable[[], int]) -> int:
    """Whatever could not be measured is a failure with one line, never a figure. Asked to end, it takes down what it started."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))
    try:
        return work()
    except Unmeasured as error:
        print(f"not measured: {error}", file=sys.stderr)
        return FAILED


def lines(document: Mapping[str, Any], indent: str = "") -> list[str]:
    found: list[str] = []
    for name, value in document.items():
        if name == "runs":
            continue  # each single run is for machines
        if name == "designs":
            found += table(value)
        elif isinstance(value, Mapping) and indent:
            found.append(f"{indent}{name:24} " + ", ".join(f"{key} {inner}" for key, inner in value.items()))
        elif isinstance(value, Mapping):
            found += [f"{name}:", *lines(value, "  ")]
        else:
            found.append(f"{indent}{name:24} {value}")
    return found


def table(designs: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """One row per design: rate, latency, and processor microseconds per order by process."""
    found = [f"{'design':28} {'median/s':>12} {'min':>12} {'max':>12} {'p50 ms':>8} {'p99 ms':>8}  CPU us/order"]
    for name, run in designs.items():
        latency, cpu = run.get("latency_ms", {}), run.get("cpu_us_per_order", {})
        each = "  ".join(f"{kind} {us:.2f}" for kind, us in _by_kind(cpu).items() if us >= 0.005)
        found.append(
            f"{name:28} {run['per_s']:12,.0f} {run['per_s_min']:12,.0f} {run['per_s_max']:12,.0f}"
            f" {latency.get('p50', 0):8.3f} {latency.get('p99', 0):8.3f}  all {cpu.get('all', 0):.1f}: {each}"
        )
    return found


def _by_kind(cpu: Mapping[str, float]) -> dict[str, float]:
    """gateway-1 and gateway-2 as one."""
    found: dict[str, float] = {}
    for part, us in cpu.items():
        if part != "all":
            kind = part.rstrip("0123456789").rstrip("-")
            found[kind] = found.get(kind, 0.0) + us
    return found
