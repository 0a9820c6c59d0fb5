"""Everything about the local stack that takes too long for CI, one part after the other.

    python -m tests.lab.local_long [--only NAME ...]

Each part is a program of its own that writes its report into docs/reports/; this one runs them and writes the table of
contents, docs/reports/local-long.md, with the verdict, the time and the commit of each. A part that fails does not keep the
others from running. It takes some hours, the hour of load being one of them, and wants the machine for itself.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tests.faults.conditions import commit

ROOT = Path(__file__).parents[2]
REPORTS = ROOT / "docs" / "reports"


@dataclass(frozen=True)
class Part:
    name: str  # of its report
    shows: str
    arguments: str  # of python -m; the report's path follows


PARTS = (
    Part("crash", "200 kill rounds under load", "tests.faults.crash --rounds 200"),
    Part("nth-sync", "SIGKILL at each of an engine's first 200 syncs", "tests.faults.nth_sync"),
    Part("power", "100 power cuts, and the control without syncs", "tests.faults.power"),
    Part(
        "clocks-and-stops",
        "clocks that jump, processes that stand still, slow disks, no files",
        "tests.faults.clocks_and_stops",
    ),
    Part("stores", "PostgreSQL and Valkey away for a minute each, 10,000,000 rows later", "tests.faults.stores"),
    Part("changes", "every change of a running stack under load", "tests.faults.changes"),
    Part("boundaries", "hftctl killed at every entry of a rollout's journal", "tests.faults.boundaries"),
    Part("any-moment", "hftctl ended at any moment, alone or two at once", "tests.faults.hasty --rounds 60"),
    Part("many-orders", "an account with few orders among 5,000,000 of a day", "tests.stack.persister.many_orders"),
    Part("memory", "every component's memory over an hour of load", "benchmarks.memory"),
)


def run(part: Part) -> tuple[bool, float]:
    began = time.monotonic()
    command = [sys.executable, "-m", *part.arguments.split(), "--report", str(REPORTS / f"{part.name}.md")]
    print(f"== {part.name}: {' '.join(command[1:])}", file=sys.stderr, flush=True)
    return subprocess.run(command, cwd=ROOT, check=False).returncode == 0, time.monotonic() - began


def row(part: Part, passed: bool, took_s: float) -> str:
    verdict = "passed" if passed else "**FAILED**"
    when = datetime.now(UTC).strftime("%Y-%m-%d %H:%M")
    command = f"`python -m {part.arguments}`"
    return (
        f"| [{part.name}]({part.name}.md) | {part.shows} | {command} | {verdict} | {took_s:.0f} | {commit()} | {when} |"
    )


def write(rows: dict[str, str], page: Path) -> None:
    """Rows of parts that were not run this time stay as they were."""
    kept = {
        line.split("[")[1].split("]")[0]: line
        for line in (page.read_text().splitlines() if page.exists() else [])
        if line.startswith("| [")
    }
    kept.update(rows)
    lines = [
        "# The long forms", "", "Written by `make local-long`. Each row says on which commit, and when (UTC), its report was made.", "",
        "| report | shows | command | verdict | s | commit | when |", "|---|---|---|---|---|---|---|",
        *[kept[part.name] for part in PARTS if part.name in kept], "",
    ]  # fmt: skip
    page.write_text("\n".join(lines))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", metavar="NAME", choices=[part.name for part in PARTS])
    wanted = parser.parse_args().only
    failed = []
    for part in PARTS:
        if wanted and part.name not in wanted:
            continue
        passed, took_s = run(part)
        write({part.name: row(part, passed, took_s)}, REPORTS / "local-long.md")
        if not passed:
            failed.append(part.name)
    print(f"failed: {', '.join(failed)}" if failed else "all passed", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
