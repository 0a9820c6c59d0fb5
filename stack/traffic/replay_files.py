"""Captured market activity as a stream of actions. Which kind of file it is, its first bytes tell.

DBN (order by order, `MBO`; Databento): an add is a limit order, a modify a replace, a cancel a cancel. A trade is an
immediate-or-cancel order of the aggressor, whose side the record carries; of the opening auction it has none, and a
continuous book has no auction, so those are left out and the cancels that followed them are ordinary ones. A fill, and the
cancel of a filled order that follows it, is what the venue's book did: not a command but a result to compare.

Raw websocket lines of Binance (`<ns> <json>`, gzip): each trade is a resting limit order of the maker's side and an
opposite immediate-or-cancel order.
"""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any, NamedTuple

_PRICE_SCALE = 9  # of DBN: prices are in 1e-9
_ZSTANDARD = b"\x28\xb5\x2f\xfd"
_GZIP = b"\x1f\x8b"


class Kind(Enum):
    PLACE = "place"
    CANCEL = "cancel"
    REPLACE = "replace"
    FILL = "fill"  # of a resting order, as captured


class Action(NamedTuple):
    kind: Kind
    order: int  # the venue's number of the order; 0: nothing refers to it later
    side: str = ""
    time_in_force: str = "GTC"
    price: str = ""
    quantity: str = ""  # of a replace: what is to be open after it


class UnknownFile(Exception):
    """Not a file of a kind we can replay."""


class Capture:
    """A captured file; `left_out` counts what is no action and why, when it has been read to its end."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.left_out: Counter[str] = Counter()
        with path.open("rb") as file:
            magic = file.read(4)
        if magic == _ZSTANDARD or magic[:3] == b"DBN":
            self.format = "dbn"
        elif magic[:2] == _GZIP:
            self.format = "binance"
        else:
            raise UnknownFile(f"{path}: neither DBN (plain or zstandard) nor gzip with lines of a websocket")

    def actions(self, symbol: str) -> Iterator[Action]:
        """Those of one symbol; others are counted in `left_out`."""
        return self._dbn(symbol) if self.format == "dbn" else self._binance(symbol)

    def symbols(self) -> list[str]:
        """Of a DBN file: what it says it holds. Of a websocket capture: the symbol of the first trade."""
        if self.format == "dbn":
            return sorted(set(self._instruments(next(self._records())).values()))
        for _, message in self._trades():
            return [message["s"]]
        return []

    def _records(self) -> Iterator[Any]:
        import databento_dbn  # only who replays such a file pays for it
        import zstandard

        decoder = databento_dbn.DBNDecoder()
        with self.path.open("rb") as file:
            packed = file.read(4) == _ZSTANDARD
            file.seek(0)
            source = zstandard.ZstdDecompressor().stream_reader(file) if packed else file
            while data := source.read(1 << 20):
                decoder.write(data)
                yield from decoder.decode()

    @staticmethod
    def _instruments(metadata: Any) -> dict[int, str]:
        return {
            int(interval["symbol"]): name
            for name, intervals in metadata.mappings.items()
            for interval in intervals
            if interval["symbol"].isdigit()
        }

    def _dbn(self, symbol: str) -> Iterator[Action]:
        records = self._records()
        instruments = self._instruments(next(records))
        filled: set[int] = set()  # orders whose next cancel is the result of a fill
        auction = False
        for record in records:
            action, order = str(record.action), record.order_id
            if instruments.get(record.instrument_id) != symbol:
                self.left_out["another instrument"] += 1
                continue
            price = f"{Decimal(record.price).scaleb(-_PRICE_SCALE):f}"
            quantity = str(record.size)
            side = {"B": "buy", "A": "sell"}.get(str(record.side), "")
            if action == "A":
                yield Action(Kind.PLACE, order, side, "GTC", price, quantity)
            elif action == "M":
                filled.discard(order)
                yield Action(Kind.REPLACE, order, side, "GTC", price, quantity)
            elif action == "C" and order in filled:
                filled.discard(order)
                self.left_out["cancel that is the result of a fill"] += 1
            elif action == "C":
                yield Action(Kind.CANCEL, order)
            elif action == "T":
                auction = not side
                if auction:
                    self.left_out["trade of an auction"] += 1
                else:
                    yield Action(Kind.PLACE, 0, side, "IOC", price, quantity)
            elif action == "F" and auction:
                self.left_out["fill of an auction"] += 1
            elif action == "F":
                filled.add(order)
                yield Action(Kind.FILL, order, side, price=price, quantity=quantity)
            else:
                self.left_out[f"action {action}"] += 1

    def _binance(self, symbol: str) -> Iterator[Action]:
        for number, message in self._trades():
            if message["s"] != symbol:
                self.left_out["another symbol"] += 1
                continue
            maker, taker = ("buy", "sell") if message["m"] else ("sell", "buy")
            yield Action(Kind.PLACE, number, maker, "GTC", message["p"], message["q"])
            yield Action(Kind.PLACE, 0, taker, "IOC", message["p"], message["q"])

    def _trades(self) -> Iterator[tuple[int, Any]]:
        self.left_out.clear()
        with gzip.open(self.path, "rt", encoding="ascii") as lines:
            for number, line in enumerate(lines, 1):
                stamp, _, text = line.partition(" ")
                if not stamp.isdigit():
                    raise UnknownFile(f"{self.path}:{number}: expected `<ns> <json>`")
                message = json.loads(text).get("data", {})
                if message.get("e") == "trade":
                    yield number, message
                else:
                    self.left_out["no trade"] += 1
