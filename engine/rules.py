"""Which rules a command needs, and what a NEW may carry under which.

A journal begins under rules 1, and a command of it never means anything else than it meant when it was written: what older
rules refuse they refuse for ever. Newer ones come into force by the command ADOPT_RULES, which whoever writes the journal
puts before the first command that needs them (`rules_needed`). So a journal in which nothing new was used can still be read by the
engine that wrote it before an upgrade, and one in which something was cannot be misread.

`rules.pxd` says the same for C.
"""

from __future__ import annotations

from engine.records import POST_ONLY, SELF_TRADE_FLAGS, CommandKind, TimeInForce

_NEW = int(CommandKind.NEW)
_TIF, _FLAGS = 3, 4  # offsets
_BY_THE_CLOCK = frozenset((int(TimeInForce.DAY), int(TimeInForce.GTT)))


def order_flags(rules: int) -> int:
    """Those that a NEW may carry."""
    return POST_ONLY if rules < 2 else POST_ONLY | SELF_TRADE_FLAGS


def times_in_force(rules: int) -> int:
    """The last that a NEW may carry."""
    return TimeInForce.FOK if rules < 3 else TimeInForce.GTT


def rules_needed(command: bytes) -> int:
    """By an encoded command. 1 also for what no rules know: that is refused under all of them."""
    if command[0] != _NEW:
        return 1
    if command[_TIF] in _BY_THE_CLOCK:
        return 3
    return 2 if command[_FLAGS] & SELF_TRADE_FLAGS else 1
