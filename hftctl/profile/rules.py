"""What must hold between the values of a profile, once each is right by itself."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import NamedTuple

from hftctl.profile.schema import Instrument, Profile

FIRST_CHARACTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
PORT_MAX = 65535
WHOLE = 100  # percent
PRICE_TICKS_MAX = 1 << 40  # as the engine has it
RESERVED_SYMBOLS = "PROOF."
RESERVED_ACCOUNTS = {
    "proof": "the orders a deployment proves itself with",
    "load": "hftctl load, which cancels all it leaves",
    "replay": "hftctl replay, which cancels all it leaves",
}

Key = tuple[str | int, ...]


class Problem(NamedTuple):
    key: Key
    message: str


def problems(profile: Profile) -> Iterator[Problem]:
    yield from _door(profile)
    yield from _ports(profile)
    yield from _partitions(profile)
    yield from _kubernetes(profile)
    if profile.target != "local" and profile.order_entry == "engine":
        yield Problem(
            ("order_entry",),
            "engine is of the target local, where a supervisor holds the engine's socket while it restarts; write gateway",
        )
    if profile.engine.segment_bytes % 4096:
        yield Problem(("engine", "segment_bytes"), f"{profile.engine.segment_bytes} is not a multiple of 4096")
    if profile.rollout.bake_s and not profile.monitoring.enable_prometheus:
        yield Problem(
            ("rollout", "bake_s"), "a bake reads the metrics: write monitoring.enable_prometheus: true, or bake_s: 0"
        )
    yield from _canary(profile)
    yield from _accounts(profile)
    symbols: set[str] = set()
    for index, instrument in enumerate(profile.instruments):
        yield from _instrument(instrument, ("instruments", index), symbols)
        symbols.add(instrument.symbol)
    yield from _enabled(profile, symbols)


def _kubernetes(profile: Profile) -> Iterator[Problem]:
    """What this target cannot do yet is refused, and not left out in silence."""
    if profile.target != "kubernetes":
        return
    if profile.authentication != "api_key":
        yield Problem(("authentication",), "none would let everybody in the cluster's network trade; write api_key")
    if profile.binary_door:
        yield Problem(("binary_door",), "binary sessions are of the targets local and compose; write false")
    if profile.rollout.bake_s:
        yield Problem(
            ("rollout", "bake_s"),
            "a bake is of the targets local and compose, whose components share their metrics; write 0",
        )


def _canary(profile: Profile) -> Iterator[Problem]:
    steps, key = profile.rollout.canary, ("rollout", "canary")
    if not steps:
        return
    if profile.target != "compose":
        yield Problem(
            key,
            f"a canary is of the target compose: on {profile.target} gateways of both releases would run the code that is "
            "installed; write []",
        )
    if not profile.monitoring.enable_prometheus:
        yield Problem(key, "a canary is judged by the metrics: write monitoring.enable_prometheus: true, or []")
    if list(steps) != sorted(set(steps)) or steps[-1] != WHOLE:
        yield Problem(key, f"{list(steps)} must rise from step to step and end with {WHOLE}")
    if above := [step for step in steps if WHOLE // 2 < step < WHOLE]:
        yield Problem(key, f"above 50 the baseline cannot have as many requests as the canary: leave out {above}")


def _door(profile: Profile) -> Iterator[Problem]:
    try:
        address = ipaddress.ip_address(profile.bind)
    except ValueError:
        yield Problem(("bind",), f"'{profile.bind}' is not an IP address; 127.0.0.1 is this machine only")
        return
    if profile.authentication == "none" and not address.is_loopback:
        yield Problem(
            ("bind",),
            f"{profile.bind} with authentication: none lets everybody on the network trade; write api_key, or bind 127.0.0.1",
        )


def _ports(profile: Profile) -> Iterator[Problem]:
    taken: dict[int, str] = {}
    for name, first in profile.ports.model_dump().items():
        count = 1
        if name == "binary":
            count = len(profile.partitions) if profile.binary_door else 0
        for port in range(first, first + count):
            whose = f" (of partition {port - first})" if port > first else ""
            if port > PORT_MAX:
                yield Problem(
                    ("ports", name), f"{first} leaves no port for partition {port - first}: {port} is above {PORT_MAX}"
                )
                break
            if port in taken:
                yield Problem(("ports", name), f"port {port}{whose} is already that of ports.{taken[port]}")
            taken.setdefault(port, name)


def _partitions(profile: Profile) -> Iterator[Problem]:
    if profile.order_entry == "engine" and len(profile.partitions) > 1:
        yield Problem(
            ("order_entry",), f"engine needs exactly one partition, there are {len(profile.partitions)}; write gateway"
        )
    owner: dict[str, int] = {}
    exact: dict[str, int] = {}
    for number, partition in enumerate(profile.partitions):
        for index, text in enumerate(partition.ranges):
            key: Key = ("partitions", number, "ranges", index)
            first, last = FIRST_CHARACTERS.index(text[0]), FIRST_CHARACTERS.index(text[-1])
            if first > last:
                yield Problem(key, f"'{text}' runs backwards")
            taken = [character for character in FIRST_CHARACTERS[first : last + 1] if character in owner]
            if taken:
                yield Problem(key, f"'{text}' takes {_runs(taken)}, which partition {owner[taken[0]]} already has")
            for character in FIRST_CHARACTERS[first : last + 1]:
                owner.setdefault(character, number)
        for index, symbol in enumerate(partition.symbols):
            key = ("partitions", number, "symbols", index)
            if symbol.startswith(RESERVED_SYMBOLS):
                yield Problem(key, f"{symbol} is reserved: {RESERVED_SYMBOLS}<n> proves partition n")
            elif symbol in exact:
                yield Problem(key, f"{symbol} already belongs to partition {exact[symbol]}")
            exact.setdefault(symbol, number)
    missing = [character for character in FIRST_CHARACTERS if character not in owner]
    if missing:
        yield Problem(("partitions",), f"no range covers symbols that begin with {_runs(missing)}")
    for index, instrument in enumerate(profile.instruments):
        if instrument.symbol.startswith(".") and instrument.symbol not in exact:
            yield Problem(
                ("instruments", index, "symbol"),
                f"{instrument.symbol} begins with a dot, which no range covers; name it in partitions[0].symbols",
            )


def _runs(characters: Sequence[str]) -> str:
    """'A B C X' as 'A-C, X'."""
    runs: list[list[str]] = []
    for character in characters:
        follows = runs and FIRST_CHARACTERS.index(character) == FIRST_CHARACTERS.index(runs[-1][-1]) + 1
        if follows and character.isdigit() == runs[-1][-1].isdigit():
            runs[-1].append(character)
        else:
            runs.append([character])
    return ", ".join(run[0] if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)


def _accounts(profile: Profile) -> Iterator[Problem]:
    seen: set[str] = set()
    for index, account in enumerate(profile.accounts):
        if account in RESERVED_ACCOUNTS:
            yield Problem(("accounts", index), f"'{account}' is reserved for {RESERVED_ACCOUNTS[account]}")
        elif account in seen:
            yield Problem(("accounts", index), f"'{account}' stands here twice")
        seen.add(account)


def _instrument(instrument: Instrument, key: Key, before: set[str]) -> Iterator[Problem]:
    if instrument.symbol.startswith(RESERVED_SYMBOLS):
        yield Problem((*key, "symbol"), f"{instrument.symbol} is reserved: {RESERVED_SYMBOLS}<n> proves partition n")
    if instrument.symbol in before:
        yield Problem((*key, "symbol"), f"{instrument.symbol} stands here twice")
    tick = Decimal(instrument.tick_size)
    if tick == 0:
        yield Problem((*key, "tick_size"), "must be above 0")
    if Decimal(instrument.lot_size) == 0:
        yield Problem((*key, "lot_size"), "must be above 0")
    if tick and Decimal(instrument.base_price) % tick:
        yield Problem(
            (*key, "base_price"), f"{instrument.base_price} is not a multiple of tick_size {instrument.tick_size}"
        )
    elif tick and Decimal(instrument.base_price) / tick > PRICE_TICKS_MAX:
        yield Problem((*key, "base_price"), f"{instrument.base_price} is more than {PRICE_TICKS_MAX} ticks")


def _enabled(profile: Profile, symbols: set[str]) -> Iterator[Problem]:
    seen: set[str] = set()
    for index, symbol in enumerate(profile.trading.enabled_symbols):
        if symbol not in symbols:
            yield Problem(("trading", "enabled_symbols", index), f"{symbol} is not in instruments")
        elif symbol in seen:
            yield Problem(("trading", "enabled_symbols", index), f"{symbol} stands here twice")
        seen.add(symbol)
