"""Engines that die, hang and come back; gateways that stop. Nobody's order fails, doubles or is called refused wrongly."""

import asyncio
import json
import signal
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from stack.gateway.errors import ApiError
from stack.gateway.partition import Held, Partition
from stack.settings import PartitionSettings
from stack.wire.frames import FrameReader, FrameType, frame
from stack.wire.link import QueryRefused
from tests.stack.gateway.processes import NO_POSTGRES, NO_REDIS, Client, Process, engine, gateway, order

Start = Callable[[Process], Process]
PATIENT_S = (
    20.0  # the plain-Python engine comes back in 1 s alone, and in more than 5 beside other tests on few processors
)


@pytest.fixture(autouse=True)
def _password(run: Path) -> None:
    (run / "password").write_text("none")


def pair(run: Path, started: Start, **changes: Any) -> tuple[Process, Process]:
    return started(engine(run)), started(gateway(run, NO_POSTGRES, NO_REDIS, **{"hold_s": PATIENT_S, **changes}))


def held(gateway: Process, count: int) -> None:
    """Until so many requests wait for the engine."""
    with Client(gateway) as client:
        while f'hft_gateway_held_requests{{component="gateway-0"}} {count}.0' not in client.http.get("/metrics").text:
            pass


def test_orders_wait_out_an_engine_that_was_killed(run: Path, started: Start) -> None:
    dead, door = pair(run, started)
    with Client(door) as client, ThreadPoolExecutor(20) as pool:
        first = client.place(client_order_id="before")
        dead.kill()
        waiting = [pool.submit(client.place, client_order_id=f"w-{n}") for n in range(18)]
        lookup = pool.submit(client.call, "GET", f"/orders/{first[1]['order_id']}")
        repeat = pool.submit(client.place, client_order_id="before")
        held(door, 20)
        started(engine(run))
        assert [future.result()[0] for future in waiting] == [201] * 18
        assert lookup.result() == (200, first[1])
        assert repeat.result() == (200, first[1])
        _, page = client.call("GET", "/orders?account=alice&live=true")
        assert sorted(o["client_order_id"] for o in page["orders"]) == sorted(
            ["before", *(f"w-{n}" for n in range(18))]
        )


def test_orders_sent_when_the_engine_was_killed_are_sent_again_and_stand_once(run: Path, started: Start) -> None:
    dead, door = pair(run, started)
    stop = threading.Event()

    def trade(number: int) -> list[tuple[int, str]]:
        answers = []
        with Client(door) as client:
            while not stop.is_set():
                name = f"k-{number}-{len(answers)}"
                answers.append((client.place(client_order_id=name)[0], name))
        return answers

    with Client(door) as client, ThreadPoolExecutor(8) as pool:
        traders = [pool.submit(trade, number) for number in range(8)]
        for _ in range(2):
            while client.sequence() % 50 < 40:
                pass
            dead.process.send_signal(signal.SIGSTOP)  # so that it dies with orders it has not answered
            dead.kill()
            dead = started(engine(run))
        stop.set()
        answers = [answer for trader in traders for answer in trader.result()]
        assert {status for status, _ in answers} <= {200, 201}
        listed: list[str] = []
        cursor = ""
        while cursor is not None:
            _, page = client.call("GET", f"/orders?account=alice&live=true&limit=1000{cursor}")
            listed += [o["client_order_id"] for o in page["orders"]]
            cursor = page["cursor"] and f"&cursor={page['cursor']}"
        assert sorted(listed) == sorted(name for _, name in answers)


def test_a_cancel_and_a_replace_wait_too_and_happen_once(run: Path, started: Start) -> None:
    dead, door = pair(run, started)
    with Client(door) as client, ThreadPoolExecutor(2) as pool:
        one, two = (client.place(client_order_id=name)[1]["order_id"] for name in ("one", "two"))
        dead.kill()
        cancel = pool.submit(client.call, "DELETE", f"/orders/{one}")
        request = {"request_id": "r", "price": "1", "quantity": "5"}
        replace = pool.submit(client.call, "PATCH", f"/orders/{two}", request)
        held(door, 2)
        started(engine(run))
        assert cancel.result()[1]["status"] == "cancelled"
        assert replace.result()[1]["quantity"] == "5"
        assert client.call("PATCH", f"/orders/{two}", request) == replace.result()


def test_past_the_hold_it_is_503_and_nothing_was_done(run: Path, started: Start) -> None:
    dead, door = pair(run, started, hold_s=0.2)
    dead.kill()
    with Client(door) as client:
        status, error = client.place(client_order_id="late")
        assert (status, error["code"]) == (503, "engine_unavailable")
        assert client.http.post("/orders", json=order(client_order_id="late")).headers["retry-after"] == "1"
        status, error = client.call("GET", "/health/ready")
        assert (status, error["code"], error["field"]) == (503, "not_ready", None)
        assert client.call("GET", "/health/live")[0] == 200
        started(engine(run))
        while client.call("GET", "/health/ready")[0] != 200:
            pass
        assert client.place(client_order_id="late")[0] == 201


