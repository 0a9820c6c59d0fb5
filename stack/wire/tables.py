"""What a partition's numbers mean: the instruments and accounts of WELCOME and of the query `tables`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from stack.wire.decimals import Step


class Listed(NamedTuple):
    """One instrument as its engine lists it."""

    id: int
    symbol: str
    tick: Step
    lot: Step
    currency: str
    state: str  # open | halted
    base_ticks: int = 0  # lowest tick of the book's dense window; the engine's own business, not in JSON

    def as_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "symbol": self.symbol,
            "tick_size": str(self.tick),
            "lot_size": str(self.lot),
            "currency": self.currency,
            "state": self.state,
        }


class Tables:
    def __init__(self, instruments: Iterable[Listed] = (), accounts: Iterable[tuple[int, str]] = ()) -> None:
        self.instruments = {listed.id: listed for listed in instruments}
        self.symbols = {listed.symbol: listed for listed in self.instruments.values()}
        self.accounts = dict(accounts)  # id -> name
        self.account_ids = {name: number for number, name in self.accounts.items()}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Tables:
        return cls(
            (
                Listed(
                    item["id"],
                    item["symbol"],
                    Step.parse(item["tick_size"]),
                    Step.parse(item["lot_size"]),
                    item["currency"],
                    item["state"],
                )
                for item in document["instruments"]
            ),
            ((item["id"], item["account"]) for item in document["accounts"]),
        )

    def as_json(self) -> dict[str, Any]:
        return {
            "instruments": [listed.as_json() for listed in self.instruments.values()],
            "accounts": [{"id": number, "account": name} for number, name in self.accounts.items()],
        }
