"""What Valkey is told after the commit, and that it never holds the writing up."""

import json
import os
import signal
import time
from pathlib import Path

import pytest
import redis

from engine.records import EVENT_BYTES, MAKER, Command, CommandKind, Event, EventKind, Side, unpack_events
from stack.persister.publish import FULL_EVENTS_BURST, LOOKED_THROUGH, NEWEST_KEPT, Publisher, newest_trades
from stack.settings import Postgres
from stack.wire.order import fold
from tests.stack.persister.conftest import assert_everything_stands_once
from tests.stack.persister.engine_peer import EnginePeer, new, trading
from tests.stack.servers import ValkeyServer


def test_trades_best_prices_and_closed_orders_are_published(persister, peer: EnginePeer, valkey_server: ValkeyServer):
    with redis.Redis(port=valkey_server.port, decode_responses=True) as valkey, valkey.pubsub() as heard:
        valkey.flushall()
        valkey.lpush("trades:AAPL", '{"of": "an earlier life"}')
        heard.subscribe("trades")
        heard.get_message(timeout=5)
        maker = peer.apply(new("m", Side.SELL, 100, 5))[0].sequence
        taker_events = peer.apply(new("t", Side.BUY, 101, 2))
        taker = taker_events[0].sequence
        peer.apply(new("bid", Side.BUY, 99, 7))
        peer.apply(new("proof-1", Side.SELL, 5, 1, symbol=3), new("proof-2", Side.BUY, 5, 1, symbol=3))
        running = persister()
        running.wait_for(lambda: "trade_id" in (valkey.lindex("trades:AAPL", 0) or ""), "the trade")
        running.wait_for(lambda: valkey.hget("best:AAPL", "bid_price"), "the best prices")

        trade = {
            "trade_id": "0-1", "price": "1", "quantity": "2", "side": "buy",
            "time_ns": taker_events[2].time_ns, "sequence": taker,
        }  # fmt: skip
        assert [json.loads(item) for item in valkey.lrange("trades:AAPL", 0, -1)] == [trade]
        assert json.loads(heard.get_message(timeout=5)["data"]) == {"symbol": "AAPL", **trade}
        assert valkey.hgetall("best:AAPL") == {
            "bid_price": "0.99", "bid_quantity": "7", "ask_price": "1", "ask_quantity": "3",
            "sequence": str(peer.engine.sequence),
        }  # fmt: skip
        chain = [e for e in unpack_events(peer.events) if e.order == taker]
        assert json.loads(valkey.get(f"order:0-{taker}")) == fold(chain, 0, peer.tables)
        assert 0 < valkey.ttl(f"order:0-{taker}") <= running.settings.cached_order_ttl_s
        assert valkey.get(f"order:0-{maker}") is None, "an open order may change, so it is not cached"
        assert not valkey.keys("*PROOF*")

        peer.apply(Command(CommandKind.CANCEL, target=maker))
        running.wait_for(lambda: valkey.get(f"order:0-{maker}"), "the closed order")
        assert json.loads(valkey.get(f"order:0-{maker}"))["status"] == "cancelled"
        running.wait_for(lambda: valkey.hget("best:AAPL", "ask_price") == "", "an empty side")


def taker_sequences(peer: EnginePeer, symbol: int) -> list[int]:
    return [e.sequence for e in unpack_events(peer.events) if e.kind == EventKind.FILL and e.symbol == symbol][::2]


def test_the_list_of_trades_is_bounded_and_newest_first(persister, peer: EnginePeer, valkey_server: ValkeyServer):
    with redis.Redis(port=valkey_server.port) as valkey:
        valkey.flushall()
        running = persister(batch_events=50_000)
        for seed in (21, 22, 23):  # each of them few enough to be told in full
            trading(peer, seed=seed, commands=1600, prefix=f"s{seed}")
            newest = taker_sequences(peer, 2)[-1]
            running.wait_for(lambda wanted=newest: newest_of(valkey, "ESH4") == wanted, "the newest")
        sequences = taker_sequences(peer, 2)
        assert len(sequences) > 1000
        running.wait_for(lambda: newest_of(valkey, "ESH4") == sequences[-1], "the last")
        kept = [json.loads(item)["sequence"] for item in valkey.lrange("trades:ESH4", 0, -1)]
    assert kept == sequences[::-1][:1000]


def test_what_comes_too_fast_is_coalesced_to_the_newest_trades_and_prices(
    persister, peer: EnginePeer, valkey_server: ValkeyServer
):
    trading(peer, seed=23, commands=5500)
    assert len(peer.events) // EVENT_BYTES > FULL_EVENTS_BURST
    with redis.Redis(port=valkey_server.port) as valkey:
        valkey.flushall()
        running = persister(batch_events=50_000)
        for number, symbol in ((1, "AAPL"), (2, "ESH4")):
            sequences = taker_sequences(peer, number)
            running.wait_for(lambda s=sequences, name=symbol: newest_of(valkey, name) == s[-1], "the last")
            kept = [json.loads(item)["sequence"] for item in valkey.lrange(f"trades:{symbol}", 0, -1)]
            assert kept == sequences[::-1][:NEWEST_KEPT]
        running.wait_for(
            lambda: valkey.hget("best:ESH4", "sequence") == str(peer.engine.sequence).encode(), "the prices"
        )
        assert not valkey.keys("order:*")

        def told_again() -> bool:
            made = peer.apply(new(f"s{peer.time_ns}", Side.SELL, 1, 900), new(f"b{peer.time_ns}", Side.BUY, 900, 900))
            return newest_of(valkey, "AAPL") == made[-1].sequence or valkey.llen("trades:AAPL") > NEWEST_KEPT

        running.wait_for(told_again, "news in full")
        running.wait_until_written(peer)
        running.wait_for(lambda: newest_of(valkey, "AAPL") == taker_sequences(peer, 1)[-1], "the last")
        listed = [json.loads(item)["sequence"] for item in valkey.lrange("trades:AAPL", 0, -1)]
        assert listed == taker_sequences(peer, 1)[::-1][: len(listed)], "newest first, none missing in between"


