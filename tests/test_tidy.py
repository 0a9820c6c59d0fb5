"""The house rules that a machine can see. A limit here is a ratchet: make it smaller when you can, never larger."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
SOURCES = [
    path
    for folder in ("hftctl", "engine", "stack", "profiles", "tests", "benchmarks")
    for pattern in ("*.py", "*.pyx", "*.pxd")
    for path in (ROOT / folder).rglob(pattern)
]
LINES_MAX = 400
COMMAND_LINES_MAX = 120


def test_files_stay_small():
    over = {str(p.relative_to(ROOT)): n for p in SOURCES if (n := len(p.read_text().splitlines())) > LINES_MAX}
    assert not over, f"over {LINES_MAX} lines: split by what changes together: {over}"


def test_commands_stay_small():
    over = {
        p.name: n
        for p in (ROOT / "hftctl" / "cli").glob("*.py")
        if (n := len(p.read_text().splitlines())) > COMMAND_LINES_MAX and p.name not in {"output.py", "reference.py"}
    }
    assert not over, f"a command parses, calls one operation and renders; over {COMMAND_LINES_MAX} lines: {over}"


def test_names_say_what_is_inside():
    nameless = [p for p in SOURCES if p.stem in {"utils", "helpers", "common", "manager", "misc"}]
    assert not nameless


def test_nothing_is_left_unfinished():
    words = re.compile("TO" + "DO|FIX" + "ME|XX" + "X|NotImplemented" + "Error")
    found = [f"{p.relative_to(ROOT)}: {m.group()}" for p in SOURCES if (m := words.search(p.read_text()))]
    assert not found


def test_no_shell_runs_our_commands():
    words = re.compile("shell=" + "True|os\\.sys" + "tem\\(")
    found = [str(p.relative_to(ROOT)) for p in SOURCES if words.search(p.read_text())]
    assert not found


def test_layers_hold():
    done = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports; raise SystemExit(lint_imports())"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
