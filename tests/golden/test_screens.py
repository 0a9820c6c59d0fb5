"""What operators see. After a change that is meant: `python -m tests.golden.screens`, and read the difference."""

import re
from pathlib import Path

import pytest

from tests.golden.screens import FOLDER, SCREENS, WIDTHS, file, screen

EACH = pytest.mark.parametrize(("name", "width"), [(name, width) for name in SCREENS for width in WIDTHS])
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HFTCTL_HOME", str(tmp_path))


@EACH
def test_a_screen_is_as_it_was_read(name: str, width: int) -> None:
    assert screen(name, width) == file(name, width).read_text()


@EACH
def test_no_line_is_wider_than_its_terminal(name: str, width: int) -> None:
    wide = [line for line in screen(name, width).splitlines() if len(line) > width]
    assert not wide


@EACH
def test_colours_say_nothing_that_words_do_not(name: str, width: int) -> None:
    coloured = screen(name, width, colours=True)
    assert COLOUR.search(coloured), "otherwise this shows nothing"
    assert COLOUR.sub("", coloured) == screen(name, width)


def test_every_file_has_its_screen() -> None:
    assert set(FOLDER.glob("*.txt")) == {file(name, width) for name in SCREENS for width in WIDTHS}
