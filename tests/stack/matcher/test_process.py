"""The engine as it is deployed: a process, its sockets, its signals."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from engine.records import EventKind, Reason, Side
from stack.settings import EngineSettings
from stack.wire.frames import FrameReader, FrameType, Outcome, frame
from stack.wire.link import LinkLost, QueryRefused
from tests.stack.matcher.engines import IMPLEMENTATIONS, ROOT, Process, cancel, new


def run(test: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(asyncio.wait_for(test, 60))


def ask_admin(process: Process, **request: object) -> dict[str, Any]:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(20)
        client.connect(str(process.folder / process.settings.admin_socket))
        client.sendall(json.dumps(request).encode() + b"\n")
        with client.makefile("rb") as answer:
            return json.loads(answer.readline())


def verify(process: Process, *arguments: str) -> tuple[int, dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, "-m", "stack.matcher.verify", "--data", process.settings.data_dir, "--json", *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    return done.returncode, json.loads(done.stdout) if done.stdout else {"stderr": done.stderr}


def test_orders_are_answered_read_back_and_survive_a_stop(process: Process) -> None:
    async def trade() -> int:
        async with process.link() as link:
            assert (await link.wait_connected(20)).sequence == 4
            maker, taker = await asyncio.gather(
                link.submit(new("m")), link.submit(new("t", Side.SELL, quantity=2, account=2))
            )
            assert [event.kind for event in taker.events] == [EventKind.ACCEPTED, EventKind.FILL]
            order = maker.events[0].order
            answer = await link.query("order", order=order)
            assert (answer.document, [event.leaves for event in answer.events]) == ({"found": True, "rest": 0}, [5, 3])
            found = await link.query("client_id", account=1, client_order_id="m")
            assert found.document == {"orders": [[order, 2]]}
            live = await link.query("orders", account=1, symbol=0, after=0, limit=10)
            assert live.document == {"orders": [[order, 2]]}
            book = (await link.query("book", symbol=1, depth=5)).document
            assert book == {"sequence": 6, "bids": [[10_000, 3, 1]], "asks": []}
            assert (await link.query("status")).document["durable_sequence"] == 6
            with pytest.raises(QueryRefused, match="unknown_symbol"):
                await link.query("book", symbol=99, depth=5)
            with pytest.raises(QueryRefused, match="bad_query"):
                await link.query("order", order=-1)
            return (await link.query("state")).document["state_hash"]

    async def look() -> int:
        async with process.link() as link:
            assert (await link.wait_connected(20)).sequence == 6
            again = await link.submit(new("m"))
            assert (again.outcome, [event.kind for event in again.events]) == (Outcome.REPEAT, [EventKind.ACCEPTED])
            assert (await link.submit(new("m", price=10_001))).outcome == Outcome.CONFLICT
            return (await link.query("state")).document["state_hash"]

    process.start()
    before = run(trade())
    assert process.end() == 0
    process.start()
    assert run(look()) == before
    code, report = verify(process, "--book", "AAPL")  # while it runs
    assert (code, report["verdict"], report["records"], report["state_hash"]) == (0, "whole", 6, before)
    assert report["book"]["bids"] == [{"price": "100", "quantity": "3", "orders": 1}]
    assert process.end() == 0


def test_events_are_polled_from_any_ordinal_and_waited_for(process: Process) -> None:
    async def test() -> None:
        async with process.link() as link:
            await link.wait_connected(20)
            everything = await link.query("events", **{"from": 0}, limit=100, wait_ms=0)
            assert everything.document == {"next": 4, "durable_sequence": 4, "end": 4}
            waiting = asyncio.ensure_future(link.query("events", **{"from": 4}, limit=100, wait_ms=20_000))
            await link.query("tables")  # the poll has arrived before this was answered
            await link.submit(new("a"))
            arrived = await waiting
            assert (arrived.document["next"], [event.kind for event in arrived.events]) == (5, [EventKind.ACCEPTED])
            timed_out = await link.query("events", **{"from": 5}, limit=100, wait_ms=1)
            assert (timed_out.document["next"], timed_out.events) == (5, [])
            await asyncio.gather(
                link.submit(new("b", Side.SELL, quantity=2)), link.submit(new("c", Side.SELL, quantity=1))
            )
            cut = await link.query("events", **{"from": 5}, limit=4, wait_ms=0)
            assert [event.sequence for event in cut.events] == [6, 6, 6]  # whole commands only
            single = await link.query("events", **{"from": 5}, limit=1, wait_ms=0)
            assert [event.sequence for event in single.events] == [6, 6, 6]

    process.start()
    run(test())


def test_the_admin_socket_halts_resumes_and_cancels_alone(process: Process) -> None:
    async def submit(command: bytes) -> tuple[Outcome, list[Any]]:
        async with process.link() as link:
            await link.wait_connected(20)
            reply = await link.submit(command)
            return reply.outcome, reply.events

    process.start()
    _, (accepted,) = run(submit(new("a")))
    assert ask_admin(process, command="halt", why="test")["ok"]
    assert Path(process.folder / "admin.sock").stat().st_mode & 0o777 == 0o600
    _, (refused,) = run(submit(new("b")))
    assert (refused.kind, refused.reason) == (EventKind.REFUSED, Reason.HALTED)
    assert run(submit(cancel(accepted.order)))[1][-1].kind == EventKind.CANCELLED
    process.end(signal.SIGKILL)
    process.start()
    assert run(submit(new("b")))[1][0].reason == Reason.HALTED  # a halt survives
    status = ask_admin(process, command="status")
    assert (status["ok"], status["halted"], status["live_orders"]) == (True, True, 0)
    assert ask_admin(process, command="resume", why="done")["ok"]
    assert run(submit(new("b")))[1][0].kind == EventKind.ACCEPTED
    assert ask_admin(process, command="mass_cancel")["orders"] == 1
    for bad in ({"command": "stop"}, {"why": "x"}, {"command": "halt", "much": 1}):
        assert ask_admin(process, **bad)["code"] == "bad_request"
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(process.folder / "admin.sock"))
        client.sendall(b"x" * 10_000)
        assert b"bad_request" in client.makefile("rb").readline()


def test_a_second_engine_on_the_same_data_refuses(process: Process, settings: EngineSettings) -> None:
    process.start()
    assert ask_when_up(process)["ok"]
    second = Process(replace(settings, link_socket="l2", admin_socket="a2"), process.folder).start()
    _, said = second.communicate(timeout=20)
    assert second.returncode == 6
    assert "another engine works on" in said and str(process.process.pid) in said
    assert ask_admin(process, command="status")["ok"]


def ask_when_up(process: Process) -> dict[str, Any]:
    async def up() -> None:
        async with process.link() as link:
            await link.wait_connected(20)

    run(up())
    return ask_admin(process, command="status")


def test_sockets_that_are_handed_over_keep_clients_in_the_backlog(process: Process, tmp_path: Path) -> None:
    listeners = {name: socket.socket(socket.AF_UNIX) for name in ("link", "admin")}
    for name, listener in listeners.items():
        listener.bind(str(tmp_path / f"{name}.sock"))
        listener.listen(16)
    fds = {name: listener.fileno() for name, listener in listeners.items()}
    handed = {"pass_fds": list(fds.values()), "environment": {"HFTCTL_LISTEN_FDS": json.dumps(fds)}}

    async def connect_before_the_engine() -> int:
        async with process.link() as link:
            await asyncio.sleep(0)
            process.start(**handed)
            return (await link.wait_connected(20)).sequence

    assert run(connect_before_the_engine()) == 4
    assert process.end() == 0
    assert run(connect_before_the_engine()) == 4
    assert process.end() == 0
    assert all((tmp_path / f"{name}.sock").exists() for name in listeners), "the supervisor still listens on them"
    for listener in listeners.values():
        listener.close()


def test_a_peer_that_speaks_something_else_is_told_and_closed(process: Process) -> None:
    process.start()
    ask_when_up(process)
    hello = frame(FrameType.HELLO, b'{"protocol": 1, "client": "x"}')
    define = bytes([7]) + bytes(95)
    for sent in (
        b"GET / HTTP/1.1\r\n\r\n",
        frame(FrameType.SUBMIT, b""),
        frame(FrameType.HELLO, b'{"protocol": 2, "client": "x"}'),
        hello + frame(FrameType.SUBMIT, b"short", records=1),
        hello + frame(FrameType.SUBMIT, define, records=1),
        hello + b"\xff\xff\xff\x7f" + bytes(8),
    ):
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(20)
            client.connect(str(process.folder / "link.sock"))
            client.sendall(sent)
            data = b"".join(iter(lambda: client.recv(65536), b""))
        frames = [kind for kind, *_ in FrameReader().feed(data)]
        assert frames[-1] == FrameType.ERROR, sent
    assert ask_admin(process, command="status")["durable_sequence"] == 4


def test_hundreds_of_clients_wait_for_an_engine_that_is_away(process: Process, tmp_path: Path) -> None:
    """The engine listens on the inherited sockets once more; that must not make their backlogs shorter."""
    listeners = {name: socket.socket(socket.AF_UNIX) for name in ("link", "orders")}
    for name, listener in listeners.items():
        listener.bind(str(tmp_path / f"{name}.sock"))
        listener.listen(1000)
    fds = {name: listener.fileno() for name, listener in listeners.items()}
    if "cython" in IMPLEMENTATIONS:
        process.settings = replace(process.settings, order_socket="orders.sock")
    process.start(pass_fds=list(fds.values()), environment={"HFTCTL_LISTEN_FDS": json.dumps(fds)})
    ask_when_up(process)
    process.end(signal.SIGKILL)
    clients = []
    for name, listener in listeners.items():
        for _ in range(300):
            clients.append(socket.socket(socket.AF_UNIX))
            clients[-1].setblocking(False)
            clients[-1].connect(str(tmp_path / f"{name}.sock"))  # BlockingIOError: the backlog is full
        listener.close()
    for client in clients:
        client.close()


def test_one_connection_cannot_pile_up_long_polls(process: Process) -> None:
    async def test() -> None:
        async with process.link() as link, process.link("other") as other:
            await link.wait_connected(20)
            await other.wait_connected(20)
            poll = {"from": 10**9, "wait_ms": 60_000}
            waiting = [asyncio.ensure_future(link.query("events", **poll)) for _ in range(16)]
            await asyncio.sleep(0)  # they are sent
            with pytest.raises(QueryRefused, match="too_many_polls"):
                await link.query("events", **poll)
            brief = await other.query("events", **{"from": 10**9, "wait_ms": 1})
            assert brief.events == []
            for poll_ in waiting:
                poll_.cancel()

    process.start()
    run(test())


def test_sigterm_answers_what_was_taken_before_it_leaves(process: Process) -> None:
    async def test() -> tuple[int, int]:
        async with process.link() as link:
            await link.wait_connected(20)
            futures = [link.submit(new(f"o{number}", price=1 + number)) for number in range(2000)]
            await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)
            process.process.send_signal(signal.SIGTERM)
            results = await asyncio.gather(*futures, return_exceptions=True)
            done = [result for result in results if not isinstance(result, BaseException)]
            assert all(isinstance(result, LinkLost) for result in results if isinstance(result, BaseException))
            return sum(reply.outcome == Outcome.DONE for reply in done), len(done)

    process.start()
    acknowledged, _ = run(test())
    assert process.end() == 0
    code, report = verify(process)
    assert code == 0
    assert report["live_orders"] == acknowledged > 0


def test_bad_settings_end_the_start_with_one_clear_line(process: Process, settings: EngineSettings) -> None:
    process.start()
    ask_when_up(process)
    assert process.end() == 0
    changed = replace(settings.instruments[0], tick_size="0.05")
    for bad, words in (
        (
            replace(settings, instruments=[changed, *settings.instruments[1:]]),
            "tick_size is 0.01 in the journal and 0.05",
        ),
        (replace(settings, max_live_orders=99), "max_live_orders is 99 in the settings"),
        (replace(settings, partition=3), "holds partition 0 of deployment 'test', and this engine is partition 3"),
        (replace(settings, metrics_enabled=True, metrics_dir=settings.log_file), "File exists"),
        (replace(settings, link_socket="no/such/folder/link"), "cannot listen on no/such/folder/link"),
    ):
        ended = Process(bad, process.folder).start()
        _, said = ended.communicate(timeout=20)
        assert ended.returncode in (2, 10)
        assert words in said and len(said.splitlines()) == 1
    process.start()
    assert ask_when_up(process)["durable_sequence"] == 4


def test_sighup_takes_the_new_log_level_and_a_bad_file_changes_nothing(
    process: Process, settings: EngineSettings
) -> None:
    def lines_with(words: str) -> int:
        return sum(words in line["message"] for line in process.log())

    async def reload(words: str) -> None:
        process.process.send_signal(signal.SIGHUP)
        async with asyncio.timeout(10):
            while not lines_with(words):
                await asyncio.to_thread(ask_admin, process, command="status")

    process.start()
    ask_when_up(process)
    process.config.write_text("{")
    run(reload("reload refused"))
    process.config.write_bytes(b"")
    process.settings = replace(settings, log_level="debug")
    process.config.write_bytes(msgspec.json.encode(process.settings))
    run(reload("reloaded the log level"))
    assert ask_admin(process, command="status")["ok"]