def test_an_engine_that_hangs_is_504_unknown_and_a_look_up_settles_it(run: Path, started: Start) -> None:
    hung, door = pair(run, started, engine_timeout_s=0.3)
    with Client(door) as client:
        placed = client.place(client_order_id="known")[1]
        hung.process.send_signal(signal.SIGSTOP)
        status, error = client.place(client_order_id="lost")
        assert (status, error["code"], error["outcome"]) == (504, "outcome_unknown", "unknown")
        assert error["client_order_id"] == "lost" and error["field"] is None
        _, answers = client.call("POST", "/orders/batch", [order(client_order_id="lost-2")])
        assert answers[0]["status"] == 504 and answers[0]["error"]["client_order_id"] == "lost-2"
        assert client.call("DELETE", f"/orders/{placed['order_id']}")[0] == 504
        assert client.call("GET", f"/orders/{placed['order_id']}")[0] == 503
        hung.process.send_signal(signal.SIGCONT)
        _, found = client.call("GET", "/orders?account=alice&client_order_id=lost")
        assert [o["status"] for o in found["orders"]] == ["open"], "it had been taken"
        assert client.place(client_order_id="lost") == (200, found["orders"][0])


def engine_that_dies_with_a_command(listener: socket.socket) -> None:
    """Says WELCOME, takes one command and is gone: no real engine can be killed at exactly this point."""
    instrument = {"id": 1, "symbol": "AAPL", "tick_size": "0.01", "lot_size": "1", "currency": "USD", "state": "open"}
    welcome = {
        "protocol": 1, "partition": 0, "epoch": 1, "rules_version": 1, "sequence": 2, "halted": False,
        "instruments": [instrument], "accounts": [{"id": 1, "account": "alice"}],
    }  # fmt: skip
    connection, _ = listener.accept()
    with connection:
        frames, taken = FrameReader(), False
        while not taken:
            for type_, *_ in frames.feed(connection.recv(1 << 16)):
                if type_ == FrameType.HELLO:
                    connection.sendall(frame(FrameType.WELCOME, json.dumps(welcome).encode()))
                taken = taken or type_ == FrameType.SUBMIT
    listener.close()


def test_lost_after_it_was_sent_and_not_back_is_504(run: Path, started: Start) -> None:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(run / "link-0.sock"))
    listener.listen()
    with ThreadPoolExecutor(1) as pool:
        dies = pool.submit(engine_that_dies_with_a_command, listener)
        door = started(gateway(run, NO_POSTGRES, NO_REDIS, hold_s=0.3))
        with Client(door) as client:
            status, error = client.place(client_order_id="sent")
            dies.result()
            assert (status, error["code"], error["outcome"]) == (504, "outcome_unknown", "unknown")
            assert error["client_order_id"] == "sent"
            status, error = client.place(client_order_id="never-sent")
            assert (status, error["code"]) == (503, "engine_unavailable")


def test_the_number_of_waiting_requests_is_bounded(run: Path, started: Start) -> None:
    dead, door = pair(run, started, max_held=2)
    dead.kill()
    with Client(door) as client, ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(client.place, client_order_id=f"w-{n}") for n in range(2)]
        held(door, 2)
        status, error = client.place(client_order_id="too-many")
        assert (status, error["code"]) == (503, "too_many_held")
        started(engine(run))
        assert [future.result()[0] for future in waiting] == [201, 201]


def test_a_gateway_that_starts_before_its_engine_holds_orders(run: Path, started: Start) -> None:
    door = started(gateway(run, NO_POSTGRES, NO_REDIS, hold_s=PATIENT_S))
    with Client(door) as client, ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(client.place, client_order_id="early")
        held(door, 1)
        started(engine(run))
        assert waiting.result()[0] == 201


def test_sigterm_answers_what_is_in_flight_and_exits_0(run: Path, started: Start) -> None:
    dead, door = pair(run, started)
    dead.kill()
    with Client(door) as client, ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(client.place, client_order_id="last")
        held(door, 1)
        door.process.terminate()
        started(engine(run))
        assert waiting.result()[0] == 201
    assert door.process.wait(10) == 0


def test_an_inherited_socket_is_used(run: Path, started: Start) -> None:
    started(engine(run))
    door = gateway(run, NO_POSTGRES, NO_REDIS)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(run / door.socket))
        listener.listen()
        number = listener.fileno()
        with ThreadPoolExecutor(1) as pool, Client(door) as client:
            early = pool.submit(client.call, "GET", "/health/live")  # waits in the backlog
            door.start(pass_fds=(number,), env={"HFTCTL_LISTEN_FDS": json.dumps({"http": number})})
            assert early.result()[0] == 200
        assert door.stop() == 0
        assert (run / door.socket).exists(), "the socket's name is its owner's"


