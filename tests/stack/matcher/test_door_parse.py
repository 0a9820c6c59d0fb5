"""The fast parser takes a body only when it is certain, and then says exactly what the gateway's model says."""

import random
import re

import pytest

from engine.records import (
    POST_ONLY,
    PRICE_TICKS_MAX,
    QUANTITY_LOTS_MAX,
    Command,
    CommandKind,
    OrderType,
    Side,
    TimeInForce,
)
from stack.gateway.errors import ApiError
from stack.gateway.model import parse_order
from stack.keys import ANYBODY, Caller
from tests.stack.gateway.bad_orders import BAD
from tests.stack.matcher.door_bodies import TABLES, bodies, document, written

door = pytest.importorskip("stack.door.codec", reason="the extensions are not built")
FAST = door.DoorTables(TABLES)
CALLERS = [ANYBODY, Caller("trader", "alice"), Caller("trader", "nobody"), Caller("operator", "x" * 32)]


def specified(body: bytes, caller: Caller) -> bytes | None:
    try:
        return parse_order(body, TABLES.symbols, TABLES.account_ids, caller)
    except ApiError:
        return None


@pytest.mark.parametrize("seed", range(4))
def test_what_the_fast_parser_takes_is_what_the_model_says(seed: int) -> None:
    taken = valid = 0
    for number, body in enumerate(bodies(seed, 3000)):
        caller = CALLERS[number % 16 if number % 16 < len(CALLERS) else 0]
        fast, model = door.parse_order(body, FAST, caller.account), specified(body, caller)
        assert fast is None or fast == model, (body, caller)
        taken += fast is not None
        valid += model is not None
    assert valid > 800, "the bodies are too broken to prove anything"
    assert taken > 0.9 * valid, "what clients usually write must not be handed to the gateway"


@pytest.mark.parametrize("name", BAD)
def test_no_bad_body_is_taken(name: str) -> None:
    assert door.parse_order(BAD[name][0], FAST) is None


def test_a_usual_body_is_taken() -> None:
    body = (
        b'{"client_order_id": "c-1", "account": "alice", "symbol": "AAPL", "side": "buy", "type": "limit",'
        b' "price": "190.25", "quantity": 10, "time_in_force": "GTC", "post_only": true}'
    )
    assert Command.unpack(door.parse_order(body, FAST)) == Command(
        CommandKind.NEW, Side.BUY, OrderType.LIMIT, TimeInForce.GTC, POST_ONLY, 1, 1, 19025, 10, 0, 0, b"c-1"
    )


@pytest.mark.parametrize(
    ("symbol", "price", "quantity"),
    [
        ("AAPL", TABLES.symbols["AAPL"].tick.text(PRICE_TICKS_MAX), str(QUANTITY_LOTS_MAX)),
        ("BTCUSD", "0.01", TABLES.symbols["BTCUSD"].lot.text(QUANTITY_LOTS_MAX)),
        ("ODD.7", "0.000000000000000007", "3"),
    ],
)
def test_the_largest_and_the_smallest_are_exact(symbol: str, price: str, quantity: str) -> None:
    body = (
        f'{{"client_order_id":"c","account":"bob","symbol":"{symbol}","side":"sell","type":"limit",'
        f'"price":"{price}","quantity":"{quantity}"}}'
    ).encode()
    fast = door.parse_order(body, FAST)
    assert fast is not None
    assert fast == specified(body, ANYBODY)


def test_one_step_above_the_largest_is_not_taken() -> None:
    tick = TABLES.symbols["AAPL"].tick
    body = (
        '{"client_order_id":"c","account":"bob","symbol":"AAPL","side":"sell","type":"limit",'
        f'"price":"{tick.text(PRICE_TICKS_MAX + 1)}","quantity":"1"}}'
    ).encode()
    assert door.parse_order(body, FAST) is None


def test_the_account_comes_from_the_key_and_no_other_is_taken() -> None:
    body = b'{"client_order_id":"c","symbol":"AAPL","side":"sell","type":"market","quantity":"1"}'
    assert door.parse_order(body, FAST) is None
    assert Command.unpack(door.parse_order(body, FAST, "bob")).account == 2
    other = body.replace(b'"symbol"', b'"account":"alice","symbol"')
    assert door.parse_order(other, FAST, "bob") is None
    assert door.parse_order(other, FAST, "alice") is not None


def test_a_batch_is_taken_whole_and_in_order_or_not_at_all() -> None:
    chance = random.Random(5)
    parts = []
    while len(parts) < 1000:
        body = written(chance, document(chance)).encode()
        if door.parse_order(body, FAST) is not None:
            parts.append(body)
    batch = b" [" + b" ,".join(parts) + b"]\n"
    assert door.parse_batch(batch, FAST) == [specified(part, ANYBODY) for part in parts]
    assert door.parse_batch(batch.replace(b"]\n", b"," + parts[0] + b"]"), FAST) is None, "1001 are too many"
    broken = b"[" + b",".join([*parts[:500], re.sub(b'"side"', b'"hand"', parts[500]), *parts[501:]]) + b"]"
    assert door.parse_batch(broken, FAST) is None


@pytest.mark.parametrize("body", [b"", b"[]", b"[ ]", b"[{}]", b"{}", b"[,]", b"[1]", b"[[]]", b"[] x"])
def test_no_strange_batch_is_taken(body: bytes) -> None:
    assert door.parse_batch(body, FAST) is None


def test_a_body_cut_anywhere_is_not_taken() -> None:
    body = b'[{"client_order_id":"c","account":"bob","symbol":"AAPL","side":"sell","type":"market","quantity":"1"}]'
    assert door.parse_batch(body, FAST) is not None
    assert all(door.parse_batch(body[:end], FAST) is None for end in range(len(body)))
    assert all(door.parse_order(body[1:end], FAST) is None for end in range(1, len(body) - 1))
