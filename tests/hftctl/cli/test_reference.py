"""The pages of docs/ that come from the code, and the help they come from."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from hftctl import errors
from hftctl.cli import reference
from hftctl.cli.main import run

ROOT = Path(__file__).parents[3]
HEAVY = (
    "pydantic",
    "httpx",
    "kubernetes",
    "docker",
    "psycopg",
    "python_on_whales",
    "yaml",
    "rich",
    "psutil",
    "asyncio",
)
HELPS = re.findall(r"^## (hftctl.*)\n\n```text\n([^`]*)```", reference.commands(), re.MULTILINE)


@pytest.mark.parametrize("name", ["exit-codes.md", "commands.md", "profiles.md"])
def test_a_generated_page_is_not_stale(name: str) -> None:
    written = (ROOT / "docs" / name).read_text()
    assert written == reference.pages()[name], "write it again: python -m hftctl.cli.reference"


def test_the_settings_of_plain_docker_compose_are_not_stale() -> None:
    written = (ROOT / "stack" / "compose" / "configs.yaml").read_text()
    assert written == reference.settings(), "write it again: python -m hftctl.cli.reference"


def test_every_exit_code_is_told_once() -> None:
    codes = [int(code) for code in re.findall(r"^\| (\d+) \|", reference.exit_codes(), re.MULTILINE)]
    classes = {kind.exit_code for kind in vars(errors).values() if hasattr(kind, "exit_code")}
    assert codes == sorted({0, *classes})


@pytest.mark.parametrize(("path", "text"), HELPS, ids=[path for path, _ in HELPS])
def test_help_fits_80_columns_and_shows_two_examples_first(path: str, text: str) -> None:
    assert max(map(len, text.splitlines())) <= 80
    if "Commands:" not in text:
        examples, _, rest = text.partition("Examples:")[2].partition("\n\n")
        assert examples.count(f"{path}") >= 2 or path == "hftctl"
        assert "Options:" in rest


def test_every_command_of_the_contract_is_there() -> None:
    wanted = "doctor build profile plan apply deploy status logs order book load replay stop start halt resume drain history destroy"
    assert {f"hftctl {word}" for word in wanted.split()} <= {path for path, _ in HELPS}


def python(code: str, **env: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, env={**os.environ, **env}, check=True
    )
    return done.stdout


LOADED = f"import sys; print([name for name in {HEAVY!r} if name in sys.modules])"


def test_help_imports_no_library_it_does_not_need() -> None:
    said = python(f"from hftctl.cli.main import run; run(['--help']); run(['deploy', '--help']); {LOADED}")
    assert said.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("words", "position", "answer"),
    [("hftctl dep", "1", "deploy"), ("hftctl deploy loc", "2", "local"), ("hftctl destroy --da", "2", "--data")],
)
def test_completion_answers_and_imports_no_library_it_does_not_need(words: str, position: str, answer: str) -> None:
    code = f"""
from hftctl.cli.main import run
try:
    run([])
except SystemExit:
    pass
{LOADED}
"""
    said = python(code, _HFTCTL_COMPLETE="complete_bash", COMP_WORDS=words, COMP_CWORD=position)
    assert answer in said.splitlines()
    assert said.splitlines()[-1] == "[]"


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert re.fullmatch(r"hftctl \d+\.\d+\.\d+\n", capsys.readouterr().out)
