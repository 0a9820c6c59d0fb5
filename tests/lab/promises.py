"""The long form: both captured days whole, a minute of load, PostgreSQL compared with the journal row by row.

python -m tests.lab.promises [--report docs/reports/promises.md]
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from stack.traffic.load_machine import machine
from tests.faults.evidence import gather
from tests.faults.stack import ROOT, Stack

DATA = Path(os.environ.get("HFTCTL_DATA_DIR", ROOT.parent / "shared" / "data"))
CAPTURED = {
    "futures": DATA / "esh4-glbx-mdp3-20231225.mbo.dbn.zst",
    "bitcoin": DATA / "hftbacktest_spot_btcusdt_20240809.gz",
}


def replay_problems(
    stack: Stack, file: Path, limit: int | None, reports: list[dict[str, Any]] | None = None
) -> list[str]:
    words = ["replay", str(file), "-p", stack.name, *(["--limit", str(limit)] if limit else [])]
    report = stack.command(*words, expect=(0, 10), timeout_s=900)
    if reports is not None:
        reports.append(report)
    if report["kind"] != "Replay":
        return [f"{file.name}: {report}"]
    problems = [f"{file.name}: {report['mismatches_shown']}"] if report["mismatches"] else []
    if not report["counts"].get("fills"):
        problems.append(f"{file.name}: nothing was filled: {report['counts']}")
    return problems


def load_problems(stack: Stack, *, clients: int, duration: str) -> tuple[dict[str, Any], list[str]]:
    words = ["load", "-p", stack.name, "--clients", str(clients), "--duration", duration]
    report = stack.command(*words, expect=(0, 11))
    problems = [] if report.get("success_percent") == 100.0 else [f"load: {json.dumps(report)[:800]}"]
    return report, problems


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--report", type=Path)
    options = parser.parse_args()
    stack = Stack.make("promises")
    problems: list[str] = []
    replays: list[dict[str, Any]] = []
    began = time.monotonic()
    try:
        stack.deploy()
        for file in CAPTURED.values():
            problems += replay_problems(stack, file, None, replays)
        load, found = load_problems(stack, clients=40, duration="60s")
        problems += found
        evidence = gather(stack)
        problems += evidence.problems + evidence.incomplete
    finally:
        stack.destroy()
    lines = [
        "# Captured days, a minute of load, and the database against the journal", "",
        f"{time.monotonic() - began:.0f} s on {json.dumps(machine())}.", "",
        f"Verdict: **{'all kept' if not problems else 'BROKEN'}**", "", *[f"- {problem}" for problem in problems], "",
        "| replay | requests | commands | fills | refused by both | answers that differ | s |", "|---|---|---|---|---|---|---|",
        *[_row(r) for r in replays], "",
        f"PostgreSQL: {evidence.rows} rows, the journal {len(evidence.truth.events)} events, each compared.", "",
        "Load, 40 clients, 60 s, " + load["loop"] + ":", "",
        "```", json.dumps({k: load[k] for k in load if k not in {"apiVersion", "kind", "url"}}, indent=1), "```", "",
    ]  # fmt: skip
    text = "\n".join(lines)
    if options.report:
        options.report.write_text(text)
    print(text)
    return 0 if not problems else 10


def _row(report: dict[str, Any]) -> str:
    counts = report["counts"]
    commands = sum(n for name, n in counts.items() if name.split()[0] in {"place", "cancel", "replace"})
    refused = sum(n for name, n in counts.items() if "refused" in name)
    return (
        f"| {Path(report['file']).name} | {report['requests']} | {commands} | {counts.get('fills', 0)} | {refused} |"
        f" {report['mismatches']} | {report['seconds']} |"
    )


if __name__ == "__main__":
    sys.exit(main())
