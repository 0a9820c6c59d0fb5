"""Instruments and accounts: what the settings want, what the journal has defined, and the commands that make up for it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from engine.records import PRICE_TICKS_MAX, Command, CommandKind, Event, EventKind, Instrument, InstrumentState
from stack.matcher.refusal import StartRefused
from stack.settings import InstrumentSettings
from stack.wire.decimals import NumberError, Step, exact
from stack.wire.tables import Listed, Tables

_SYMBOL = re.compile(r"[A-Z0-9.]{1,12}", re.ASCII)
_ACCOUNT = re.compile(r"[A-Za-z0-9_.-]{1,32}", re.ASCII)
_CURRENCY = re.compile(r"[A-Z0-9]{1,8}", re.ASCII)


def follow(tables: Tables, event: Event) -> Tables:
    """The tables after an INSTRUMENT_DEFINED or ACCOUNT_DEFINED event."""
    instruments, accounts = dict(tables.instruments), dict(tables.accounts)
    if event.kind == EventKind.ACCOUNT_DEFINED:
        accounts[event.account] = event.text.decode("ascii", "replace")
    elif event.kind == EventKind.INSTRUMENT_DEFINED:
        instruments[event.symbol] = Listed(
            event.symbol,
            event.text.decode("ascii", "replace"),
            Step(event.price, event.side),
            Step(event.quantity, event.type),
            event.trade.to_bytes(8, "little").rstrip(b"\0").decode("ascii", "replace"),
            InstrumentState(event.tif).name.lower(),
            event.leaves,
        )
    return Tables(instruments.values(), accounts.items())


def missing(tables: Tables, instruments: Sequence[InstrumentSettings], accounts: Sequence[str]) -> Iterator[bytes]:
    """The commands after which `tables` hold what the settings want. Raises StartRefused; what the settings do not name
    stays as it is, because orders and history speak of it."""
    next_symbol = len(tables.instruments) + 1
    seen: set[str] = set()
    for wanted in instruments:
        if wanted.symbol in seen:
            raise StartRefused(f"the settings name instrument {wanted.symbol} twice")
        seen.add(wanted.symbol)
        known = tables.symbols.get(wanted.symbol)
        listed = _listed(wanted, known.id if known else next_symbol)
        if known is None:
            next_symbol += 1
            yield _define(listed)
        elif known != listed:
            _refuse_change(known, listed)
            yield _define(listed)
    next_account = len(tables.accounts) + 1
    for name in dict.fromkeys(accounts):
        if not _ACCOUNT.fullmatch(name):
            raise StartRefused(f"account {name!r}: 1 to 32 of letters, digits, _ . - are allowed")
        if name not in tables.account_ids:
            yield Command(CommandKind.DEFINE_ACCOUNT, account=next_account, text=name.encode()).pack()
            next_account += 1


def _listed(wanted: InstrumentSettings, number: int) -> Listed:
    name = wanted.symbol
    if not _SYMBOL.fullmatch(name):
        raise StartRefused(f"instrument {name!r}: 1 to 12 of A-Z, 0-9 and . are allowed")
    if not _CURRENCY.fullmatch(wanted.currency):
        raise StartRefused(f"instrument {name}: currency {wanted.currency!r}: 1 to 8 of A-Z, 0-9 are allowed")
    field, value = "tick_size", wanted.tick_size
    try:
        tick = Step.parse(value)
        field, value = "lot_size", wanted.lot_size
        lot = Step.parse(value)
        field, value = "base_price", wanted.base_price
        base = tick.steps(value, PRICE_TICKS_MAX) if exact(value)[0] else 0
    except NumberError as error:
        raise StartRefused(f"instrument {name}: {field}: {error.message}") from None
    return Listed(number, name, tick, lot, wanted.currency, wanted.state, base)


def _refuse_change(known: Listed, wanted: Listed) -> None:
    for field, old, new in (
        ("tick_size", known.tick, wanted.tick),
        ("lot_size", known.lot, wanted.lot),
        ("currency", known.currency, wanted.currency),
        ("base_price", known.tick.text(known.base_ticks), wanted.tick.text(wanted.base_ticks)),
    ):
        if old != new:
            raise StartRefused(
                f"instrument {known.symbol}: {field} is {old} in the journal and {new} in the settings; it cannot change "
                f"once orders were counted in it. Set it back to {old}, or list the instrument under a new symbol"
            )


def _define(listed: Listed) -> bytes:
    return Instrument(
        listed.id,
        listed.symbol.encode(),
        listed.tick.mantissa,
        listed.tick.scale,
        listed.lot.mantissa,
        listed.lot.scale,
        listed.currency.encode(),
        InstrumentState[listed.state.upper()],
        listed.base_ticks,
    ).pack()
