"""Both README commands on a bare Debian 12: as root, as an ordinary user, without a compiler.

    python -m tests.lab.fresh [--form user] [--short] [--report FILE]

The bare machine is made by a tool named by FRESH_MACHINE (default: ../shared/checks/fresh-machine). It clones the committed
state of this repository, so commit first. The short form leaves `make test` out.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
FORMS = {
    "root": [],
    "user": ["--user"],
    "no-compiler": ["--no-compiler"],
    "user-no-compiler": ["--user", "--no-compiler"],
}
ORDER = (
    '{"client_order_id":"fresh-1","account":"demo","symbol":"AAPL","side":"buy","type":"limit","price":"190.01",'
    '"quantity":"10","time_in_force":"GTC"}'
)
SHOW = "cat /tmp/reply.json; echo; grep -q"
COMMANDS = [
    "make deploy",
    f"curl -fsS localhost:8080/orders -d '{ORDER}' >/tmp/reply.json && {SHOW} '\"status\":\"open\"' /tmp/reply.json",
    "curl -fsS 'localhost:8080/orders?client_order_id=fresh-1&account=demo' >/tmp/reply.json"
    f' && {SHOW} \'"leaves_quantity":"10"\' /tmp/reply.json',
    ".venv/bin/hftctl status -o json >/tmp/status.json; status=$?; head -c 1500 /tmp/status.json; echo; [ $status = 0 ]",
    ".venv/bin/hftctl destroy --yes",
    "! curl -fsS -m 2 localhost:8080/health 2>/dev/null",
]


WARNS = ".venv/bin/hftctl status | tee /dev/stderr | grep -q 'runs the plain-Python engine'"


def run(form: str, commands: list[str], tool: Path) -> tuple[bool, list[str]]:
    warns = WARNS if "no-compiler" in form else f"! {WARNS}"
    commands = [commands[0], warns, *commands[1:]]
    done = subprocess.run(
        [str(tool), *FORMS[form], "--repo", str(ROOT), *commands],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    sys.stdout.write(done.stdout)
    return done.returncode == 0, [line for line in done.stdout.splitlines() if line.startswith("fresh-machine (")]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--form", choices=[*FORMS, "all"], default="all")
    parser.add_argument("--short", action="store_true", help="without `make test`")
    parser.add_argument("--report", type=Path)
    options = parser.parse_args()
    tool = Path(os.environ.get("FRESH_MACHINE", ROOT.parent / "shared" / "checks" / "fresh-machine"))
    if not tool.exists():
        print(f"no tool that makes a bare machine at {tool}: set FRESH_MACHINE", file=sys.stderr)
        return 2
    commands = COMMANDS if options.short else [*COMMANDS, "make test 2>&1 | tail -n 15; exit ${PIPESTATUS[0]}"]
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    report = [
        "# Both commands on a bare Debian 12", "",
        f"Commit {commit.stdout.strip()}, {time.strftime('%Y-%m-%d', time.gmtime())}, {os.cpu_count()} cores, kernel {platform.release()}.",
        "Each form is a new machine: Python 3.11, venv, make, git, curl, and (but for the last two) gcc with headers.", "",
    ]  # fmt: skip
    all_green = True
    for form in FORMS if options.form == "all" else [options.form]:
        green, lines = run(form, commands, tool)
        all_green &= green
        report += [f"## {form}: {'passed' if green else 'FAILED'}", "", "```", *lines, "```", ""]
    if options.report:
        options.report.write_text("\n".join(report))
    return 0 if all_green else 1


if __name__ == "__main__":
    sys.exit(main())
