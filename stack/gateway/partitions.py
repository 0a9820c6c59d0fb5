"""Which partition owns a symbol: an exact name beats a range of first characters; `PROOF.<n>` is always partition n's."""

from __future__ import annotations

from collections.abc import Iterable

from stack.settings import PartitionSettings

PROOF = "PROOF."


class MapError(ValueError):
    """The partition map of the settings contradicts itself."""


class PartitionMap:
    def __init__(self, partitions: Iterable[PartitionSettings]) -> None:
        self._symbols: dict[str, int] = {}
        self._first: dict[str, int] = {}
        self.partitions: list[int] = []
        for entry in partitions:
            number = entry.partition
            if number in self.partitions:
                raise MapError(f"partition {number} stands twice in the map")
            self.partitions.append(number)
            for symbol in entry.symbols:
                self._claim(self._symbols, symbol, number)
            for text in entry.ranges:
                low, dash, high = text.partition("-")
                if not dash or len(low) != 1 or len(high) != 1 or low > high:
                    raise MapError(f"partition {number}: {text!r} is no range of first characters such as A-G")
                for code in range(ord(low), ord(high) + 1):
                    self._claim(self._first, chr(code), number)

    def _claim(self, table: dict[str, int], name: str, number: int) -> None:
        other = table.setdefault(name, number)
        if other != number:
            raise MapError(f"partitions {other} and {number} both own {name}")

    def owner(self, symbol: str) -> int | None:
        """None when no partition owns it."""
        if symbol.startswith(PROOF):
            rest = symbol[len(PROOF) :]
            number = int(rest) if rest.isascii() and rest.isdigit() else -1
            return number if number in self.partitions and rest == str(number) else None
        found = self._symbols.get(symbol)
        return found if found is not None else self._first.get(symbol[:1])
