"""The client at a real engine's binary door: what it gets, and what it knows when the engine dies."""

from __future__ import annotations

import contextlib
import hashlib
import json
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from msgspec.structs import replace

from engine.records import EventKind, Side, TimeInForce
from stack.client import Batch, Session, SessionLost, SessionRefused
from stack.settings import EngineSettings
from stack.wire.frames import FrameType, Outcome, frame
from stack.wire.link import QueryRefused
from stack.wire.session import COMMANDS_MAX, OPEN_MAX
from tests.stack.client.conftest import PATIENCE_S, Engine
from tests.stack.matcher.engines import ROOT


def orders(prefix: str, count: int, **fields: int) -> Batch:
    batch = Batch(count)
    for number in range(count):
        batch.limit(b"%s-%d" % (prefix.encode(), number), 1, Side.BUY, 100 + number % 50, 1, account=1, **fields)
    return batch


def resting(session: Session) -> int:
    """How many orders alice has open."""
    found, after = 0, 0
    while page := session.query("orders", account=1, after=after, limit=1000).document["orders"]:
        found, after = found + len(page), page[-1][0]
    return found


def test_every_command_goes_and_comes_back_as_the_order_http_shows(engine: Engine) -> None:
    session = engine.connect()
    apple = session.tables.symbols["AAPL"]
    batch = Batch()
    batch.limit(b"m", apple.id, Side.SELL, apple.tick.steps("190.25", 1 << 40), 10, account=1)
    batch.market(b"t", apple.id, Side.BUY, 4, account=2)
    batch.limit(b"p", apple.id, Side.BUY, 20_000, 1, account=2, post_only=True)
    maker, taker, refused = session.ask(batch).replies()
    assert [reply.outcome for reply in (maker, taker, refused)] == [Outcome.DONE] * 3
    order = session.order(taker)
    assert (order["status"], order["fills"][0]["price"], order["account"]) == ("filled", "190.25", "bob")
    assert session.order(refused)["reason"] == "post_only_would_cross"
    number = maker.events[0].order
    batch.clear()
    batch.replace(b"r-1", number, 19_050, 12, account=1)
    batch.cancel(number)
    batch.cancel(number, account=1)
    batch.mass_cancel(account=1)
    replaced, cancelled, again, swept = session.ask(batch).replies()
    assert session.order(replaced)["quantity"] == "12"
    assert session.order(cancelled)["status"] == "cancelled"
    assert again.events[0].kind == EventKind.REFUSED
    assert swept.events[0].quantity == 0
    assert session.find(b"m", account=1) == [session.order(cancelled)]
    with pytest.raises(QueryRefused, match="unknown_symbol"):
        session.query("book", symbol=9)


def test_many_batches_are_under_way_and_the_window_holds(engine: Engine) -> None:
    session = engine.connect(window=4)
    numbers = []
    for number in range(50):
        numbers.append(session.submit(orders(f"b{number}", 40)))
        assert session.in_flight <= 4
    answers = list(session.drain())
    assert sorted(answer.number for answer in answers) == numbers
    assert all(answer.outcomes() == bytes(40) for answer in answers)
    assert resting(session) == 2000


def test_killed_with_batches_under_way_they_are_unknown_and_settle_to_one_order_each(engine: Engine) -> None:
    session = engine.connect(window=64)
    known: list[bytes] = []

    def kill_soon() -> None:
        while len(known) < 5:
            time.sleep(0.001)
        engine.process.end(signal.SIGKILL)

    killer = threading.Thread(target=kill_soon)
    killer.start()
    sent = 0
    with pytest.raises(SessionLost) as lost:
        while True:
            session.submit(orders(f"k{sent}", 20))
            sent += 1
            if session.in_flight > 32:
                answer = session.receive()
                assert answer.outcomes() == bytes(20)
                known.append(answer.batch)
    killer.join()
    while session.ready:
        known.append(session.receive().batch)
    unknown = lost.value.unknown
    assert unknown
    assert lost.value.client_order_ids()[0].startswith(b"k")
    engine.start()
    session = engine.connect(window=64)
    for batch in known:
        assert session.ask(batch).outcomes() == bytes([Outcome.REPEAT]) * 20, "acknowledged means there"
    before = {name: session.find(name, account=1) for name in lost.value.client_order_ids()[::20]}
    settled = list(session.settle(lost.value))
    assert [answer.batch for answer in settled] == unknown
    for answer in settled:
        assert set(answer.outcomes()) <= {Outcome.DONE, Outcome.REPEAT}
        assert len(set(answer.outcomes())) == 1 or answer.outcomes() == bytes(sorted(answer.outcomes(), reverse=True))
    for name, found in before.items():
        (order,) = session.find(name, account=1)
        assert found in ([], [order]), "the same id stays the same order"
    assert resting(session) == 20 * (len(known) + len(unknown))


