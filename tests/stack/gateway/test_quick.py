"""Orders that come as nginx sends them, head and body in one piece, and whose answers take the short way.

The short way's heads say `Content-Type`, uvicorn's say `content-type`: that tells which way an answer came.
"""

from __future__ import annotations

import json
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stack.settings import Postgres, Redis
from tests.stack.gateway.processes import Process, engine, gateway

pytest.importorskip("stack.gateway.quick", reason="nothing is compiled here")
Started = Callable[[Process], Process]


class Raw:
    def __init__(self, gateway: Process) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(20)
        self.socket.connect(str(gateway.run / gateway.socket))
        self.file = self.socket.makefile("rb")

    def __enter__(self) -> Raw:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def receive(self) -> tuple[int, Any, bool]:
        """Status, document, and whether it came the short way."""
        status = int(self.file.readline().split()[1])
        head = b"".join(iter(self.file.readline, b"\r\n"))
        length = next(int(line.split()[1]) for line in head.splitlines() if line.lower().startswith(b"content-length"))
        return status, json.loads(self.file.read(length)), b"Content-Type" in head

    def ask(self, document: Any, route: str = "/orders", **headers: str) -> tuple[int, Any, bool]:
        self.send(post(document, route, **headers))
        return self.receive()


def order(text: str, **fields: Any) -> dict[str, Any]:
    values = {
        "client_order_id": text, "account": "alice", "symbol": "AAPL", "side": "buy", "type": "limit",
        "price": "190.25", "quantity": "10",
    }  # fmt: skip
    return values | fields


def post(document: Any, route: str = "/orders", **headers: str) -> bytes:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"POST {route} HTTP/1.1\r\nHost: x\r\n{lines}Content-Length: {len(body)}\r\n\r\n".encode() + body


def unusual(document: Any) -> bytes:
    """The same document, as the short way does not take it."""
    return json.dumps(document).replace("AAPL", "\\u0041APL").replace("MSFT", "\\u004dSFT").encode()


@pytest.fixture
def raw(shared_gateway: Process, client: object) -> Any:
    with Raw(shared_gateway) as raw:
        yield raw


VARYING = ("order_id", "client_order_id", "sequence", "created_ns", "updated_ns")


def alike(answer: Any) -> Any:
    return (
        {name: value for name, value in answer.items() if name not in VARYING} if isinstance(answer, dict) else answer
    )


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({}, 201),
        ({"type": "market", "time_in_force": "IOC", "price": None}, 201),
        ({"post_only": True, "symbol": "MSFT"}, 201),
        ({"symbol": "NVDA"}, 503),
    ],
    ids=["open", "cancelled", "post-only", "refused"],
)
def test_both_ways_answer_the_same(raw: Raw, new_id: Callable[[], str], fields: dict[str, Any], status: int) -> None:
    def asked() -> dict[str, Any]:
        return {name: value for name, value in order(new_id(), **fields).items() if value is not None}

    short, ordinary = raw.ask(asked()), raw.ask(unusual(asked()).replace(b"NVDA", b"\\u004eVDA"))
    assert (short[0], ordinary[0]) == (status, status)
    assert alike(short[1]) == alike(ordinary[1])
    assert (short[2], ordinary[2]) == (True, False)


def test_a_repeat_and_a_conflict_are_told_both_ways(raw: Raw, new_id: Callable[[], str]) -> None:
    one = order(new_id())
    first, repeat, other_way = raw.ask(one), raw.ask(one), raw.ask(unusual(one))
    assert [first[0], repeat[0], other_way[0]] == [201, 200, 200]
    assert first[1] == repeat[1] == other_way[1]
    conflict, other_way = raw.ask(one | {"quantity": "11"}), raw.ask(unusual(one | {"quantity": "11"}))
    assert conflict[:2] == other_way[:2] and conflict[0] == 409 and conflict[2]


