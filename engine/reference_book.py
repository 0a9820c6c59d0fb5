"""The resting orders of one instrument, as simply as they can be kept: the specification's book.

A side is a dictionary from price to queue, and a queue is a dictionary from order sequence to order: Python's
dictionaries keep the order of insertion, so the first entry is the oldest and any entry leaves in constant time.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator

from engine.api import WINDOW_TICKS, Level
from engine.invariant import hold
from engine.records import CANCEL_NEWEST, DAY_NS, SELF_TRADE_FLAGS, Command, Side, TimeInForce


class Order:
    """An accepted order, from its NEW command until nothing of it is open."""

    __slots__ = (
        "account",
        "expires_ns",
        "filled",
        "flags",
        "last_event",
        "price",
        "quantity",
        "sequence",
        "side",
        "symbol",
        "tif",
        "type",
    )

    def __init__(self, command: Command, sequence: int, time_ns: int) -> None:
        self.sequence = sequence  # of its NEW command: the order's name inside
        self.account = command.account
        self.symbol = command.symbol
        self.side = command.side
        self.type = command.type
        self.tif = command.tif
        self.flags = command.flags
        self.price = command.price  # ticks; 0 for a market order
        self.quantity = command.quantity  # lots, fills included
        self.filled = 0  # lots
        self.expires_ns = expiry_of(command, time_ns)  # 0: not by the clock
        self.last_event = 0  # 1 + ordinal of its newest event

    @property
    def leaves(self) -> int:
        return self.quantity - self.filled


def expiry_of(command: Command, time_ns: int) -> int:
    if command.tif == TimeInForce.GTT:
        return command.extra
    return (time_ns // DAY_NS + 1) * DAY_NS if command.tif == TimeInForce.DAY else 0


class BookSide:
    """All resting orders on one side of one instrument.

    Always true: `ranks` holds each price with orders exactly once, best last; no queue is empty.
    """

    def __init__(self, side: int, base_ticks: int) -> None:
        self.side = side
        self.base_ticks = base_ticks
        self.queues: dict[int, dict[int, Order]] = {}
        self.ranks: list[int] = []  # price of bids, -price of asks: a larger rank is the better price on either side
        self.far_levels = 0  # prices with orders outside the dense window

    def rank(self, price: int) -> int:
        return price if self.side == Side.BUY else -price

    def is_far(self, price: int) -> bool:
        return not self.base_ticks <= price < self.base_ticks + WINDOW_TICKS

    def best_price(self) -> int | None:
        return abs(self.ranks[-1]) if self.ranks else None

    def add(self, order: Order) -> None:
        """The order becomes the last in the queue of its price."""
        queue = self.queues.get(order.price)
        if queue is None:
            queue = self.queues[order.price] = {}
            insort(self.ranks, self.rank(order.price))
            self.far_levels += self.is_far(order.price)
        queue[order.sequence] = order

    def remove(self, order: Order) -> None:
        queue = self.queues[order.price]
        del queue[order.sequence]
        if not queue:
            del self.queues[order.price]
            del self.ranks[bisect_left(self.ranks, self.rank(order.price))]
            self.far_levels -= self.is_far(order.price)

    def prices(self) -> Iterator[int]:
        """Best first."""
        return (abs(rank) for rank in reversed(self.ranks))

    def orders(self) -> Iterator[Order]:
        """In price-time priority."""
        for price in self.prices():
            yield from self.queues[price].values()

    def levels(self, depth: int) -> list[Level]:
        levels = []
        for price, _ in zip(self.prices(), range(depth), strict=False):
            queue = self.queues[price]
            levels.append(Level(price, sum(order.leaves for order in queue.values()), len(queue)))
        return levels


class OrderBook:
    """Both sides of one instrument. Never crossed between two commands."""

    def __init__(self, base_ticks: int) -> None:
        self.sides = {side: BookSide(side, base_ticks) for side in (Side.BUY, Side.SELL)}

    def own(self, side: int) -> BookSide:
        return self.sides[Side(side)]

    def opposite(self, side: int) -> BookSide:
        return self.sides[Side.SELL if side == Side.BUY else Side.BUY]

    def matchable_price(self, side: int, limit: int | None) -> int | None:
        """The best opposite price, when an order of `side` may trade at it; `limit` None: a market order."""
        best = self.opposite(side).best_price()
        if best is None or limit is None:
            return best
        return best if (best <= limit if side == Side.BUY else best >= limit) else None

    def can_fill(self, taker: Order, limit: int | None) -> bool:
        """Whether the opposite side holds its quantity at prices that `limit` allows. Orders of its own account, where it does
        not trade with them, are no help, and none lies on the way where it would have to go itself."""
        opposite, quantity = self.opposite(taker.side), taker.quantity
        for price in opposite.prices():
            if limit is not None and (price > limit if taker.side == Side.BUY else price < limit):
                return False
            for maker in opposite.queues[price].values():
                if taker.flags & SELF_TRADE_FLAGS and maker.account == taker.account:
                    if taker.flags & CANCEL_NEWEST:
                        return False
                    continue
                quantity -= maker.leaves
                if quantity <= 0:
                    return True
        return False

    def check(self) -> int:
        """Walk everything; returns how many orders rest here."""
        resting = 0
        for side, half in self.sides.items():
            hold(
                half.ranks == sorted(half.rank(price) for price in half.queues),
                f"{side.name}: ranks are not the prices",
            )
            hold(
                half.far_levels == sum(half.is_far(price) for price in half.queues),
                f"{side.name}: far levels miscounted",
            )
            for price, queue in half.queues.items():
                hold(bool(queue), f"{side.name} {price}: empty queue")
                for sequence, order in queue.items():
                    hold(
                        (order.sequence, order.price, order.side) == (sequence, price, side),
                        f"order {sequence} misplaced",
                    )
                    hold(order.leaves > 0, f"order {sequence} rests with nothing open")
                resting += len(queue)
        bid, ask = self.sides[Side.BUY].best_price(), self.sides[Side.SELL].best_price()
        hold(bid is None or ask is None or bid < ask, f"book crossed: bid {bid}, ask {ask}")
        return resting
