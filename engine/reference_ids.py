"""Which ids of clients were used, over two generations.

A client_order_id names one NEW command of one account and symbol; a request_id names one REPLACE command of one
account. `roll` makes the younger generation the older one and forgets the older, ids of live orders excepted: those
join the now older one. request_ids are never carried on.
"""

from __future__ import annotations

from collections.abc import Container

from engine.invariant import hold
from engine.records import Command, CommandKind, TimeInForce

Key = tuple[int, int, int, bytes]
Body = tuple[int, ...]


class ClientIds:
    def __init__(self) -> None:
        self._younger: dict[Key, tuple[int, Body]] = {}
        self._older: dict[Key, tuple[int, Body]] = {}

    @property
    def count(self) -> int:
        """Of the younger generation."""
        return len(self._younger)

    def known(self, command: Command) -> tuple[int, Body] | None:
        """The sequence and body of the command that used this command's id."""
        key = _key(command)
        return None if key is None else self._younger.get(key) or self._older.get(key)

    def find(self, command: Command) -> int:
        known = self.known(command)
        if known is None:
            return 0
        sequence, body = known
        return sequence if body == _body(command) else -sequence

    def remember(self, command: Command, sequence: int) -> None:
        key = _key(command)
        if key is not None:
            self._younger[key] = (sequence, _body(command))

    def roll(self, live: Container[int]) -> None:
        kept = {key: used for key, used in self._older.items() if used[0] in live}
        self._older = self._younger | kept
        self._younger = {}

    def check(self) -> None:
        hold(not self._younger.keys() & self._older.keys(), "an id stands in both generations")


def _key(command: Command) -> Key | None:
    """None when the command carries no id: then nothing is remembered and nothing is a duplicate."""
    if command.text and command.kind == CommandKind.NEW:
        return (command.kind, command.account, command.symbol, command.text)
    if command.text and command.kind == CommandKind.REPLACE:
        return (command.kind, command.account, 0, command.text)
    return None


def _body(command: Command) -> Body:
    return (
        command.side,
        command.type,
        command.tif,
        command.flags,
        command.price,
        command.quantity,
        command.target,
        command.extra if command.kind == CommandKind.NEW and command.tif == TimeInForce.GTT else 0,
    )