def test_a_batch_is_answered_in_its_order(raw: Raw, new_id: Callable[[], str]) -> None:
    batch = [order(new_id()), order(new_id(), symbol="NVDA"), order(new_id(), side="sell", account="bob", price="200")]
    status, answers, short = raw.ask(batch, "/orders/batch")
    assert (status, short) == (200, True)
    assert [one["status"] for one in answers] == [201, 503, 201]
    assert [answers[place]["order"]["client_order_id"] for place in (0, 2)] == [
        batch[place]["client_order_id"] for place in (0, 2)
    ]
    again = raw.ask(unusual(batch).replace(b"NVDA", b"\\u004eVDA"), "/orders/batch")
    assert not again[2] and [one["status"] for one in again[1]] == [200, 503, 200]
    assert again[1][1] == answers[1] and again[1][0]["order"] == answers[0]["order"]


def test_requests_sent_ahead_are_answered_in_their_order_whichever_way(raw: Raw, new_id: Callable[[], str]) -> None:
    ids = [new_id() for _ in range(6)]
    asked = [order(name) if place % 2 else unusual(order(name)) for place, name in enumerate(ids)]
    for document in asked:
        raw.send(post(document))
    raw.send(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
    assert [raw.receive()[1]["client_order_id"] for _ in ids] == ids
    assert raw.receive()[0] == 200
    cut = post(order(new_id()))
    raw.send(post(order(new_id())) + cut[:60])
    assert raw.receive()[0] == 201
    raw.send(cut[60:])
    assert raw.receive()[0] == 201


def test_what_looks_like_an_order_inside_a_body_is_none(raw: Raw, new_id: Callable[[], str]) -> None:
    inner = post(order(new_id()))
    raw.send(f"POST /halt HTTP/1.1\r\nHost: x\r\nContent-Length: {len(inner)}\r\n\r\n".encode())
    raw.send(inner)
    status, _, short = raw.receive()
    assert not short and status >= 400
    assert raw.ask(order(new_id()))[0] == 201


@pytest.fixture
def parts(run: Path, shared_database: Postgres, shared_redis: Redis, started: Started) -> tuple[Process, Process]:
    return started(engine(run)), started(gateway(run, shared_database, shared_redis, engine_timeout_s=1.0))


def test_an_order_on_its_way_outlives_its_engine(parts: tuple[Process, Process]) -> None:
    matcher, door = parts
    with Raw(door) as raw, Raw(door) as other:
        assert raw.ask(order("a"))[0] == 201
        matcher.process.send_signal(signal.SIGSTOP)
        raw.send(post(order("b")))
        other.send(post([order("c"), order("d")], "/orders/batch"))
        matcher.kill()
        matcher.start()
        assert raw.receive()[::2] == (201, True)
        status, answers, short = other.receive()
        assert (status, short, [one["status"] for one in answers]) == (200, True, [201, 201])
        assert raw.ask(order("b"))[0] == 200


def test_no_answer_in_time_is_an_unknown_outcome(parts: tuple[Process, Process]) -> None:
    matcher, door = parts
    with Raw(door) as raw:
        assert raw.ask(order("a"))[0] == 201
        matcher.process.send_signal(signal.SIGSTOP)
        status, error, short = raw.ask(order("b"))
        matcher.process.send_signal(signal.SIGCONT)
        assert (status, short) == (504, True)
        assert (error["code"], error["outcome"], error["client_order_id"]) == ("outcome_unknown", "unknown", "b")
        assert raw.ask(order("b"))[0] in {200, 201}


def test_a_gateway_that_stops_answers_what_is_open(parts: tuple[Process, Process]) -> None:
    matcher, door = parts
    with Raw(door) as raw:
        assert raw.ask(order("a"))[0] == 201
        matcher.process.send_signal(signal.SIGSTOP)
        raw.send(post(order("b")))
        door.process.terminate()
        matcher.process.send_signal(signal.SIGCONT)
        assert raw.receive()[::2] == (201, True)
        assert raw.file.read(1) == b""
    assert door.process.wait(20) == 0