def test_a_killed_gateway_starts_again_at_its_socket(run: Path, started: Start) -> None:
    _, door = pair(run, started)
    door.kill()
    assert (run / door.socket).exists()
    again = started(gateway(run, NO_POSTGRES, NO_REDIS))
    with Client(again) as client:
        assert client.place()[0] == 201
    assert (run / door.socket).stat().st_mode & 0o777 == 0o600


def test_two_partitions_are_one_door(run: Path, started: Start) -> None:
    engines = [started(engine(run, number)) for number in (0, 1)]
    partitions = [
        PartitionSettings(partition=0, link_socket="link-0.sock", ranges=["A-G"], symbols=["MSFT"]),
        PartitionSettings(partition=1, link_socket="link-1.sock", ranges=["H-Z"], symbols=["AAPL"]),
    ]
    door = started(gateway(run, NO_POSTGRES, NO_REDIS, partitions=partitions, hold_s=0.2))
    with Client(door) as client:
        batch = [order(client_order_id="x", symbol=s) for s in ("AAPL", "MSFT", "BTCUSDT", "PROOF.0", "PROOF.1")]
        _, answers = client.call("POST", "/orders/batch", [{**o, "price": "5", "quantity": "1"} for o in batch])
        assert [a["order"]["order_id"].split("-")[0] for a in answers] == ["1", "0", "0", "0", "1"]
        assert len(client.call("GET", "/instruments")[1]["instruments"]) == 4
        ids = [a["order"]["order_id"] for a in answers]
        _, first = client.call("GET", "/orders?account=alice&live=true&limit=3")
        _, rest = client.call("GET", f"/orders?account=alice&live=true&limit=3&cursor={first['cursor']}")
        assert sorted(o["order_id"] for o in first["orders"] + rest["orders"]) == sorted(ids)
        assert len(client.call("GET", "/orders?account=alice&client_order_id=x&live=false")[1]["orders"]) == 5
        _, done = client.call("POST", "/halt", {"why": "both"})
        assert [(p["partition"], p["halted"]) for p in done["partitions"]] == [(0, True), (1, True)]
        engines[1].kill()
        status, error = client.call("POST", "/resume", {"why": "one is away"})
        assert (status, error["code"]) == (503, "engine_unavailable")
        assert [("error" in p) for p in error["partitions"]] == [False, True]
        assert client.call("GET", "/book/MSFT")[0] == 200
        assert client.call("GET", "/book/AAPL")[0] == 503


def test_an_engine_of_a_release_that_does_not_know_the_question_is_503_and_worth_another_try() -> None:
    """As while a release is rolled back: gateways are of the one release, the engine of the other."""

    async def query(_name: str, **_: object) -> str:
        raise QueryRefused("bad_query", "Invalid value 'chains'")

    async def read() -> None:
        settings: Any = SimpleNamespace(component="gateway-1", engine_timeout_s=5.0, hold_s=5.0)
        entry: Any = SimpleNamespace(partition=0, link_socket="nowhere.sock")
        partition = Partition(entry, settings, Held(1, lambda _count: None), round_trip=lambda _seconds: None)
        partition.link = SimpleNamespace(connected=True, query=query)  # type: ignore[assignment]
        await partition.query("chains", orders=[1])

    with pytest.raises(ApiError, match="of a release that cannot be asked this") as told:
        asyncio.run(read())
    assert (told.value.status, told.value.code, told.value.headers()) == (
        503,
        "engine_unavailable",
        {"Retry-After": "1"},
    )


def test_a_read_that_a_stopping_engine_turns_away_is_answered_by_the_next_process() -> None:
    asked: list[str] = []

    async def query(name: str, **_: object) -> str:
        asked.append(name)
        if len(asked) == 1:
            # As it comes: the engine has said that it stops, and the connection stands for a moment longer.
            asyncio.get_running_loop().call_soon(partition._welcomed, SimpleNamespace(epoch=2, sequence=7))
            raise QueryRefused("stopped", "the engine is stopping")
        return "the book"

    async def read() -> object:
        nonlocal partition
        settings: Any = SimpleNamespace(component="gateway-1", engine_timeout_s=5.0, hold_s=5.0)
        entry: Any = SimpleNamespace(partition=0, link_socket="nowhere.sock")
        partition = Partition(entry, settings, Held(1, lambda _count: None), round_trip=lambda _seconds: None)
        partition.link = SimpleNamespace(connected=True, query=query)  # type: ignore[assignment]
        return await partition.query("book", symbol=1)

    partition: Any = None
    assert asyncio.run(read()) == "the book"
    assert asked == ["book", "book"]
