"""A command that is proposed names the program as it can be typed here."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from hftctl.cli import called
from hftctl.cli.main import app
from tests.hftctl.cli.conftest import Hftctl


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    cached = called.program
    cached.cache_clear()
    yield
    cached.cache_clear()


def install(folder: Path) -> Path:
    folder.mkdir(parents=True)
    program = folder / "hftctl"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    return program


def test_off_the_path_it_is_named_as_it_was_called(
    hftctl_: Hftctl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path / "ana's desk" / "bin")
    monkeypatch.setattr(sys, "argv", ["ana's desk/bin/hftctl"])
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    ended = hftctl_("status")
    assert ended.err.splitlines()[-1] == """hint: bring one up: 'ana'"'"'s desk/bin/hftctl' deploy local"""
    document = hftctl_("status", "-o", "json").document("Error")
    assert document["hint"] == "bring one up: hftctl deploy local", "documents are the same everywhere"


@pytest.mark.parametrize("word", ["bin/hftctl", "/usr/bin/pytest", "lib/pytest/__main__.py"])
def test_on_the_path_it_is_hftctl(word: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = install(tmp_path / "bin")
    monkeypatch.setattr(sys, "argv", [word])
    monkeypatch.setenv("PATH", str(program.parent))
    assert called.typed("hftctl status; hftctl logs") == "hftctl status; hftctl logs"


def test_another_hftctl_on_the_path_is_not_this_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path / "venv")
    monkeypatch.setattr(sys, "argv", ["venv/hftctl"])
    monkeypatch.setenv("PATH", str(install(tmp_path / "bin").parent))
    assert called.typed("HFTCTL_HOME=/x hftctl stop -p a") == "HFTCTL_HOME=/x venv/hftctl stop -p a"


def test_as_a_module_it_is_named_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/somewhere/hftctl/__main__.py"])
    monkeypatch.setattr(sys, "orig_argv", ["python3", "-m", "hftctl", "status"])
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    assert called.typed("hftctl status") == "python3 -m hftctl status"


@pytest.mark.parametrize("text", ["hftctl has a bug", "written by a newer hftctl: format 2", "/opt/hftctl status"])
def test_what_is_no_command_stays(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(called, "program", lambda: "other")
    assert called.typed(text) == text


@pytest.mark.parametrize("command", typer.main.get_command(app).commands)  # type: ignore[attr-defined]
def test_every_command_is_known(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(called, "program", lambda: "other")
    assert called.typed(f"again: hftctl {command} -p local") == f"again: other {command} -p local"
