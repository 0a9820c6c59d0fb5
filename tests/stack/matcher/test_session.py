"""Sessions at the binary door over a real partition: who comes in, what a command may be, what comes of it."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from engine.records import COMMAND_BYTES, Command, CommandKind, EventKind, Reason, Side
from stack.matcher import session, sessions
from stack.matcher.refusal import StartRefused
from stack.settings import EngineSettings
from stack.wire.frames import FrameType, Outcome, frame
from stack.wire.session import COMMANDS_MAX, HELLO_BYTES_MAX
from tests.stack.matcher.engines import cancel, new, submit, with_partition
from tests.stack.matcher.session_clients import IMPLEMENTATIONS, Opened, with_sessions, with_token

Run = Callable[[Callable[[Opened], Awaitable[Any]]], Any]
KEYS = {"ada": ("trader", "alice"), "bert": ("trader", "bob"), "olga": ("operator", "*"), "gone": ("trader", "carol")}


@pytest.fixture(params=IMPLEMENTATIONS)
def frames(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def run(settings: EngineSettings, frames: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    return lambda test: with_sessions(settings, frames, test, monkeypatch)


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    path = tmp_path / "api_keys"
    write_keys(path, KEYS)
    return path


@pytest.fixture
def run_with_keys(settings: EngineSettings, frames: str, keys: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    with_keys = replace(settings, authentication="api_key", api_keys_file=str(keys))
    return lambda test: with_sessions(with_keys, frames, test, monkeypatch)


def write_keys(path: Path, keys: dict[str, tuple[str, str]]) -> None:
    lines = (f"{hashlib.sha256(key.encode()).hexdigest()} {role} {account}\n" for key, (role, account) in keys.items())
    path.write_text("".join(lines))


def packed(kind: CommandKind, **fields: Any) -> bytes:
    return Command(kind, **fields).pack()


def test_a_batch_is_answered_in_its_order_with_the_tokens_of_its_commands(run: Run) -> None:
    async def test(opened: Opened) -> None:
        client = await opened.client()
        client.submit(
            with_token(new("a"), 7),
            with_token(packed(CommandKind.HALT), 8),
            with_token(new("b", side=Side.SELL, account=2), 9),
            with_token(packed(CommandKind.MASS_CANCEL, account=1), 10),
            with_token(new("a"), 11),
            with_token(new("a", quantity=6), 12),
            request=44,
        )
        got = await client.receive()
        assert (got.type, got.records, got.request) == (FrameType.REPLIES, 6, 44)
        kinds = [(token, outcome, [event.kind for event in events]) for token, outcome, events in got.replies()]
        assert kinds == [
            (7, Outcome.DONE, [EventKind.ACCEPTED]),
            (8, Outcome.INVALID, []),
            (9, Outcome.DONE, [EventKind.ACCEPTED, EventKind.FILL]),
            (10, Outcome.DONE, [EventKind.MASS_CANCELLED]),
            (11, Outcome.REPEAT, [EventKind.ACCEPTED]),
            (12, Outcome.CONFLICT, []),
        ]

    run(test)


def test_cancel_and_replace_answer_with_the_order_as_it_stands(run: Run) -> None:
    async def test(opened: Opened) -> None:
        client = await opened.client()
        ((_, [accepted]),) = await client.ask(new("a"))
        change = packed(CommandKind.REPLACE, account=1, target=accepted.order, price=9_000, quantity=4, text=b"r-1")
        (first, again) = await client.ask(change, change)
        assert [event.kind for event in first[1]] == [EventKind.ACCEPTED, EventKind.REPLACED]
        assert again == (Outcome.REPEAT, first[1])
        (gone, once_more) = await client.ask(cancel(accepted.order), cancel(accepted.order))
        assert gone[1][-1].reason == Reason.BY_CLIENT
        assert once_more[1][0].reason == Reason.UNKNOWN_ORDER
        assert once_more[1][1:] == gone[1]

    run(test)


def test_a_refusal_of_the_engine_is_done_with_the_reason(run: Run) -> None:
    async def test(opened: Opened) -> None:
        client = await opened.client()
        ((outcome, [event]),) = await client.ask(new("a", symbol=77))
        assert (outcome, event.kind, event.reason) == (Outcome.DONE, EventKind.REFUSED, Reason.UNKNOWN_SYMBOL)

    run(test)


@pytest.mark.parametrize(
    "command",
    [
        packed(CommandKind.HALT, text=b"x"), packed(CommandKind.RESUME), packed(CommandKind.DEFINE_ACCOUNT, account=3),
        packed(CommandKind.DEFINE_INSTRUMENT, symbol=3), packed(CommandKind.ROLL_CLIENT_IDS), bytes(COMMAND_BYTES),
        b"\xff" * COMMAND_BYTES, new(""), new("a" * 37), new("caf\u00e9"), new("a b"), new("a", target=1), new("a", extra=1),
        new("a", account=0), new("a")[:6] + b"\1" + new("a")[7:], new("ab")[:5] + b"\1" + new("ab")[6:],
        packed(CommandKind.CANCEL, target=4, symbol=1), packed(CommandKind.CANCEL, target=4, text=b"x"),
        packed(CommandKind.REPLACE, account=1, target=4, price=1, quantity=1), packed(CommandKind.MASS_CANCEL),
        packed(CommandKind.REPLACE, target=4, price=1, quantity=1, text=b"r"),
        packed(CommandKind.MASS_CANCEL, account=1, target=4),
    ],
)  # fmt: skip
def test_what_is_no_command_for_this_door_leaves_no_trace(run: Run, command: bytes) -> None:
    async def test(opened: Opened) -> None:
        client = await opened.client()
        before = opened.partition.engine.sequence
        assert await client.ask(command) == [(Outcome.INVALID, [])]
        assert opened.partition.engine.sequence == before
        ((outcome, _),) = await client.ask(new("after"))
        assert outcome == Outcome.DONE, "the session goes on"

    run(test)


# ---- who may


def test_without_a_key_or_with_a_wrong_one_nobody_comes_in(
    run_with_keys: Run, caplog: pytest.LogCaptureFixture
) -> None:
    async def test(opened: Opened) -> None:
        for key in (None, "wrong-secret", ""):
            client = await opened.connect()
            got = await client.hello(key)
            assert (got.type, got.json["code"]) == (FrameType.ERROR, "unauthorized")
            assert await client.ended()
        client = await opened.connect()
        assert (await client.hello("gone")).json["code"] == "unknown_account"
        client = await opened.connect()
        client.submit(new("a"))
        assert await client.error() == "bad_frame"

    run_with_keys(test)
    assert "wrong-secret" not in caplog.text


def test_the_account_comes_from_the_key(run_with_keys: Run) -> None:
    async def test(opened: Opened) -> None:
        ada, bert, olga = [await opened.client(key) for key in ("ada", "bert", "olga")]
        assert (ada.welcome["account"], ada.welcome["role"]) == (1, "trader")
        assert ada.welcome["accounts"] == [{"id": 1, "account": "alice"}]
        assert (olga.welcome["account"], len(olga.welcome["accounts"])) == (0, 2)
        ((_, [hers]),) = await ada.ask(new("a", account=0))
        assert hers.account == 1
        assert await ada.ask(new("b", account=2)) == [(Outcome.FORBIDDEN, [])]
        assert await bert.ask(packed(CommandKind.MASS_CANCEL, account=1)) == [(Outcome.FORBIDDEN, [])]
        ((_, [refused]),) = await bert.ask(cancel(hers.order, 0))
        assert refused.reason == Reason.NOT_OWNER
        assert await bert.ask(cancel(hers.order, 1)) == [(Outcome.FORBIDDEN, [])]
        ((_, chain),) = await olga.ask(cancel(hers.order, 0))
        assert chain[-1].kind == EventKind.CANCELLED
        assert await olga.ask(new("c", account=0)) == [(Outcome.INVALID, [])]

    run_with_keys(test)


def test_a_trader_sees_own_orders_only(run_with_keys: Run) -> None:
    async def test(opened: Opened) -> None:
        ada, bert, olga = [await opened.client(key) for key in ("ada", "bert", "olga")]
        ((_, [hers]),) = await ada.ask(new("a", account=0))
        for client, found in ((ada, True), (bert, False), (olga, True)):
            assert (await client.query(query="order", order=hers.order)).answer[0]["found"] is found
        document, events = (await ada.query(query="client_id", account=0, client_order_id="a")).answer
        assert (document, events) == ({"orders": [[hers.order, 1]]}, [hers])
        assert (await bert.query(query="client_id", account=1, client_order_id="a")).json["code"] == "not_allowed"
        assert (await bert.query(query="orders", account=0)).answer == ({"orders": []}, [])
        assert (await bert.query(query="orders", account=1)).json["code"] == "not_allowed"
        used = packed(CommandKind.REPLACE, target=hers.order, price=1, quantity=1, text=b"r")
        ((_, [own]),) = await bert.ask(new("mine", account=0, price=5))
        moved = packed(CommandKind.REPLACE, target=own.order, price=6, quantity=1, text=b"r")
        assert (await bert.ask(moved))[0][0] == Outcome.DONE
        assert await bert.ask(used) == [(Outcome.CONFLICT, [])], "a used id is no way to see another's order"

    run_with_keys(test)


@pytest.mark.parametrize("name", ["status", "state", "events"])
def test_what_is_about_everybody_is_not_asked_here(run: Run, name: str) -> None:
    async def test(opened: Opened) -> None:
        client = await opened.client()
        more = {"from": 0} if name == "events" else {}
        assert (await client.query(query=name, **more)).json["code"] == "not_allowed"

    run(test)


def test_a_revoked_key_ends_its_sessions_and_no_others(run_with_keys: Run, keys: Path) -> None:
    async def test(opened: Opened) -> None:
        ada, bert, olga = [await opened.client(key) for key in ("ada", "bert", "olga")]
        write_keys(keys, {"ada": KEYS["ada"], "olga": ("trader", "alice"), "new": ("trader", "bob")})
        opened.sessions.reload_keys()
        assert await bert.error() == "key_revoked"
        assert await olga.error() == "key_revoked", "another role is another caller"
        assert (await ada.ask(new("a", account=0)))[0][0] == Outcome.DONE
        assert (await opened.client("new")).welcome["account"] == 2

    run_with_keys(test)


def test_without_authentication_it_listens_on_loopback_only(settings: EngineSettings) -> None:
    from stack.matcher.listeners import bind
    from stack.matcher.queries import Queries

    async def test(partition: Any) -> None:
        listener = bind("0.0.0.0:0", 0o600)
        with listener, pytest.raises(StartRefused, match="everybody on the network could trade"):
            await sessions.serve(partition, settings, listener, Queries(partition, 0))

    with_partition(settings, test)


@pytest.mark.parametrize(
    ("file", "why"), [(None, "names no file"), ("missing", "cannot read API keys from"), ("bad", "is no SHA-256")]
)
def test_without_its_keys_an_engine_does_not_start(
    settings: EngineSettings, tmp_path: Path, file: str | None, why: str
) -> None:
    (tmp_path / "bad").write_text("secret trader alice\n")
    from stack.matcher.listeners import bind
    from stack.matcher.queries import Queries

    order_door = pytest.importorskip("stack.matcher.order_door", reason="the extensions are not built")
    with_keys = replace(settings, authentication="api_key", api_keys_file=str(tmp_path / file) if file else None)

    async def test(partition: Any) -> None:
        with bind("127.0.0.1:0", 0o600) as listener:
            with pytest.raises(StartRefused, match=why):
                await sessions.serve(partition, with_keys, listener, Queries(partition, 0))
            with pytest.raises(StartRefused, match=why):
                await order_door.serve(asyncio.get_running_loop(), partition, with_keys, listener)

    with_partition(settings, test)


# ---- tables and notices


def test_tables_and_halts_come_as_notices(run: Run) -> None:
    async def test(opened: Opened) -> None:
        client = await opened.client()
        assert [item["symbol"] for item in client.welcome["instruments"]] == ["AAPL", "BTCUSD"]
        assert client.welcome["limits"]["commands_max"] == COMMANDS_MAX
        await submit(opened.partition, packed(CommandKind.HALT, text=b"test"))
        assert (await client.receive()).json == {"notice": "halted"}
        await submit(opened.partition, packed(CommandKind.DEFINE_ACCOUNT, account=3, text=b"dora"))
        assert (await client.receive()).json == {"notice": "tables"}
        tables, _ = (await client.query(query="tables")).answer
        assert {"id": 3, "account": "dora"} in tables["accounts"]
        book, _ = (await client.query(query="book", symbol=1)).answer
        assert book["bids"] == []
        assert (await client.query(query="book", symbol=9)).json["code"] == "unknown_symbol"
        assert (await client.query(query="books")).json["code"] == "bad_query"

    run(test)


def test_a_stop_is_told_after_the_last_reply(run: Run) -> None:
    async def test(opened: Opened) -> None:
        client = await opened.client()
        client.submit(new("a"))
        assert (await client.receive()).records == 1
        opened.partition.stopped = "the engine is stopping"
        assert await client.ask(new("b")) == [(Outcome.STOPPED, [])]
        await opened.sessions.close(5)
        assert (await client.receive()).json == {"notice": "stopping"}
        assert await client.ended()

    run(test)


# ---- bounds


def test_no_hello_in_time_is_told_and_closed(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "HELLO_TIMEOUT_S", 0.05)

    async def test(opened: Opened) -> None:
        assert await (await opened.connect()).error() == "no_hello"

    run(test)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (frame(FrameType.HELLO, b'{"protocol": 2, "client": "x"}'), "wrong_protocol"),
        (frame(FrameType.HELLO, b'{"protocol": 1, "client": "x", "resume": 1}'), "bad_hello"),
        (frame(FrameType.HELLO, b"{"), "bad_hello"),
        (frame(FrameType.HELLO, bytes(HELLO_BYTES_MAX + 1)), "bad_frame"),
        (frame(FrameType.QUERY, b'{"query": "tables"}', request=1), "bad_frame"),
        (b"GET / HTTP/1.1\r\n\r\n", "bad_frame"),
        (b"\xff" * 12, "bad_frame"),
    ],
)
def test_what_is_no_hello_is_told_why(run: Run, data: bytes, code: str) -> None:
    async def test(opened: Opened) -> None:
        client = await opened.connect()
        client.writer.write(data)
        assert await client.error() == code

    run(test)


@pytest.mark.parametrize(
    "data",
    [
        frame(FrameType.SUBMIT, b"", records=0), frame(FrameType.SUBMIT, bytes(95), records=1),
        frame(FrameType.SUBMIT, bytes(192), records=1), frame(FrameType.HELLO, b"{}"), frame(FrameType.WELCOME, b"{}"),
        frame(99, b""), b"\xff\xff\xff\xff\x03\x01\x01\x00\x01\x00\x00\x00",
        frame(FrameType.SUBMIT, bytes(96 * (COMMANDS_MAX + 1)), records=COMMANDS_MAX + 1),
    ],
)  # fmt: skip
def test_a_bad_frame_ends_its_session_after_what_came_before(run: Run, data: bytes) -> None:
    async def test(opened: Opened) -> None:
        client, other = await opened.client(), await opened.client()
        assert (await client.ask(new("a")))[0][0] == Outcome.DONE
        client.writer.write(data)
        assert await client.error() == "bad_frame"
        assert (await other.ask(new("b")))[0][0] == Outcome.DONE

    run(test)


def test_one_session_too_many_is_told_and_room_comes_back(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "SESSIONS_MAX", 2)

    async def test(opened: Opened) -> None:
        first, second = await opened.client(), await opened.client()
        assert await (await opened.connect()).error() == "too_many_sessions"
        found = opened.partition.tally.sessions
        assert (found.open, found.opened, found.refused) == (2, 2, {"too_many_sessions": 1})
        assert (await second.ask(new("a")))[0][0] == Outcome.DONE
        await first.close()
        while len(opened.sessions.open) > 1:
            await asyncio.sleep(0)
        assert (await (await opened.client()).ask(new("b")))[0][0] == Outcome.DONE
        assert (found.open, found.opened, found.batches, found.commands) == (2, 3, 2, 2)

    run(test)


def test_a_flood_of_questions_takes_turns_with_orders(run: Run) -> None:
    async def test(opened: Opened) -> None:
        client, other = await opened.client(), await opened.client()
        for request in range(1, 2001):
            client.send(FrameType.QUERY, {"query": "tables"}, request=request)
        other.submit(new("a"))
        assert (await other.receive()).records == 1
        assert [(await client.receive()).request for _ in range(2000)] == list(range(1, 2001))

    run(test)


def test_above_what_may_wait_for_the_disk_the_answer_is_busy(
    settings: EngineSettings, frames: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test(opened: Opened) -> None:
        client = await opened.client()
        answers = await client.ask(*(new(f"a{number}") for number in range(40)))
        assert [outcome for outcome, _ in answers] == [Outcome.DONE] * 10 + [Outcome.BUSY] * 30
        assert (await client.ask(new("b")))[0][0] == Outcome.DONE

    with_sessions(replace(settings, max_unacknowledged=10), frames, test, monkeypatch)
