"""book --verify: a journal of the real engine, replayed by the real verifier, against what the door tells."""

from __future__ import annotations

from pathlib import Path

import pytest

from hftctl import paths
from hftctl.errors import NotFound
from hftctl.operations.verify import differences, owner
from stack.matcher.partition import Partition
from stack.settings import EngineSettings, InstrumentSettings
from tests.hftctl.cli.conftest import Door, Hftctl
from tests.stack.matcher.engines import new, submit, with_partition

LEVEL = {"price": "100", "quantity": "5", "orders": 1}


@pytest.fixture
def journal(door: Door, tmp_path: Path) -> Path:
    """Of partition 0: two definitions, then one bid of 5 AAPL at 100.00."""
    data = paths.layout("local").partition(0)
    data.mkdir(parents=True, exist_ok=True)
    settings = EngineSettings(
        deployment="local",
        component="engine-0",
        log_file=str(tmp_path / "engine.log"),
        metrics_dir=str(tmp_path / "metrics"),
        metrics_enabled=False,
        partition=0,
        data_dir=str(data),
        link_socket="link.sock",
        admin_socket="admin.sock",
        implementation="python",
        instruments=[InstrumentSettings(symbol="AAPL", tick_size="0.01", lot_size="1", currency="USD")],
        accounts=["demo"],
        authentication="none",
        segment_bytes=1 << 16,
    )

    async def trade(partition: Partition) -> None:
        await submit(partition, new("a-1"))

    with_partition(settings, trade)
    return data


def running(door: Door, sequence: int, *bids: dict[str, object]) -> None:
    book = {"symbol": "AAPL", "sequence": sequence, "bids": list(bids), "asks": []}
    door.answers["GET /book/AAPL"] = (200, book)


def test_a_book_that_is_the_journals_is_whole(door: Door, journal: Path, hftctl_: Hftctl) -> None:
    running(door, 3, LEVEL)
    ended = hftctl_("book", "AAPL", "--verify", "-o", "json")
    document = ended.document("BookVerification")
    assert (ended.code, document["verdict"], document["compared"], document["sequence"]) == (0, "whole", True, 3)
    assert "running book: the same as the journal's" in hftctl_("book", "AAPL", "--verify").out


def test_a_book_that_is_not_the_journals_is_damage(door: Door, journal: Path, hftctl_: Hftctl) -> None:
    running(door, 3, {**LEVEL, "quantity": "6"})
    ended = hftctl_("book", "AAPL", "--verify")
    assert ended.code == 10
    assert ended.err.splitlines()[0] == (
        "error: AAPL: bids: the running book has 6 at 100 in 1 orders, the journal gives 5 at 100 in 1 orders"
    )


def test_a_damaged_journal_is_damage(door: Door, journal: Path, hftctl_: Hftctl) -> None:
    running(door, 3, LEVEL)
    segment = min((journal / "journal").iterdir())
    data = bytearray(segment.read_bytes())
    data[4096 + 60] ^= 1
    segment.write_bytes(data)
    ended = hftctl_("book", "AAPL", "--verify", "-o", "json")
    assert (ended.code, ended.document("BookVerification")["verdict"]) == (10, "damaged")


def test_a_book_that_moves_on_is_not_compared(door: Door, journal: Path, hftctl_: Hftctl) -> None:
    running(door, 9)
    document = hftctl_("book", "AAPL", "--verify", "-o", "json").document("BookVerification")
    assert (document["verdict"], document["compared"]) == ("whole", False)
    assert document["why_not_compared"] == "it moved on from sequence 3 to 9 while it was read"


def test_with_the_stack_down_the_journal_is_verified_all_the_same(
    door: Door, journal: Path, hftctl_: Hftctl, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.hftctl.cli.conftest.Files.door", "http://127.0.0.1:1")
    document = hftctl_("book", "AAPL", "--verify", "-o", "json").document("BookVerification")
    assert (document["verdict"], document["compared"]) == ("whole", False)
    assert document["why_not_compared"].startswith("no answer: ")


def test_no_journal_is_a_failure_with_its_reason(door: Door, hftctl_: Hftctl) -> None:
    running(door, 0)
    ended = hftctl_("book", "AAPL", "--verify")
    assert ended.code == 1
    assert "the journal of partition 0 could not be verified" in ended.err


def test_exact_symbols_win_over_ranges() -> None:
    profile = {
        "partitions": [
            {"ranges": ["0-9", "A-M"], "symbols": []},
            {"ranges": ["N-Z"], "symbols": ["AAPL"]},
        ]
    }
    assert [owner(symbol, profile) for symbol in ("AAPL", "AAPLX", "MSFT", "NVDA", "9", "Z")] == [1, 0, 0, 1, 0, 1]
    with pytest.raises(NotFound, match="no partition owns"):
        owner(".SPX", profile)


def test_a_level_that_one_side_lacks_is_a_difference() -> None:
    whole = {"bids": [LEVEL], "asks": []}
    assert differences(whole, whole) == []
    assert differences({"bids": [], "asks": []}, whole) == [
        "bids: the running book has nothing, the journal gives 5 at 100 in 1 orders"
    ]
