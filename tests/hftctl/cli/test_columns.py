"""Tables fit the terminal they are shown on, and are whole where a program reads them."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest

from hftctl.cli import output

SAID = "persister-0 runs, PostgreSQL has everything up to sequence 3112"
Columns = Callable[[int], None]


def shown(capsys: pytest.CaptureFixture[str], state: str = "running") -> list[str]:
    output.columns(["COMPONENT", "STATE", "SAYS"], [["persister-0", state, SAID]], painted=1, cut=True)
    return capsys.readouterr().out.splitlines()[1:]


@pytest.fixture
def columns(monkeypatch: pytest.MonkeyPatch) -> Columns:
    def become(count: int) -> None:
        monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
        monkeypatch.setenv("NO_COLOR", "1")
        monkeypatch.setenv("COLUMNS", str(count))

    return become


def test_what_is_well_gets_one_line_that_fits(capsys: pytest.CaptureFixture[str], columns: Columns) -> None:
    columns(50)
    [line] = shown(capsys)
    assert len(line) == 50
    assert line.endswith("…")
    columns(200)
    assert shown(capsys)[0].endswith(SAID)


@pytest.mark.parametrize("count", [30, 50, 66])
def test_trouble_is_told_whole(count: int, capsys: pytest.CaptureFixture[str], columns: Columns) -> None:
    columns(count)
    head, *below = shown(capsys, "failed")
    assert head.split()[:2] == ["persister-0", "failed"]
    assert " ".join([*head.split()[2:], *" ".join(below).split()]) == SAID
    assert max(map(len, [head, *below])) <= count


def test_words_are_never_broken_for_they_are_copied(capsys: pytest.CaptureFixture[str], columns: Columns) -> None:
    columns(30)
    path = "/var/lib/hftctl/paper/config/nginx-of-this-deployment.conf"
    output.hanging("file:", f"somebody changed {path} by hand")
    assert f"    {path}" in capsys.readouterr().out.splitlines()


def test_a_hint_with_several_ways_gives_each_a_line(
    capsys: pytest.CaptureFixture[str], columns: Columns, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    columns(40)
    output.hint("go on: hftctl rollout continue; or back: hftctl rollout abort")
    assert capsys.readouterr().err == "hint: go on: hftctl rollout continue;\n      or back: hftctl rollout abort\n"


def test_a_pipe_gets_every_word(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "50")
    assert shown(capsys)[0].endswith(SAID)
