"""load and replay start a process: what becomes of its report, its talk, its exit code and a key."""

from __future__ import annotations

import gzip
import json
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hftctl.cli.generator import run
from hftctl.errors import Failed, HftctlError, NotFound, Refused, UsageError
from stack.traffic.load import arguments
from stack.traffic.load_driver import Counts
from stack.traffic.load_report import merged, report
from tests.hftctl.cli.conftest import Door, Ended, Files, Hftctl

ROOT = Path(__file__).parents[3]
PRETEND = "tests.hftctl.cli.pretend"


@pytest.mark.parametrize("code", [0, 11])
def test_a_report_comes_back_with_its_code_and_the_talk_goes_to_stderr(
    deployed: Ended, capsys: pytest.CaptureFixture[str], code: int
) -> None:
    found, ended = run(PRETEND, None, [str(code)], i_mean=None)
    assert (found["url"], ended) == ("http://127.0.0.1:1", code)
    assert capsys.readouterr().err == f"warming up\nthe last word, {code}\n"


@pytest.mark.parametrize(("code", "kind"), [(2, UsageError), (7, Refused), (13, NotFound), (1, Failed), (3, Failed)])
def test_without_a_report_the_last_word_is_the_error(
    deployed: Ended, capsys: pytest.CaptureFixture[str], code: int, kind: type[HftctlError]
) -> None:
    with pytest.raises(kind) as caught:
        run(PRETEND, None, [str(code)], i_mean=None)
    assert caught.value.message == f"pretend: the last word, {code}"
    assert capsys.readouterr().err == "warming up\n"


def test_a_key_reaches_the_process_and_stands_on_no_command_line(
    deployed: Ended, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Files, "key", "k" * 43)
    found, _ = run(PRETEND, None, ["0"], i_mean=None)
    assert (found["key_length"], found["key_in_words"]) == (43, False)


def test_the_report_of_a_load_is_what_its_schema_says(
    deployed: Ended, hftctl_: Hftctl, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = report(*merged([]), duration_s=1.0, rate=100.0)
    monkeypatch.setattr("hftctl.cli.generator.ended", lambda *_: (json.dumps(made), "", 0))
    document = hftctl_("load", "--rate", "100", "-o", "json").document("Load")
    assert document["loop"].startswith("open loop")
    assert "latency_ms" in hftctl_("load").out


def test_more_workers_than_clients_and_a_missing_file_are_refused_at_once(deployed: Ended, hftctl_: Hftctl) -> None:
    assert hftctl_("load", "--clients", "3", "--workers", "4").code == 2
    assert hftctl_("replay", "gone.gz").code == 13


@pytest.fixture
def captured(tmp_path: Path) -> Path:
    """One trade as Binance sends it."""
    trade = {"e": "trade", "s": "BTCUSDT", "p": "61685.99", "q": "0.00017", "m": True}
    path = tmp_path / "day.gz"
    path.write_bytes(gzip.compress(f"1 {json.dumps({'data': trade})}\n".encode()))
    return path


def test_a_replay_shows_what_differs_and_ends_with_10(captured: Path, door: Door, hftctl_: Hftctl) -> None:
    """The real process, against a door that refuses what the reference takes."""
    listed = {"symbol": "BTCUSDT", "tick_size": "0.01", "lot_size": "0.00001"}
    refused = {"status": 422, "error": {"code": "bad_value", "message": "no", "field": None}}
    door.answers = {
        "GET /instruments": (200, {"instruments": [listed]}),
        "GET /book/BTCUSDT": (200, {"bids": [], "asks": []}),
        "POST /orders/batch": (200, [refused, refused]),
        "DELETE /orders": (200, {"cancelled": 0}),
    }
    ended = hftctl_("replay", str(captured), "-o", "json")
    document = ended.document("Replay")
    assert (ended.code, document["mismatches"], document["counts"]["place GTC"]) == (10, 2, 1)
    ended = hftctl_("replay", str(captured))
    assert ended.code == 10
    assert ended.out.count("differs: order r") == 2
    assert "error: 2 answers differ from the reference book's, the first: order r" in ended.err
    assert "hint: does anything else trade BTCUSDT?" in ended.err


def test_a_replay_into_a_book_that_is_not_empty_ends_with_7(captured: Path, door: Door, hftctl_: Hftctl) -> None:
    listed = {"symbol": "BTCUSDT", "tick_size": "0.01", "lot_size": "0.00001"}
    door.answers = {
        "GET /instruments": (200, {"instruments": [listed]}),
        "GET /book/BTCUSDT": (200, {"bids": [["1", "1"]], "asks": []}),
    }
    ended = hftctl_("replay", str(captured), "-o", "json")
    assert (ended.code, ended.document("Error")["code"]) == (7, "refused")
    assert "the book of BTCUSDT is not empty" in ended.document("Error")["message"]


def test_a_load_below_its_target_says_what_was_missed(
    deployed: Ended, hftctl_: Hftctl, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = Counts(requests=100, in_time=97, ok=97, errors={"503": 3})
    made = report(*merged([counts]), duration_s=1.0, rate=0.0) | {"target_per_s": 2000.0}
    monkeypatch.setattr("hftctl.cli.generator.ended", lambda *_: (json.dumps(made), "", 11))
    ended = hftctl_("load", "--target-rate", "2000")
    assert ended.code == 11
    assert "error: the load is below its target: 3 of 100 requests failed, 97.0 orders per second" in ended.err
    assert hftctl_("load", "-o", "json").document("Load")["succeeded"] == 97


def test_what_a_load_is_asked_for_reaches_the_process(
    deployed: Ended, hftctl_: Hftctl, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    made = json.dumps(report(*merged([]), duration_s=1.0, rate=0.0))

    def end(argv: list[str], _fds: list[int]) -> tuple[str, str, int]:
        asked.extend(argv)
        return made, "", 0

    monkeypatch.setattr("hftctl.cli.generator.ended", end)
    assert hftctl_("load", "--mix", "orders+cancels", "--symbols", "AAPL, MSFT", "--target-rate", "5").code == 0
    options = arguments(asked[3:])  # as the process itself reads them
    assert (options.mix, options.symbols, options.target_rate) == ("orders+cancels", ["AAPL", "MSFT"], 5.0)
    assert options.sync_probe == Files("local").layout.data
    assert hftctl_("load", "--symbols", "AAPL,,").code == 2


def test_a_load_of_no_time_is_refused_in_our_own_words(hftctl_: Hftctl) -> None:
    for given in ("0s", "2d"):
        ended = hftctl_("load", "--duration", given)
        assert (ended.code, ended.err.startswith("error: --duration is ")) == (2, True)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_orders_end_with_whoever_asked_for_them(tmp_path: Path, number: int) -> None:
    sender = tmp_path / "sender.py"
    talk = "print(os.getpid(), file=sys.stderr); print('sends', file=sys.stderr, flush=True)"
    sender.write_text(f"import os, signal, sys\n{talk}\nsignal.pause()\n")
    code = f"import sys; from hftctl.cli.sender import ended; ended([sys.executable, {str(sender)!r}], [])"
    ours = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stderr=subprocess.PIPE, text=True)
    assert ours.stderr is not None
    theirs = os.pidfd_open(int(ours.stderr.readline()))
    ours.send_signal(number)
    ours.wait()
    assert select.select([theirs], [], [], 20)[0], "it still sends"
    os.close(theirs)
    ours.stderr.close()
