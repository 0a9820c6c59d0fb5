"""What is said of a rollout as it goes: lines in a pipe, a table on a terminal."""

from __future__ import annotations

import pytest
from rich.console import Console

from hftctl.cli import progress
from hftctl.plan.execute import Progress

TOLD = [
    Progress("bake", "baking", "watched for 300 s", 0.1),
    Progress("bake", "baking", "299 s of 300 s left: orders turned away 0.00 %", 1.1, figures=True),
    Progress("bake", "baking", "298 s of 300 s left: orders turned away 0.00 %", 2.1, figures=True),
]


def test_a_pipe_gets_changes_and_no_figures(capsys: pytest.CaptureFixture[str]) -> None:
    with progress.reporting() as report:
        for one in TOLD:
            report(one)
    assert capsys.readouterr().err == "   0.10 s  bake            baking     watched for 300 s\n"


def test_a_terminal_draws_the_newest_figures() -> None:
    console = Console(width=100)
    with console.capture() as shown:
        console.print(progress._table({one.subject: (one, 0.0) for one in TOLD}))
    assert "298 s of 300 s left" in shown.get()
    assert "299 s" not in shown.get()
