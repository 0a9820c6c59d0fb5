"""Captured market activity: read right, sent in order, and every answer compared with the reference's."""

import itertools
import json
import os
import subprocess
import sys
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from stack.traffic.replay import Replay
from stack.traffic.replay_files import Action, Capture, Kind, UnknownFile
from stack.traffic.replay_reference import ReferenceBook
from tests.faults.stack import ROOT, Stack

DATA = Path(os.environ.get("HFTCTL_DATA_DIR") or ROOT.parent / "shared" / "data")


def capture(pattern: str) -> Capture:
    found = sorted(DATA.glob(pattern)) if DATA.is_dir() else []
    if not found:
        pytest.skip(f"no captured data {pattern} in {DATA}; set HFTCTL_DATA_DIR")
    return Capture(found[0])


def test_the_futures_day_opens_with_its_snapshot_and_fills_are_no_commands():
    day = capture("*.mbo.dbn.zst")
    assert day.symbols() == ["ESH4"]
    actions = list(day.actions("ESH4"))
    assert all(a.kind is Kind.PLACE and a.time_in_force == "GTC" for a in actions[:8725])
    kinds = Counter(a.kind for a in actions)
    aggressors = [a for a in actions if a.time_in_force == "IOC"]
    assert kinds[Kind.REPLACE] == 12_233
    assert kinds[Kind.PLACE] - len(aggressors) == 29_216
    assert (len(aggressors), day.left_out["trade of an auction"]) == (2972, 1)
    assert kinds[Kind.FILL] + day.left_out["fill of an auction"] == 6371
    assert kinds[Kind.CANCEL] + day.left_out["cancel that is the result of a fill"] == 17_999
    assert sum(day.left_out.values()) + len(actions) == 68_792, "every record is an action or counted"


def test_another_symbol_is_left_out_and_counted():
    day = capture("*.mbo.dbn.zst")
    assert list(day.actions("NQH4")) == []
    assert day.left_out == {"another instrument": 68_792}


def test_a_bitcoin_trade_is_a_resting_order_and_an_opposite_one():
    trades = capture("*btcusdt*.gz")
    assert trades.symbols() == ["BTCUSDT"]
    maker, taker = itertools.islice(trades.actions("BTCUSDT"), 2)
    assert (maker.side, maker.time_in_force, taker.side, taker.time_in_force) == ("buy", "GTC", "sell", "IOC")
    assert (maker.price, maker.quantity) == (taker.price, taker.quantity) == ("61685.99000000", "0.00017000")


def test_a_file_of_another_kind_is_refused(tmp_path: Path):
    (tmp_path / "x").write_bytes(b"hello")
    with pytest.raises(UnknownFile, match="neither DBN"):
        Capture(tmp_path / "x")


class LyingDoor:
    """Answers like the reference but for one thing: what a real stack cannot be made to do."""

    def __init__(self, lie: str) -> None:
        self.lie = lie
        self.book = ReferenceBook("ESH4", "0.25", "1", "replay")

    def ask(self, _method: str, _path: str, body: list[dict]) -> tuple[int, list[dict]]:
        answers = []
        for one in body:
            names = ("client_order_id", "side", "time_in_force", "price", "quantity")
            order = self.book.order(self.book.place(*(one[name] for name in names)))
            answers.append({"status": 201, "order": {**order, "order_id": "0-1"}})
        if self.lie == "refused":
            answers[-1] = {"status": 422, "error": {"code": "bad_value"}}
        elif self.lie == "fills":
            answers[-1]["order"]["fills"] = []
        elif self.lie == "price":
            answers[0]["order"]["price"] = "99"
        return 200, answers


