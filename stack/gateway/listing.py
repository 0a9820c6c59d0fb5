"""Pages of an account's orders, oldest first: which ones history says, how each stands now its engine.

Within a partition the order's own sequence is its place, and it never changes; so a cursor is one sequence per partition,
and pages neither repeat nor skip what stood there. How far history goes is read first: what was accepted behind that is found
in the engine's events, unless history alone fills the page. Orders that the engine's event log does not know are shown as
history has them. Live orders alone come from the engine's memory and need no history.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import heapq
from collections.abc import Awaitable, Callable, Container

import msgspec

from stack.gateway.chains import read_chains
from stack.gateway.errors import ApiError
from stack.gateway.gateway import Gateway
from stack.gateway.partition import Partition
from stack.gateway.recent import accepted_since
from stack.gateway.replies import Order
from stack.wire.order import fold

LIVE_AT_ONCE = 256
LIST_S_MAX = 4.0  # a list is several questions, each of which has its own limit


class Cursor:
    def __init__(self, after: dict[int, int]) -> None:
        self.after = after  # partition -> sequence of the last order shown

    @classmethod
    def parse(cls, text: str | None, partitions: Container[int]) -> Cursor:
        if text is None:
            return cls({})
        try:
            after = msgspec.json.decode(base64.b64decode(text, altchars=b"-_", validate=True), type=dict[int, int])
        except (msgspec.DecodeError, msgspec.ValidationError, binascii.Error, ValueError) as error:
            raise _bad_cursor() from error
        if any(number not in partitions or not 0 <= sequence < 1 << 62 for number, sequence in after.items()):
            raise _bad_cursor()
        return cls(after)

    def __str__(self) -> str:
        return base64.urlsafe_b64encode(msgspec.json.encode(self.after)).decode()


def _bad_cursor() -> ApiError:
    return ApiError("bad_value", "cursor: give back what the page before had, unchanged", "cursor")


async def list_orders(
    gateway: Gateway, account: str, start: Cursor, *, since_ns: int, limit: int, live: bool
) -> tuple[list[Order], str | None]:
    """At most `limit` orders, and the cursor of the next page."""
    numbers = list(gateway.partitions)
    pages = await _while_engines_stay(
        gateway,
        lambda: asyncio.gather(
            *(
                _of_partition(
                    gateway, gateway.partitions[number], account, start.after.get(number, 0), since_ns, limit, live
                )
                for number in numbers
            )
        ),
    )
    merged = heapq.merge(
        *([(_place(order), number, order) for order in page] for number, page in zip(numbers, pages, strict=True))
    )
    taken: list[Order] = []
    after = dict(start.after)
    for (_, sequence), number, order in merged:
        if len(taken) == limit:
            return taken, str(Cursor(after))
        taken.append(order)
        after[number] = sequence
    return taken, None


async def _while_engines_stay(gateway: Gateway, ask: Callable[[], Awaitable[list[list[Order]]]]) -> list[list[Order]]:
    """What `ask` brings within LIST_S_MAX; an engine's restart does not count, for requests wait while it lasts."""
    partitions = gateway.partitions.values()
    while True:
        await asyncio.gather(*(partition.there() for partition in partitions))
        before = [partition.link.welcome for partition in partitions]
        try:
            async with asyncio.timeout(LIST_S_MAX):
                return await ask()
        except TimeoutError:
            now = [partition.link.welcome if partition.link.connected else None for partition in partitions]
            if all(one is other for one, other in zip(now, before, strict=True)):
                raise ApiError(
                    "history_unavailable",
                    f"the list was not there within {LIST_S_MAX:g} s, all its questions together: ask for fewer (limit, "
                    "since), for live orders alone (live=true), or again later",
                ) from None


def _place(order: Order) -> tuple[int, int]:
    return order["created_ns"], int(order["order_id"].partition("-")[2])


async def _of_partition(
    gateway: Gateway, partition: Partition, account: str, after: int, since_ns: int, limit: int, live: bool
) -> list[Order]:
    """One more than `limit`, so that the caller sees whether there is another page."""
    if live:
        return await _live(partition, account, after, since_ns, limit + 1)
    written = await gateway.history.written(partition.number)
    sequences = await gateway.history.by_account(partition.number, account, after, since_ns, limit + 1)
    number = (await partition.tables()).account_ids.get(account)
    if len(sequences) <= limit and number is not None:
        recent = await accepted_since(partition, written, number, after, since_ns)
        sequences = sorted({*sequences, *recent})[: limit + 1]
    chains = await read_chains(partition, sequences)
    orders = {sequence: fold(chain, partition.number, partition.link.tables) for sequence, chain in chains.items()}
    if unknown := [sequence for sequence in sequences if sequence not in orders]:
        orders |= await gateway.history.orders(partition.number, unknown)
    return [orders[sequence] for sequence in sequences if sequence in orders]


async def _live(partition: Partition, account: str, after: int, since_ns: int, limit: int) -> list[Order]:
    number = (await partition.tables()).account_ids.get(account)
    if number is None:
        return []
    found: list[Order] = []
    while len(found) < limit:
        asked = min(LIVE_AT_ONCE, limit - len(found))
        answer = await partition.query("orders", account=number, after=after, limit=asked, only_ids=True)
        listed: list[int] = answer.document["orders"]
        for chain in (await read_chains(partition, listed)).values():
            if chain[0].time_ns >= since_ns and chain[-1].leaves:  # else it was closed between the two questions
                found.append(fold(chain, partition.number, partition.link.tables))
        if len(listed) < asked:
            break
        after = listed[-1]
    return found[:limit]
