"""The load generator against a server whose faults are known: it must report exactly those."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from stack.traffic.load_driver import Counts
from stack.traffic.load_machine import journal_syncs, journal_syncs_between, sync_probe
from stack.traffic.load_orders import Orders, Traded
from stack.traffic.load_report import merged, report
from tests.stack.traffic.load_server import DROP, INSTRUMENTS, Server, serving, stalling

ROOT = Path(__file__).resolve().parents[3]
SHORT = ["--clients", "4", "--duration", "0.3", "--warmup", "0.05"]


def start(server: Server, *words: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "stack.traffic.load", "--url", server.url, "--json", *words],
        cwd=ROOT, env=os.environ | environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def run(server: Server, *words: str, **environment: str) -> tuple[int, dict[str, Any], str]:
    process = start(server, *words, **environment)
    out, err = process.communicate(timeout=60)
    return process.returncode, json.loads(out) if out else {}, err


def test_every_order_has_an_id_of_its_own_and_all_workers_count(tmp_path: Path) -> None:
    history = tmp_path / "history"
    with serving() as server:
        code, document, err = run(server, *SHORT, "--workers", "2", "--history", str(history), HFTCTL_API_KEY="k")
        assert code == 0, err
        assert set(server.seen.values()) == {1}
        assert document["success_percent"] == 100
        assert 0 < document["requests"] <= len(server.seen)
        assert document["symbols"] == ["AAPL"], "a halted instrument is left out"
        assert server.keys == {"Bearer k"}
        assert {name.split("-")[1] for name in server.seen} == {"0", "1"}
        assert len(server.mass_cancels) == 1
        assert document["left_open"] == {"cancelled": 7}
        lines = [json.loads(line) for line in history.read_text().splitlines()]
    assert {line["client_order_id"] for line in lines} == set(server.seen)
    assert all(line["t_invoke_ns"] < line["t_complete_ns"] and line["status"] == 201 for line in lines)
    assert all(line["response"]["client_order_id"] == line["body"]["client_order_id"] for line in lines)


def test_a_lost_connection_is_asked_again_word_for_word(tmp_path: Path) -> None:
    def judge(before: int, body: dict[str, Any]) -> int:
        return DROP if before == 0 and body["client_order_id"].endswith("5") else 201

    history = tmp_path / "history"
    with serving(judge) as server:
        code, document, err = run(server, *SHORT, "--warmup", "0", "--history", str(history))
    assert code == 0, err
    again = {name for name, count in server.seen.items() if count == 2}
    assert again == {name for name in server.seen if name.endswith("5")}
    assert all(len(bodies) == 1 for bodies in server.bodies.values())
    assert document["retries"] == len(again) > 0
    lines = [json.loads(line) for line in history.read_text().splitlines()]
    unknown = [line for line in lines if line["status"] == 0]
    assert {line["client_order_id"] for line in unknown} == again
    assert all(line["t_complete_ns"] is None and line["response"] is None for line in unknown)


def test_refusals_are_errors_by_status_and_code_and_exit_11() -> None:
    with serving(lambda _before, body: 422 if body["side"] == "sell" else 201) as server:
        code, document, _ = run(server, *SHORT)
    assert code == 11
    assert set(document["errors"]) == {"422 made_422"}
    assert document["succeeded"] + document["errors"]["422 made_422"] == document["requests"]
    assert 0 < document["success_percent"] < 100
    assert set(server.seen.values()) == {1}, "a definite no is not asked again"


def test_what_stays_busy_is_an_error_after_its_attempts() -> None:
    with serving(lambda _before, _body: 429) as server:
        code, document, _ = run(server, *SHORT, "--clients", "1", "--min-success", "0", "--duration", "0.5")
    assert code == 0
    assert document["succeeded"] == 0
    assert document["latency_ms"]["p99"] is None
    assert max(server.seen.values()) == 5


def test_open_loop_shows_a_stall_in_every_request_that_had_to_wait() -> None:
    """One stall of 0.4 s: a closed loop sees it once for each client, an open loop in nearly half of all requests."""
    words = ["--clients", "2", "--duration", "1", "--warmup", "0"]
    with serving(stalling(0.4)) as server:
        _, opened, _ = run(server, *words, "--rate", "200")
    with serving(stalling(0.4)) as server:
        _, closed, _ = run(server, *words)
    assert opened["loop"].startswith("open")
    assert closed["loop"].startswith("closed")
    assert opened["latency_ms"]["p90"] > 100
    assert closed["latency_ms"]["p90"] < opened["latency_ms"]["p90"]
    assert opened["sent_late"] > 20
    assert opened["requests"] + opened["not_sent"] == 200


def test_what_no_client_was_free_to_send_is_counted_and_is_no_success() -> None:
    def slow(_before: int, _body: dict[str, Any]) -> int:
        time.sleep(0.1)
        return 201

    with serving(slow) as server:
        code, document, _ = run(server, *SHORT, "--clients", "1", "--warmup", "0", "--rate", "100")
    assert code == 11
    assert document["not_sent"] > 20
    assert document["requests"] + document["not_sent"] == 30


def test_cancels_name_open_orders_of_the_same_run() -> None:
    with serving() as server:
        code, document, err = run(server, *SHORT, "--mix", "orders+cancels", "--target-rate", "1e9")
        assert (code, document["success_percent"]) == (11, 100), f"below the target: {err}"
    assert 0 < len(server.cancelled) < len(server.seen)
    assert len(set(server.cancelled)) == len(server.cancelled)


def test_a_cancel_of_an_order_that_was_filled_meanwhile_is_no_failure() -> None:
    with serving() as server:
        server.fills_at_once = True
        code, document, err = run(server, *SHORT, "--mix", "orders+cancels")
    assert (code, document["success_percent"], document["errors"]) == (0, 100, {}), err
    assert 0 < document["cancels_too_late"] <= len(server.cancelled)


def test_an_interrupted_load_cancels_what_it_left_and_reports() -> None:
    with serving() as server:
        process = start(server, "--clients", "2", "--duration", "60", "--warmup", "0")
        while len(server.seen) < 20:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=20)
    document = json.loads(out)
    assert process.returncode == 130
    assert document["interrupted"] is True
    assert document["succeeded"] > 0
    assert len(server.mass_cancels) == 1


def test_unreachable_unknown_and_foreign_are_told_apart() -> None:
    with serving() as server:
        assert run(server, *SHORT, "--account", "nobody")[0] == 2
        code, _, err = run(server, *SHORT, "--symbols", "ESH4")
        assert (code, "ESH4" in err) == (2, True)
        gone = server.url
    ended = [
        subprocess.run(
            [sys.executable, "-m", "stack.traffic.load", "--url", url], cwd=ROOT, capture_output=True, text=True
        )
        for url in (gone, "http://192.0.2.1:8080")
    ]
    assert [done.returncode for done in ended] == [13, 2]
    assert "--i-mean" in ended[1].stderr


def test_the_same_seed_asks_for_the_same_orders_and_prices_are_on_the_tick() -> None:
    def orders(seed: int) -> list[dict[str, Any]]:
        made = Orders(
            [Traded.of(INSTRUMENTS[0], seed)],
            run="r",
            worker=0,
            seed=seed,
            account="load",
            host="h",
            key="",
            cancels=False,
        )
        return [json.loads(made.next(number / 100).body) for number in range(500)]

    assert orders(1) == orders(1)
    assert orders(1) != orders(2)
    resting = [order for order in orders(1) if order["time_in_force"] == "GTC"]
    assert {order["side"] for order in resting} == {"buy", "sell"}
    assert all(float(order["price"]) > 0 for order in resting)
    assert any(order["time_in_force"] == "IOC" for order in orders(1))


def test_workers_are_merged_and_one_failure_never_rounds_to_success() -> None:
    total, histogram = merged(
        [
            Counts(requests=999_999, ok=999_999, in_time=999_999, latency_us={100: 999_999}),
            Counts(requests=1, errors={"422 x": 1}, latency_us={}),
        ]
    )
    made = report(total, histogram, duration_s=10, rate=0)
    assert made["success_percent"] < 100
    assert made["achieved_per_s"] == 99_999.9
    assert made["latency_ms"]["p99_9"] == 0.1
    assert made["errors"] == {"422 x": 1}


def test_the_journals_syncs_are_those_in_between() -> None:
    text = (
        'hft_sync_seconds_bucket{{le="0.0001",partition="0"}} {0}\nhft_sync_seconds_bucket{{le="0.001",partition="0"}} {1}\n'
        'hft_sync_seconds_bucket{{le="+Inf",partition="0"}} {1}\nhft_sync_seconds_sum{{partition="0"}} {2}\n'
        'hft_sync_seconds_count{{partition="0"}} {1}\n'
    )
    head = "# TYPE hft_sync_seconds histogram\n"
    before, after = (journal_syncs(head + text.format(*numbers)) for numbers in ((10, 10, 0.001), (70, 110, 0.021)))
    assert journal_syncs_between(before, after) == {
        "syncs": 100, "mean_us": 200.0, "p50_us_at_most": 100.0, "p99_us_at_most": 1000.0,
    }  # fmt: skip
    assert journal_syncs_between(after, after) is None


def test_the_sync_probe_measures_this_disk_and_leaves_nothing(tmp_path: Path) -> None:
    found = sync_probe(tmp_path)
    assert 0 < found["p50_us"] <= found["p99_us"] <= found["max_us"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("words", [["--clients", "0"], ["--workers", "9", "--clients", "4"], ["--duration", "0"]])
def test_bad_numbers_are_usage_errors(words: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "stack.traffic.load", "--url", "http://127.0.0.1:1", *words],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 2
