"""Tables fit the terminal they are shown on, and are whole where a program reads them."""

from __future__ import annotations

import sys

import pytest

from hftctl.cli import output

SAID = "persister-0 runs, PostgreSQL has everything up to sequence 3112"
ROW = ["persister-0", "running", SAID]


def shown(capsys: pytest.CaptureFixture[str], *, cut: bool = True) -> list[str]:
    output.columns(["COMPONENT", "STATE", "SAYS"], [ROW], cut=cut)
    return capsys.readouterr().out.splitlines()


def test_a_terminal_gets_lines_that_fit(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "50")
    line = shown(capsys, cut=True)[1]
    assert len(line) == 50
    assert line.endswith("…")
    monkeypatch.setenv("COLUMNS", "10")
    assert shown(capsys, cut=True)[1].endswith("persister-0…")
    monkeypatch.setenv("COLUMNS", "200")
    assert shown(capsys, cut=True)[1].endswith(SAID)


def test_a_pipe_gets_every_word(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "50")
    assert shown(capsys, cut=True)[1].endswith(SAID)