@pytest.mark.parametrize(
    ("lie", "said"),
    [("", []), ("refused", ["refused with 422"]), ("fills", ["fills []"]), ("price", ["price '99', expected '100'"])],
)
def test_an_answer_that_differs_from_the_reference_is_told(lie: str, said: list[str]):
    replay = Replay(LyingDoor(lie), ReferenceBook("ESH4", "0.25", "1", "replay"), "ESH4", "replay", "t")
    replay.run(
        iter(
            [
                Action(Kind.PLACE, 1, "buy", "GTC", "100", "5"),
                Action(Kind.PLACE, 0, "sell", "IOC", "99.75", "3"),
                Action(Kind.FILL, 1, "buy", price="100", quantity="3"),
            ]
        )
    )
    assert len(replay.mismatches) == len(said)
    assert all(what in mismatch for what, mismatch in zip(said, replay.mismatches, strict=True))
    assert replay.counts["captured fills that came out the same"] == 1


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    stack = Stack.make("replayed")
    try:
        stack.deploy()
        yield stack
    finally:
        stack.destroy()


def run(stack: Stack, module: str, *words: str) -> tuple[int, dict]:
    done = subprocess.run(
        [sys.executable, "-m", module, *words, "--json"], cwd=stack.folder / "run", capture_output=True, text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)}, check=False,
    )  # fmt: skip
    return done.returncode, json.loads(done.stdout) if done.stdout else {"stderr": done.stderr}


def equal_to_the_journal(stack: Stack) -> tuple[int, dict]:
    config = stack.folder / "config"
    words = [
        "--config",
        str(config / "engine-0.json"),
        "--postgres",
        str(config / "persister-0.json"),
        "--wait-s",
        "20",
    ]
    return run(stack, "stack.persister.compare", *words)


@pytest.mark.stack
@pytest.mark.parametrize(("pattern", "limit"), [("*.mbo.dbn.zst", 9500), ("*btcusdt*.gz", 4000)])
def test_every_answer_of_the_real_stack_is_the_references(stack: Stack, pattern: str, limit: int):
    file = str(capture(pattern).path)
    code, report = run(
        stack, "stack.traffic.replay", file, "--url", f"http://127.0.0.1:{stack.http}", "--limit", str(limit)
    )
    assert (code, report["mismatches_shown"]) == (0, [])
    assert report["counts"]["place GTC"] >= limit // 2
    code, report = equal_to_the_journal(stack)
    assert (code, report["problems"]) == (0, [])
    assert report["journal_events"] > limit


@pytest.mark.stack
def test_a_book_that_is_not_empty_is_refused_before_the_first_order(stack: Stack):
    file = str(capture("*btcusdt*.gz").path)

    def ask(method: str, path: str, body: dict | None = None) -> None:
        data = json.dumps(body).encode() if body else None
        headers = {"Content-Type": "application/json"}
        url = f"http://127.0.0.1:{stack.http}{path}"
        urllib.request.urlopen(urllib.request.Request(url, data, headers, method=method)).close()

    order = {"client_order_id": "in-the-way", "account": "demo", "symbol": "BTCUSDT", "side": "buy", "type": "limit"}
    ask("POST", "/orders", order | {"price": "1", "quantity": "1"})
    try:
        code, report = run(stack, "stack.traffic.replay", file, "--url", f"http://127.0.0.1:{stack.http}")
        assert (code, "is not empty" in report["stderr"]) == (7, True)
    finally:
        ask("DELETE", "/orders?account=demo")


@pytest.mark.stack
def test_a_row_changed_behind_our_back_is_found(stack: Stack):
    settings = json.loads((stack.folder / "config" / "persister-0.json").read_text())["postgres"]
    password = (stack.folder / "run" / settings["password_file"]).read_text().strip()
    with psycopg.connect(
        host=settings["host"], port=settings["port"], dbname=settings["database"], user=settings["user"],
        password=password, autocommit=True,
    ) as connection:  # fmt: skip
        connection.execute("UPDATE events SET quantity = quantity + 1 WHERE sequence = 1")
        code, report = equal_to_the_journal(stack)
        connection.execute("UPDATE events SET quantity = quantity - 1 WHERE sequence = 1")
    assert (code, report["differing_events"]) == (10, 1)
    assert equal_to_the_journal(stack)[0] == 0
