"""The order door over a real partition: its answers, its framing, and what it does with trouble."""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest

from engine.records import Command, CommandKind, unpack_events
from stack.door import sweep
from stack.settings import EngineSettings
from stack.wire.frames import Outcome
from stack.wire.order import fold
from tests.stack.matcher.door_clients import Answer, Client, Opened, order, post, with_door
from tests.stack.matcher.engines import submit


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "o.sock"


def asked(settings: EngineSettings, path: Path, *requests: bytes) -> list[Answer]:
    """The answers to requests sent one after the other on one connection."""

    async def test(opened: Opened) -> list[Answer]:
        client = await opened.client()
        return [await client.ask(request) for request in requests]

    return with_door(settings, path, test)


def test_an_order_is_answered_with_the_order_that_the_event_log_knows(settings: EngineSettings, path: Path) -> None:
    async def test(opened: Opened) -> None:
        client = await opened.client()
        maker = await client.ask(post(order("m")))
        taker = await client.ask(post(order("t", account="bob", side="sell", price="190", quantity=4)))
        assert (maker.status, taker.status) == (201, 201)
        assert maker.headers["content-type"] == "application/json"
        assert taker.json["fills"] == [{"trade_id": "0-1", "price": "190.25", "quantity": "4", "liquidity": "taker"}]
        sequence = int(taker.json["order_id"].partition("-")[2])
        chain = unpack_events(opened.partition.log.chain(sequence))
        assert taker.body == msgspec.json.encode(fold(chain, 0, opened.partition.tables))

    with_door(settings, path, test)


def test_a_repeat_is_200_with_the_original_and_another_body_is_409(settings: EngineSettings, path: Path) -> None:
    first, again, other = asked(settings, path, post(order()), post(order()), post(order(quantity="11")))
    assert (first.status, again.status, again.body) == (201, 200, first.body)
    assert other.status == 409
    assert other.json["code"] == "client_order_id_conflict"
    assert other.json["field"] == "client_order_id"


def test_a_batch_in_which_orders_meet_their_own_account(settings: EngineSettings, path: Path) -> None:
    batch = [
        order("1"), order("2", side="sell", self_trade="cancel_newest"), order("3", side="sell", self_trade="cancel_oldest"),
        order("4", self_trade="cancel_both"), order("5", self_trade=None),
    ]  # fmt: skip
    (answer,) = asked(settings, path, post(batch, "/orders/batch"))
    told = [element["order"] for element in answer.json]
    assert [(one["status"], one["reason"], one["self_trade"]) for one in told] == [
        ("open", None, None), ("cancelled", "self_trade", "cancel_newest"), ("open", None, "cancel_oldest"),
        ("cancelled", "self_trade", "cancel_both"), ("open", None, None),
    ]  # fmt: skip
    assert answer.body == msgspec.json.encode(answer.json), "as compact as the gateway's"


def test_refusals_of_the_engine_have_code_message_and_field(settings: EngineSettings, path: Path) -> None:
    async def test(opened: Opened) -> None:
        client = await opened.client()
        assert (await client.ask(post(order("m")))).status == 201
        crossing = await client.ask(post(order("p", side="sell", price="190", post_only=True)))
        assert (crossing.status, crossing.json["code"]) == (422, "post_only_would_cross")
        await submit(opened.partition, Command(CommandKind.HALT, text=b"test").pack())
        halted = await client.ask(post(order("h")))
        assert (halted.status, halted.json["code"], set(halted.json)) == (503, "halted", {"code", "message", "field"})

    with_door(settings, path, test)


