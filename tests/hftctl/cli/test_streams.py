"""Streams that a service manager closed or a full disk refuses, and words in other encodings: said, and never a bug."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


def shell(line: str, *words: str | bytes, home: Path) -> subprocess.CompletedProcess[str]:
    program = ["sh", "-c", f'{shlex.join([sys.executable, "-m", "hftctl"])} "$@" {line}', "sh", *words]
    environment = os.environ | {"HFTCTL_HOME": str(home)}
    return subprocess.run(program, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("closed", "words", "code"),
    [
        (">&-", ("profile", "list"), 0),
        ("2>&-", ("status", "-p", "paper"), 13),
        ("<&- >&- 2>&-", ("status", "-p", "paper"), 13),
    ],
)
def test_closed_streams_change_no_exit_code(closed: str, words: tuple[str, ...], code: int, tmp_path: Path) -> None:
    done = shell(closed, *words, home=tmp_path)
    assert (done.returncode, "bug" in done.stderr, "Traceback" in done.stderr) == (code, False, False)
    assert list(tmp_path.iterdir()) == []


def test_a_question_without_stdin_is_a_usage_error_and_not_a_bug(tmp_path: Path) -> None:
    (tmp_path / "desk.toml").write_text("[system]\nmax_workers = 2\n")
    done = shell("<&-", "profile", "import", str(tmp_path / "desk.toml"), "--to", str(tmp_path / "x"), home=tmp_path)
    assert (done.returncode, "--yes" in done.stderr) == (2, True)


@pytest.mark.parametrize("format_", ["text", "json"])
def test_a_result_that_a_full_disk_refuses_is_inconclusive(format_: str, tmp_path: Path) -> None:
    done = shell(">/dev/full", "profile", "list", "-o", format_, home=tmp_path)
    assert done.returncode == 8
    assert done.stderr.startswith("error: cannot write the result to stdout: No space left on device")
    assert "Traceback" not in done.stderr


def test_an_error_that_a_full_disk_refuses_keeps_its_code(tmp_path: Path) -> None:
    done = shell(">/dev/full", "status", "-p", "paper", "-o", "json", home=tmp_path)
    assert done.returncode == 13
    assert done.stderr.startswith("error: no deployment is named 'paper'")


def test_words_that_are_not_utf_8_are_refused_by_place(tmp_path: Path) -> None:
    done = shell("", "order", "show", b"\xff0-1", home=tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("error: word 3 of the command line is not UTF-8: b'\\xff0-1'")


def test_what_was_typed_wrong_has_no_trace(tmp_path: Path) -> None:
    for words in (("-v",), ("--debug", "deploy", "--colour")):
        assert "Traceback" not in shell("", *words, home=tmp_path).stderr