def test_a_reload_ends_the_session_of_a_key_that_is_gone(settings: EngineSettings, tmp_path: Path) -> None:
    from tests.stack.matcher.engines import Process

    keys = tmp_path / "api_keys"
    line = f"{hashlib.sha256(b'secret-of-alice').hexdigest()} trader alice\n"
    keys.write_text(line)
    with_keys = replace(settings, authentication="api_key", api_keys_file=str(keys))
    engine = Engine(Process(with_keys, tmp_path), int(str(settings.session_address).rpartition(":")[2]))
    engine.start()
    try:
        session = engine.connect(key="secret-of-alice")
        with pytest.raises(SessionRefused, match="unauthorized"):
            engine.connect(key="wrong")
        keys.write_text("")
        assert engine.process.process is not None
        engine.process.process.send_signal(signal.SIGHUP)
        with pytest.raises(SessionRefused, match="key_revoked"):
            session.receive()
        assert engine.process.end() == 0
        assert "secret-of-alice" not in Path(settings.log_file).read_text()
    finally:
        for session in engine.sessions:
            session.close()
        if engine.process.process is not None:
            engine.process.end(signal.SIGKILL)


def test_a_stop_answers_what_was_taken_then_says_so(engine: Engine) -> None:
    notices: list[str] = []
    session = engine.connect(on_notice=notices.append)
    session.submit(orders("s", 100))
    assert session.receive().outcomes() == bytes(100)
    assert engine.process.end() == 0
    with pytest.raises(SessionLost) as lost:
        session.receive()
    assert (notices, lost.value.unknown) == (["stopping"], [])


@pytest.mark.parametrize("rate", ["0", "2000"])
def test_the_benchmark_s_orders_are_all_taken_and_leave_small_books(engine: Engine, rate: str) -> None:
    session = engine.connect()
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.order_session_client", str(engine.port), "run", "--seconds", "0.5", "--rate", rate],
        cwd=ROOT, capture_output=True, text=True, check=True, timeout=PATIENCE_S,
    )  # fmt: skip
    said = json.loads(done.stdout)
    assert said["outcomes"] == {"0": said["orders"]}
    assert said["orders"] >= 100
    found = session.query("orders", account=3, limit=1000).document["orders"]
    assert len(found) < 100


# ---- clients that misbehave


def raw(engine: Engine) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", engine.port), PATIENCE_S)
    connection.sendall(frame(FrameType.HELLO, b'{"protocol": 1, "client": "raw"}'))
    assert connection.recv(12)[4] == FrameType.WELCOME
    return connection


def test_who_never_reads_is_held_up_and_nobody_else(engine: Engine) -> None:
    good = engine.connect()
    with raw(engine) as deaf:
        deaf.settimeout(1.0)
        batch = bytes(orders("deaf", COMMANDS_MAX, tif=TimeInForce.IOC))
        sent = 0
        with pytest.raises(TimeoutError):
            while sent < 200:  # a gigabyte of answers
                deaf.sendall(frame(FrameType.SUBMIT, batch, records=COMMANDS_MAX, request=1))
                sent += 1
        assert sent * COMMANDS_MAX < OPEN_MAX + 100 * COMMANDS_MAX
        assert good.ask(orders("good", 10)).outcomes() == bytes(10)
        assert engine.process.process is not None
        status = Path(f"/proc/{engine.process.process.pid}/status").read_text()
        resident_kb = int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1])
        assert resident_kb < 600 << 10


def test_a_thousand_sessions_trade_and_one_too_many_is_told(engine: Engine) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    engine.connect().close()
    with contextlib.ExitStack() as stack:
        if soft < 1200:
            resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
            stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        many = [stack.enter_context(Session("127.0.0.1", engine.port, timeout_s=PATIENCE_S)) for _ in range(1000)]
        for number, session in enumerate(many):
            session.submit(orders(f"m{number}", 2))
        for session in many:
            assert session.receive().outcomes() == bytes(2)
        rest = [stack.enter_context(raw(engine)) for _ in range(24)]
        with pytest.raises(SessionRefused, match="too_many_sessions"):
            Session("127.0.0.1", engine.port, timeout_s=PATIENCE_S)
        assert len(rest) == 24
        assert resting(many[0]) == 2000


@pytest.mark.parametrize("garbage", [b"\xff" * 4096, b"\x00" * 5, b"\xff\xff\xff\x7f\x03\x01\x01\x00\x01\x00\x00\x00"])
def test_garbage_and_half_frames_harm_nobody_else(engine: Engine, garbage: bytes) -> None:
    good = engine.connect()
    for _ in range(20):
        with raw(engine) as bad:
            bad.sendall(garbage)
    assert good.ask(orders("good", 10)).outcomes() == bytes(10)