@pytest.mark.parametrize(
    "request_",
    [
        post(order(price="190.251")), post(order(symbol="NONE")), post(order(account="carol")), post(order(extra=1)),
        post(order(client_order_id="caf\u00e9")), post(order(price=1e22)), post(b"{"), post(b""), post([order()]),
        post(order(), "/orders/batch"), post([order(), order(price="0")], "/orders/batch"), post([], "/orders/batch"),
        post(order(), "/orders?x=1"), post(order(), "/orders/"), post(order(), "/Orders"), post(order(), "/orders/batches"),
        b"GET /orders HTTP/1.1\r\n\r\n", b"DELETE /orders/0-1 HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
)  # fmt: skip
def test_whatever_is_not_certain_goes_to_the_gateway_and_leaves_no_trace(
    settings: EngineSettings, path: Path, request_: bytes
) -> None:
    async def test(opened: Opened) -> None:
        before = opened.partition.engine.sequence
        client = await opened.client()
        assert (await client.ask(request_)).to_gateway
        assert opened.partition.engine.sequence == before
        assert opened.door.deferred == 1
        assert (await client.ask(post(order()))).status == 201, "the connection goes on"

    with_door(settings, path, test)


@pytest.mark.parametrize(
    "head",
    [
        "Transfer-Encoding: chunked", "Content-Length: 5\r\nContent-Length: 5", "Content-Length: +5", "Content-Length: ",
        "Content-Length: 99999999999999999999", "no colon here", "Content-Length : 5", "Transfer-Encoding : chunked",
        "X: y\r\n Content-Length: 5", "X: y\nContent-Length: 5", "X: y\0", ": x", "X\u00e4: y", "X: y\n\n",
    ],
)  # fmt: skip
def test_where_the_end_of_a_request_is_unclear_the_connection_closes(
    settings: EngineSettings, path: Path, head: str
) -> None:
    async def test(opened: Opened) -> None:
        client = await opened.client()
        answer = await client.ask(f"POST /orders HTTP/1.1\r\n{head}\r\n\r\n".encode() + post(order()))
        assert answer.to_gateway
        assert await client.ended()
        assert opened.door.taken == 0

    with_door(settings, path, test)


def test_a_body_above_the_limit_is_left_to_the_gateway_and_skipped(settings: EngineSettings, path: Path) -> None:
    async def test(opened: Opened) -> None:
        client = await opened.client()
        client.send(post(b" " * ((1 << 20) + 1)) + post(order()))
        assert (await client.receive()).to_gateway
        assert (await client.receive()).status == 201

    with_door(settings, path, test)


def test_endless_headers_close_the_connection(settings: EngineSettings, path: Path) -> None:
    async def test(opened: Opened) -> None:
        client = await opened.client()
        client.send(b"POST /orders HTTP/1.1\r\n" + b"X: y\r\n" * 20_000)
        assert (await client.receive()).to_gateway
        assert await client.ended()

    with_door(settings, path, test)


def test_requests_cut_and_joined_anywhere_are_answered_in_order(settings: EngineSettings, path: Path) -> None:
    async def test(opened: Opened) -> None:
        chance = random.Random(3)
        wanted: list[tuple[str, ...]] = []
        stream = b""
        for number in range(120):
            dice = chance.random()
            if dice < 0.2:
                stream += post(order(f"x{number}", price="1.001"))
                wanted.append(("gateway",))
            elif dice < 0.4:
                names = tuple(f"b{number}.{n}" for n in range(chance.randrange(1, 9)))
                stream += post([order(name) for name in names], "/orders/batch")
                wanted.append(names)
            else:
                stream += post(order(f"s{number}"))
                wanted.append((f"s{number}",))
        client = await opened.client()

        async def send() -> None:
            at = 0
            while at < len(stream):
                size = chance.choice([1, 7, 60, 300, 2000, 20_000])
                client.send(stream[at : at + size])
                at += size
                await asyncio.sleep(0)

        sending = asyncio.create_task(send())
        got: list[tuple[str, ...]] = []
        for _ in wanted:
            answer = await client.receive()
            if answer.to_gateway:
                got.append(("gateway",))
            elif isinstance(answer.json, list):
                got.append(tuple(element["order"]["client_order_id"] for element in answer.json))
            else:
                got.append((answer.json["client_order_id"],))
        await sending
        assert got == wanted

    with_door(settings, path, test)


def test_a_batch_says_for_each_order_what_became_of_it(settings: EngineSettings, path: Path) -> None:
    batch = [
        order("1"), order("2", side="sell", account="bob", quantity="3"), order("1"), order("1", quantity="1"),
        order("3", side="sell", price="190.25", post_only=True), order("4", type="market", price=..., side="sell"),
    ]  # fmt: skip
    (answer,) = asked(settings, path, post(batch, "/orders/batch"))
    assert answer.status == 200
    assert [element["status"] for element in answer.json] == [201, 201, 200, 409, 422, 201]
    assert [element.get("error", {}).get("code") for element in answer.json[3:5]] == [
        "client_order_id_conflict", "post_only_would_cross",
    ]  # fmt: skip
    assert answer.json[5]["order"]["filled_quantity"] == "7"
    assert answer.body == msgspec.json.encode(answer.json), "as compact as the gateway's"


def test_too_much_at_once_is_429_with_a_time_to_wait(settings: EngineSettings, path: Path) -> None:
    few = msgspec.structs.replace(settings, max_unacknowledged=2)
    alone, batch = asked(few, path, post(order("a")), post([order(f"b{n}") for n in range(4)], "/orders/batch"))
    assert alone.status == 201
    assert [element["status"] for element in batch.json] == [201, 201, 429, 429]

    none = msgspec.structs.replace(settings, max_unacknowledged=0, instruments=[], accounts=[])
    busy = asked(none, path.with_name("p.sock"), post(order("z")))[0]
    assert (busy.status, busy.json["code"]) == (429, "busy")
    assert int(busy.headers["retry-after"]) >= 1


def test_a_client_that_goes_away_leaves_its_order_standing(settings: EngineSettings, path: Path) -> None:
    async def test(opened: Opened) -> None:
        client = await opened.client()
        client.send(post([order(f"g{n}") for n in range(1000)], "/orders/batch"))
        client.writer.transport.abort()
        other = await opened.client()
        while (await other.ask(post(order("g999")))).status != 200:
            pass
        assert opened.partition.engine.live == 1000

    with_door(settings, path, test)


def test_when_the_journal_fails_open_requests_get_no_answer_and_the_door_closes(
    settings: EngineSettings, path: Path
) -> None:
    async def test(opened: Opened) -> None:
        idle, asking = await opened.client(), await opened.client()
        assert (await asking.ask(post(order("a")))).status == 201
        taken, submit_ = opened.door.taken, opened.partition.when_durable
        asking.send(post(order("b")))
        while opened.door.taken == taken:
            await asyncio.sleep(0)
            if opened.door.taken > taken:
                break
        submit_(lambda: None, lambda: None)
        opened.partition.fail("the disk is gone")
        assert await asking.ended()
        assert await idle.ended()
        with pytest.raises(ConnectionRefusedError):
            await opened.client()

    with_door(settings, path, test)


def test_a_stopping_door_answers_what_is_open_and_takes_no_more(settings: EngineSettings, path: Path) -> None:
    async def test(opened: Opened) -> None:
        idle, asking = await opened.client(), await opened.client()
        taken = opened.door.taken
        asking.send(post(order("a")) + post(order("b")))
        while opened.door.taken == taken:
            await asyncio.sleep(0)
        opened.door.stop()
        assert (await asking.receive()).status == 201
        assert await asking.ended()
        assert await idle.ended()
        assert opened.door.taken == 1
        assert path.exists(), "whoever holds the socket keeps listening on it"

    with_door(settings, path, test)


def test_connection_close_is_respected(settings: EngineSettings, path: Path) -> None:
    async def test(opened: Opened) -> None:
        client = await opened.client()
        assert (await client.ask(post(order(), connection="close"))).status == 201
        assert await client.ended()

    with_door(settings, path, test)


def test_new_instruments_are_known_as_soon_as_they_are_durable(settings: EngineSettings, path: Path) -> None:
    from engine.records import Instrument

    async def test(opened: Opened) -> None:
        client = await opened.client()
        assert (await client.ask(post(order("n", symbol="NEW")))).to_gateway
        defined = Instrument(3, b"NEW", 25, 2, 1, 0, b"USD").pack()
        assert (await submit(opened.partition, defined))[0] == Outcome.DONE
        assert (await client.ask(post(order("n", symbol="NEW")))).status == 201

    with_door(settings, path, test)


def with_keys(settings: EngineSettings, tmp_path: Path, **keys: str) -> EngineSettings:
    file = tmp_path / "keys"
    file.write_text("".join(f"{hashlib.sha256(key.encode()).hexdigest()} {who}\n" for key, who in keys.items()))
    return msgspec.structs.replace(settings, authentication="api_key", api_keys_file=str(file))


def test_the_key_gives_the_account_and_every_doubt_goes_to_the_gateway(
    settings: EngineSettings, path: Path, tmp_path: Path
) -> None:
    keyed = with_keys(settings, tmp_path, A="trader alice", O="operator *", G="trader ghost")

    async def test(opened: Opened) -> None:
        client = await opened.client()

        async def ask(document: dict[str, Any], **headers: str) -> Answer:
            return await client.ask(post(document, **headers))

        for round_ in range(2):  # the second time the key is remembered
            answer = await ask(order(f"a{round_}", account=...), Authorization="Bearer A")
            assert (answer.status, answer.json["account"]) == (201, "alice")
            assert (await ask(order(f"o{round_}", account="bob"), authorization="bearer O")).status == 201
            assert (await ask(order("x", account="bob"), Authorization="Bearer A")).to_gateway
            assert (await ask(order("x", account=...), Authorization="Bearer O")).to_gateway
            assert (await ask(order("x"), Authorization="Bearer wrong")).to_gateway
            assert (await ask(order("x"), Authorization="Bearer G")).to_gateway
            assert (await ask(order("x"))).to_gateway
        with_keys(settings, tmp_path, B="trader bob")
        opened.door.reload_keys()
        assert (await ask(order("x"), Authorization="Bearer A")).to_gateway
        assert (await ask(order("y", account=...), Authorization="Bearer B")).status == 201

    with_door(keyed, path, test)


def test_a_client_that_does_not_read_is_not_read_either(settings: EngineSettings, path: Path) -> None:
    """What waits for one client is bounded; once it reads again it gets every answer."""

    async def test(opened: Opened) -> None:
        client = await opened.client()
        batch = post([order(f"q{n}") for n in range(1000)], "/orders/batch")
        client.writer.transport.set_write_buffer_limits(1)
        count = 40
        sending = asyncio.create_task(_send(client, [batch] * count))
        taken = -1
        while taken != opened.door.taken:  # until nothing moves any more
            taken = opened.door.taken
            for _ in range(200):
                await asyncio.sleep(0)
        assert taken < count
        for _ in range(count):
            assert len((await client.receive()).json) == 1000
        await sending

    with_door(settings, path, test)


@pytest.mark.parametrize("sent", [post(order())[:-1], b"POST /ord", post(b" " * ((1 << 20) + 1))[:-1]])
def test_half_a_request_is_not_waited_for_for_ever(
    settings: EngineSettings, path: Path, monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    async def test(opened: Opened) -> None:
        idle, slow = await opened.client(), await opened.client()
        assert (await idle.ask(post(order()))).status == 201
        slow.send(sent)
        with suppress(ConnectionError):
            await slow.reader.read()  # until it is closed
        assert (await idle.ask(post(order()))).status == 200, "who has nothing to send is left alone"

    monkeypatch.setattr(sweep, "SWEEP_S", 0.01)
    with_door(settings, path, test)


def test_a_client_that_never_reads_is_disconnected(
    settings: EngineSettings, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test(opened: Opened) -> None:
        client = await opened.client()
        client.writer.transport.pause_reading()
        client.writer.transport.set_write_buffer_limits(1)
        with pytest.raises(ConnectionError):
            await _send(client, [post([order(f"q{n}") for n in range(1000)], "/orders/batch")] * 200)

    monkeypatch.setattr(sweep, "SWEEP_S", 0.05)
    with_door(settings, path, test)


async def _send(client: Client, parts: list[bytes]) -> None:
    for part in parts:
        client.send(part)
        await client.writer.drain()


def test_every_gateway_answer_of_a_refusal_is_the_doors_too() -> None:
    from engine.records import Event, EventKind
    from stack.gateway.refusals import refused
    from stack.gateway.replies import REFUSALS

    for reason, (code, field, message) in REFUSALS.items():
        whole, element = refused(Outcome.DONE, Event(*[0] * 11, kind=EventKind.REFUSED, reason=reason).pack())
        body = {"code": code, "message": message, "field": field}
        assert json.loads(whole.partition(b"\r\n\r\n")[2]) == body
        assert json.loads(element)["error"] == body