def test_nothing_is_told_in_full_while_too_much_comes_all_the_time(monkeypatch: pytest.MonkeyPatch):
    publisher, now = Publisher.__new__(Publisher), 100.0
    publisher._allowed, publisher._allowed_at = float(FULL_EVENTS_BURST), now
    monkeypatch.setattr(time, "monotonic", lambda: now)

    def told(events: int, seconds: float) -> int:
        nonlocal now
        count = 0
        for _ in range(round(seconds / 0.05)):
            now += 0.05
            count += events if publisher._may(events) else 0
        return count

    assert FULL_EVENTS_BURST <= told(500, 10) < 1.5 * FULL_EVENTS_BURST, (
        "twice as many as may be: the burst, and no more"
    )
    assert told(100, 10) > 8.5 * 2000, "so few are told again after a moment"


def test_the_newest_trades_of_a_batch_are_found_and_old_ones_are_not_looked_for(peer: EnginePeer):
    trading(peer, seed=24, commands=300)
    takers = [e for e in unpack_events(peer.events) if e.kind == EventKind.FILL and not e.flags & MAKER]
    found, whole = newest_trades(peer.events)
    assert whole
    assert {symbol: [Event.unpack(fill) for fill in fills] for symbol, fills in found.items()} == {
        symbol: [e for e in takers if e.symbol == symbol][-NEWEST_KEPT:] for symbol in (1, 2)
    }
    repeated, whole = newest_trades(peer.events * (LOOKED_THROUGH * 2 // len(takers)))
    assert not whole
    assert repeated == {
        symbol: [e.pack() for e in (*takers, *takers) if e.symbol == symbol][-NEWEST_KEPT:] for symbol in (1, 2)
    }
    assert newest_trades(b"") == ({}, True)


def newest_of(valkey: redis.Redis, symbol: str) -> int:
    return json.loads(valkey.lindex(f"trades:{symbol}", 0) or '{"sequence": 0}')["sequence"]


def test_without_valkey_everything_is_written_and_afterwards_lists_have_no_holes(
    persister, peer: EnginePeer, database: Postgres, tmp_path: Path
):
    server = ValkeyServer(tmp_path)
    try:
        running = persister(redis=server.settings())
        with redis.Redis(port=server.port) as valkey:
            peer.apply(new("a", Side.SELL, 100, 1), new("b", Side.BUY, 100, 1))
            running.wait_for(lambda: valkey.llen("trades:AAPL") == 1, "the first trade")
            os.kill(server.process.pid, signal.SIGSTOP)  # it neither answers nor refuses
            trading(peer, seed=22, commands=400)
            running.wait_until_written(peer)
            running.wait_for(lambda: "valkey does not work" in running.log, "a complaint about Valkey")
            peer.apply(new("c", Side.SELL, 94, 1), new("d", Side.BUY, 105, 1))
            running.wait_until_written(peer)
            os.kill(server.process.pid, signal.SIGCONT)

            def mended() -> bool:
                peer.apply(new(f"s{peer.time_ns}", Side.SELL, 94, 50), new(f"b{peer.time_ns}", Side.BUY, 105, 50))
                return "valkey works again" in running.log

            running.wait_for(mended, "Valkey's return")
            running.wait_until_written(peer)
            takers = [e for e in unpack_events(peer.events) if e.kind == EventKind.FILL and e.symbol == 1][1::2]
            newest = takers[-1].sequence
            running.wait_for(
                lambda: json.loads(valkey.lindex("trades:AAPL", 0) or '{"sequence": 0}')["sequence"] == newest,
                "the newest",
            )
            listed = [int(json.loads(item)["trade_id"][2:]) for item in valkey.lrange("trades:AAPL", 0, -1)]
        of_symbol = [e.trade for e in takers]
        assert listed == of_symbol[::-1][: len(listed)], "newest first, none missing in between"
        assert_everything_stands_once(database, peer)
    finally:
        os.kill(server.process.pid, signal.SIGCONT)
        server.kill()


def test_what_a_killed_persister_had_committed_and_not_told_is_not_missing(
    persister, peer: EnginePeer, valkey_server: ValkeyServer
):
    with redis.Redis(port=valkey_server.port, decode_responses=True) as valkey:
        valkey.flushall()
        running = persister()
        for number in range(3):
            peer.apply(new(f"m{number}", Side.SELL, 100, 5), new(f"t{number}", Side.BUY, 100, 2))
        running.wait_for(lambda: newest_of(valkey, "AAPL") == taker_sequences(peer, 1)[-1], "the newest")
        running.wait_for(lambda: valkey.hget("best:AAPL", "ask_quantity") == "9", "the best price")
        running.end(signal.SIGKILL)
        valkey.lpop("trades:AAPL")  # as if it had been killed between commit and news
        valkey.hset("best:AAPL", "ask_quantity", "11")
        running = persister()
        running.wait_for(lambda: valkey.llen("trades:AAPL") == 0, "a list without holes")
        running.wait_for(lambda: valkey.hget("best:AAPL", "ask_quantity") == "9", "the best price of now")
        peer.apply(new("m", Side.SELL, 99, 5), new("t", Side.BUY, 99, 2))
        running.wait_for(lambda: newest_of(valkey, "AAPL") == taker_sequences(peer, 1)[-1], "the newest")
        assert valkey.llen("trades:AAPL") == 1
