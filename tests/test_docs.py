"""What is written for people holds: nothing that exists is missing there, and nothing they would type is wrong."""

import re
import shlex
from pathlib import Path
from typing import get_args, get_type_hints

import pytest
import yaml
from fastapi.routing import APIRoute
from typer.main import get_command

from hftctl import errors
from hftctl.cli.main import app
from hftctl.profile.describe import rows
from hftctl.targets.local.nginx import EDGE
from stack.gateway.app import HOT, ROUTED
from stack.gateway.errors import TABLE
from stack.matcher import refusal
from stack.matcher.admin_server import Request

ROOT = Path(__file__).parent.parent
PAGES = {
    str(path.relative_to(ROOT)): path.read_text()
    for pattern in ("*.md", "docs/*.md", "docs/decisions/*.md", "engine/*.md", "benchmarks/*.md")
    for path in sorted(ROOT.glob(pattern))
}
CLI, OPERATING, README = PAGES["docs/cli.md"], PAGES["docs/operating.md"], PAGES["README.md"]
LATER = re.search(r"## Commands of later releases\n(.*?)\n## ", CLI, re.DOTALL).group(1)
TODAY = CLI.replace(LATER, "")
# Read by the program's own processes and by tests, not by people.
INTERNAL = {
    "HFTCTL_LISTEN_FDS",
    "HFTCTL_READY_FD",
    "HFTCTL_COMPONENT",
    "HFTCTL_DIGEST",
    "HFTCTL_COMPLETE",
    "HFTCTL_EXEC",
}


def leaves(command, path=()):
    inner = getattr(command, "commands", None)
    if inner is None:
        yield path
        return
    for name, one in inner.items():
        yield from leaves(one, (*path, name))


COMMANDS = sorted(leaves(get_command(app)))


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_the_contract_names_every_command(command):
    row = rf"^\| `hftctl [^\n]*\b{command[0]}\b" + (rf"[^\n]*\b{command[1]}\b" if command[1:] else "")
    assert re.search(row, TODAY, re.MULTILINE), f"docs/cli.md does not name hftctl {' '.join(command)}"
    assert f"## hftctl {' '.join(command)}\n" in PAGES["docs/commands.md"]


def test_what_is_announced_for_later_is_not_there_yet():
    there = {" ".join(command) for command in COMMANDS} | {command[0] for command in COMMANDS}
    announced = {
        name for names in re.findall(r"`([^`]+)`", LATER.partition("so are")[0]) for name in names.split(" / ")
    }
    assert announced
    assert not announced & there


def test_the_contract_names_every_route():
    routes = {
        (method, route.path)
        for module in ROUTED
        for route in module.router.routes
        if isinstance(route, APIRoute)
        for method in route.methods
    }
    routes |= {("POST", path) for path in HOT} | {("GET", EDGE)}
    named = {
        (method, path.partition("?")[0])
        for line in CLI.splitlines()
        if line.startswith("| `")
        for method, path in re.findall(r"`([A-Z]+) (/[^ `]*)`", line.split(" | ")[0])
    }
    assert len(routes) > 15
    assert routes - named == set(), "not in docs/cli.md"
    assert named - routes == set(), "in docs/cli.md and nowhere else"


def test_the_contract_names_every_exit_code_and_http_status():
    codes = {kind.exit_code for kind in vars(errors).values() if isinstance(kind, type) and hasattr(kind, "exit_code")}
    named = {int(code) for code in re.findall(r"\| (\d+) \|", CLI)}
    assert named == codes | {0}
    statuses = {str(status) for status, _ in TABLE.values() if status < 500}
    shapes = re.search(r"Every error, .*? \((.*?)\)", CLI).group(1)
    assert statuses - set(shapes.split(", ")) == set()


def test_operators_find_every_exit_code_of_an_engine_and_every_admin_command():
    codes = {value for name, value in vars(refusal).items() if name.startswith("EXIT_")} | {0}
    table = OPERATING.split("`exit_code`")[1].split("## ")[0]
    assert {int(code) for code in re.findall(r"^\| (\d+) \|", table, re.MULTILINE)} == codes
    for command in get_args(get_type_hints(Request)["command"]):
        assert f'{{"command": "{command}"' in OPERATING, command


def test_every_key_of_a_profile_is_explained_and_stands_in_the_shipped_one_or_has_a_default():
    described = {row.key: row for row in rows()}
    page = set(re.findall(r"^\| `([^`]+)` \|", PAGES["docs/profiles.md"], re.MULTILINE))
    assert page == set(described)
    assert all(row.description for row in described.values())
    shipped = yaml.safe_load((ROOT / "profiles" / "local.yaml").read_text())
    wanted = {key for key, row in described.items() if row.default == "" and "." not in key and "[" not in key}
    assert wanted - {"name"} <= set(shipped)


def test_every_variable_that_people_may_set_is_named():
    read = {
        name
        for path in (ROOT / "hftctl").rglob("*.py")
        for name in re.findall(r"\bHFTCTL_[A-Z_]+[A-Z]\b", path.read_text())
    }
    assert read - INTERNAL
    assert {name for name in read - INTERNAL if name not in CLI} == set()


def typed():
    """Every command line that a page tells people to type: in code blocks, and whole ones in running text."""
    for name in ("README.md", "docs/cli.md", "docs/operating.md", "benchmarks/README.md"):
        text = PAGES[name]
        for block in re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
            yield from re.findall(r"^(?:\.venv/bin/)?hftctl (.+)$", block, re.MULTILINE)
        for line in re.findall(r"`hftctl ([^`]+)`", text):
            if not set("[]") & set(line) and not line.startswith("COMMAND"):
                yield re.sub(r"\bN\b", "1", line.replace("...", ""))


@pytest.mark.parametrize("line", sorted(set(typed())))
def test_what_people_are_told_to_type_is_understood(line):
    command, words = get_command(app), shlex.split(line, comments=True)
    while hasattr(command, "commands"):
        assert words and words[0] in command.commands, f"hftctl {line}: there is no {words[:1]}"
        command = command.commands[words.pop(0)]
    if words or not any(parameter.required for parameter in command.params):
        command.make_context(command.name, words)  # raises for an option or argument that it does not know


def test_make_has_what_the_pages_say():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    said = {target for text in PAGES.values() for target in re.findall(r"`make ([a-z-]+)`", text)}
    assert said
    assert said <= targets
    for module in re.findall(r"-m ((?:tests|benchmarks|hftctl)[\w.]*)", (ROOT / "Makefile").read_text()):
        place = ROOT / module.replace(".", "/")
        assert place.with_suffix(".py").is_file() or (place / "__main__.py").is_file(), module


def test_links_and_files_that_pages_name_are_there():
    for name, text in PAGES.items():
        folder = (ROOT / name).parent
        for link in re.findall(r"\]\(([^)#:]+)\)", text):
            assert (folder / link).exists(), f"{name}: {link}"
        for path in re.findall(r"`((?:hftctl|stack|engine|profiles|tests|benchmarks|docs)/[\w/.-]+\.\w+)`", text):
            assert (ROOT / path).is_file(), f"{name}: {path}"
        for module in re.findall(r"python -m ((?:stack|benchmarks|tests|hftctl)[\w.]*\w)", text):
            place = ROOT / module.replace(".", "/")
            assert place.with_suffix(".py").is_file() or (place / "__main__.py").is_file(), f"{name}: {module}"
