"""Pages of an account's orders, oldest first: history, and over it what changed since history was written.

Within a partition the order's own sequence is its place, and it never changes; so a cursor is one sequence per partition,
and pages neither repeat nor skip what stood there. How far history goes is read first: whatever is not in it by then has
events above that, and those are read from the engine. Live orders alone come from the engine's memory and need no history.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import heapq
from collections.abc import Awaitable, Callable, Container
from typing import Any

import msgspec

from stack.gateway.errors import ApiError
from stack.gateway.gateway import Gateway
from stack.gateway.lookup import chains
from stack.gateway.partition import Partition
from stack.gateway.recent import changed_since
from stack.gateway.replies import Order

PAGE = 1000
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
    past = await gateway.history.by_account(partition.number, account, after, since_ns, limit + 1)
    recent = await changed_since(partition, written, account, after, since_ns, limit + 1)
    orders = {_place(order)[1]: order for order in [*past, *recent]}
    return [orders[sequence] for sequence in sorted(orders)[: limit + 1]]


async def _live(partition: Partition, account: str, after: int, since_ns: int, limit: int) -> list[Order]:
    number = (await partition.tables()).account_ids.get(account)
    if number is None:
        return []
    found: list[Order] = []
    while len(found) < limit:
        answer = await partition.query("orders", account=number, symbol=0, after=after, limit=PAGE)
        listed: list[list[Any]] = answer.document["orders"]
        page = chains(answer, partition.number, partition.link.tables)
        found += [order for order in page if order["created_ns"] >= since_ns]
        if len(listed) < PAGE:
            break
        after = listed[-1][0]
    return found[:limit]
