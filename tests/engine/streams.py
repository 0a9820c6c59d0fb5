"""Seeded streams of commands, one regime each: what the two implementations are compared on."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import NamedTuple

from engine.api import WINDOW_TICKS
from engine.journal import CHAIN_START, Encoder
from engine.records import (
    CANCEL_NEWEST,
    CANCEL_OLDEST,
    POST_ONLY,
    PRICE_TICKS_MAX,
    QUANTITY_LOTS_MAX,
    Command,
    CommandKind,
    Instrument,
    InstrumentState,
    OrderType,
    Side,
    TimeInForce,
)

BASE = 1 << 30
TOP = BASE + WINDOW_TICKS
MID = BASE + WINDOW_TICKS // 2

Draw = Callable[[random.Random], int]


def near(r: random.Random) -> int:
    return MID + r.randrange(-6, 7)


def wide(r: random.Random) -> int:
    return MID + int(r.gauss(0, 4000))


def window_edge(r: random.Random) -> int:
    return r.choice((BASE + r.randrange(-3, 4), TOP + r.randrange(-4, 3), near(r)))


def far(r: random.Random) -> int:
    return r.choice((near(r), r.randrange(1, PRICE_TICKS_MAX), 1 + r.randrange(3), PRICE_TICKS_MAX - r.randrange(3)))


def many_far(r: random.Random) -> int:
    """Thousands of far prices on either side of the window: the cap is met."""
    return r.choice((1 + r.randrange(4000), TOP + r.randrange(4000)))


class Regime(NamedTuple):
    price: Draw
    commands: int = 2500
    symbols: int = 1
    accounts: int = 3
    mix: tuple[int, int, int] = (50, 30, 20)  # new, cancel, replace
    ids: int = 0  # client order ids are drawn from so many; 0: each its own
    quantity_max: int = 99
    garbage: float = 0.0  # share of commands with fields nobody should send
    rare: float = 0.02  # share of mass cancels, halts, definitions, rolls
    max_live_orders: int = 1 << 12
    client_ids_max: int = 1 << 12
    apart: bool = False  # bids below the middle, offers above
    rules: int = 1  # adopted at the beginning
    clock: int = 1  # nanoseconds from one record to the next
    timed: float = 0.0  # share of resting orders that end by the clock
    self_trade: float = 0.0  # share of orders that do not trade with their own account


REGIMES = {
    "narrow": Regime(near),
    "wide": Regime(wide),
    "window edge": Regime(window_edge),
    "far": Regime(far),
    "far levels run out": Regime(many_far, commands=6000, mix=(94, 3, 3), apart=True, rare=0.0),
    "many accounts and symbols": Regime(near, symbols=7, accounts=40),
    "duplicate ids": Regime(near, ids=150, rare=0.05),
    "replaces": Regime(near, mix=(35, 5, 60)),
    "book full": Regime(wide, max_live_orders=61, mix=(75, 15, 10), apart=True, rare=0.0),
    "more ids than planned": Regime(near, client_ids_max=1, max_live_orders=40, rare=0.004),
    "huge quantities": Regime(near, quantity_max=QUANTITY_LOTS_MAX),
    "garbage": Regime(near, garbage=0.3, rare=0.1),
    "rare commands": Regime(near, symbols=3, rare=0.3),
    "self-trade": Regime(near, accounts=2, rules=2, self_trade=0.6),
    "self-trade far": Regime(far, accounts=2, rules=2, self_trade=0.9, garbage=0.05),
    "self-trade deep": Regime(wide, rules=2, commands=6000, mix=(80, 10, 10), self_trade=0.4, quantity_max=4000),
    "by the clock": Regime(near, rules=3, clock=180 * 10**9, timed=0.5, self_trade=0.1, garbage=0.05),
    "by the clock, one after the other": Regime(
        wide, rules=3, clock=7, timed=0.95, apart=True, mix=(60, 20, 20), rare=0.01
    ),
    "deep": Regime(lambda r: MID + r.randrange(-40, 41) * 9, commands=12_000, mix=(85, 10, 5), apart=True, rare=0.0),
}


def definitions(regime: Regime) -> Iterator[Command | bytes]:
    if regime.rules > 1:
        yield Command(CommandKind.ADOPT_RULES, quantity=regime.rules)
    for symbol in range(1, regime.symbols + 1):
        yield Instrument(symbol, b"SYM%d" % symbol, 1, 2, 1, 0, b"USD", base_ticks=BASE).pack()
    for account in range(1, regime.accounts + 1):
        yield Command(CommandKind.DEFINE_ACCOUNT, account=account, text=b"account-%d" % account)


def commands(regime: Regime, seed: int) -> Iterator[Command | bytes]:
    """Definitions first. Targets are sequences of NEW commands sent before, mostly recent ones."""
    r = random.Random(f"{regime.symbols} {regime.accounts} {seed}")
    sent: list[tuple[int, int]] = [(0, 0)]  # sequence and account of NEW commands
    sequence = 0
    for command in definitions(regime):
        sequence += 1
        yield command
    for _ in range(regime.commands):
        sequence += 1
        if r.random() < regime.rare:
            yield rare(r, regime)
            continue
        command = ordinary(r, regime, sequence, sent)
        if command.kind == CommandKind.NEW:
            sent.append((sequence, command.account))
        if regime.timed and r.random() < 0.04:
            sequence += 1
            yield Command(CommandKind.EXPIRE)
        yield spoilt(r, command) if r.random() < regime.garbage else command


def ordinary(r: random.Random, regime: Regime, sequence: int, sent: list[tuple[int, int]]) -> Command:
    kind = r.choices((CommandKind.NEW, CommandKind.CANCEL, CommandKind.REPLACE), regime.mix)[0]
    target, owner = sent[-1 - min(int(r.expovariate(0.03)), len(sent) - 1)]
    account = r.randrange(1, regime.accounts + 1)
    if kind != CommandKind.NEW:
        account = r.choice((owner, owner, owner, 0, account))
    number = r.randrange(regime.ids) if regime.ids else sequence
    side = r.choice((Side.BUY, Side.SELL))
    price = regime.price(r)
    if regime.apart and r.random() < 0.97 and (price < MID) != (side == Side.BUY):
        side = Side.SELL if side == Side.BUY else Side.BUY
    tif = r.choices((TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK), (80, 12, 8))[0]
    market = tif != TimeInForce.GTC and r.random() < 0.3
    quantity = r.choice((r.randrange(1, regime.quantity_max + 1), r.randrange(1, 100)))
    if kind == CommandKind.CANCEL:
        return Command(kind, account=account, target=target, symbol=r.randrange(0, 3))
    if kind == CommandKind.REPLACE:
        text = b"r-%d" % number if r.random() < 0.95 else b""
        return Command(kind, account=account, price=price, quantity=quantity, target=target, text=text)
    flags = POST_ONLY if tif == TimeInForce.GTC and r.random() < 0.1 else 0
    if regime.self_trade and r.random() < regime.self_trade:
        flags |= r.choice((CANCEL_NEWEST, CANCEL_OLDEST, CANCEL_NEWEST | CANCEL_OLDEST))
    extra = 0
    if regime.timed and tif == TimeInForce.GTC and r.random() < regime.timed:
        tif = r.choice((TimeInForce.DAY, TimeInForce.GTT, TimeInForce.GTT))
        extra = time_ns(sequence + r.choice((-1, 0, 1, 1, *(r.randrange(1, 300) for _ in range(9)))), regime.clock)
    return Command(
        kind,
        side,
        OrderType.MARKET if market else OrderType.LIMIT,
        tif,
        flags,
        account,
        r.randrange(1, regime.symbols + 1),
        0 if market else price,
        quantity,
        extra=extra,
        text=b"" if r.random() < 0.05 else b"order-%d" % number,
    )


def rare(r: random.Random, regime: Regime) -> Command | bytes:
    symbol, account = r.randrange(0, regime.symbols + 2), r.randrange(0, regime.accounts + 2)
    pick = r.randrange(10)
    if pick < 3:
        return Command(CommandKind.MASS_CANCEL, account=account, symbol=symbol)
    if pick == 3:
        return Command(CommandKind.HALT, text=b"breaker: drawdown")
    if pick < 6:
        return Command(CommandKind.RESUME, text=b"by ana")
    if pick == 6:
        return Command(CommandKind.ROLL_CLIENT_IDS)
    if pick == 7:
        return Command(CommandKind.DEFINE_ACCOUNT, account=account, text=r.choice((b"", b"late")))
    state = r.choice((InstrumentState.OPEN, InstrumentState.OPEN, InstrumentState.HALTED, 3))
    lot = r.choice((1, 1, 1, 2))
    return Instrument(symbol, b"SYM%d" % symbol, 1, 2, lot, 0, b"USD", state, BASE).pack()


def spoilt(r: random.Random, command: Command) -> bytes:
    """One to three fields replaced by what nobody should send, sometimes the whole command by noise."""
    if r.random() < 0.15:
        return r.randbytes(96)
    small = lambda: r.choice((0, 1, 2, 3, 4, 7, 128, 255))  # noqa: E731
    large = lambda: r.choice((0, -1, 1 << 40, (1 << 40) + 1, 1 << 53, (1 << 53) + 1, (1 << 63) - 1, -(1 << 63)))  # noqa: E731
    change: dict[str, int | bytes] = {}
    for field in r.sample(command._fields, r.randrange(1, 4)):
        if field in ("kind", "side", "type", "tif", "flags"):
            change[field] = small()
        elif field in ("account", "symbol"):
            change[field] = r.choice((0, 1, 99, 0xFFFFFFFF))
        elif field in ("price", "quantity", "target"):
            change[field] = large()
    packed = bytearray(command._replace(**change).pack(token=r.randrange(1 << 32)))  # type: ignore[arg-type]
    if r.random() < 0.2:
        packed[5] = r.randrange(256)  # text_length
    return bytes(packed)


def time_ns(sequence: int, clock: int) -> int:
    """Of the record."""
    return 1_000_000 + (sequence - 1) * clock


def records(stream: Iterator[Command | bytes], batch: int = 256, clock: int = 1) -> Iterator[bytes]:
    """The journal records of a stream, in pieces of `batch`."""
    encoder = Encoder(1, 0, CHAIN_START)
    for command in stream:
        encoder.append(command if isinstance(command, bytes) else command.pack(), time_ns(encoder.sequence + 1, clock))
        if encoder.sequence % batch == 0:
            yield encoder.take()
    yield encoder.take()
