"""What a command from outside must look like before the engine sees it: the specification for session_frames.pyx.

The engine checks what a command means. Checked here is what HTTP's own model guarantees: that the session may act for the
account, that a new order and a replace carry an id which a look-up can name, that fields without a meaning are 0 (a later
release may give them one), and that the kind is one that clients may send.

Account 0 is the session's own. A session without one, an operator's for every account, names it, but for CANCEL: there 0
means whosesoever.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from engine.records import COMMAND, CommandKind, TimeInForce
from stack.wire.frames import Outcome

_ID = re.compile(rb"[A-Za-z0-9_.:-]{1,36}")
_GTT = int(TimeInForce.GTT)
_NO_TEXT = bytes(44)
_ACCOUNT = slice(8, 12)
_NEW, _CANCEL = int(CommandKind.NEW), int(CommandKind.CANCEL)
_REPLACE, _MASS_CANCEL = int(CommandKind.REPLACE), int(CommandKind.MASS_CANCEL)


class Rights(NamedTuple):
    account: int  # the session's own; 0: every account
    operator: bool


def checked(command: bytes, rights: Rights) -> bytes | Outcome:
    """The command to submit, its account filled in; or why it is not taken. The token is not looked at."""
    (kind, side, type_, tif, flags, length, spare, account, symbol, price, quantity, target, extra, text, _token) = (
        COMMAND.unpack(command)
    )
    unused: tuple[int, ...]
    if kind == _NEW:
        unused = (spare, target, 0 if tif == _GTT else extra)
    elif kind == _CANCEL:
        unused = (side, type_, tif, flags, length, spare, symbol, price, quantity, extra)
    elif kind == _REPLACE:
        unused = (side, type_, tif, flags, spare, symbol, extra)
    elif kind == _MASS_CANCEL:
        unused = (side, type_, tif, flags, length, spare, price, quantity, target, extra)
    else:
        return Outcome.INVALID
    if any(unused) or text[length:] != _NO_TEXT[length:]:
        return Outcome.INVALID
    if kind in (_NEW, _REPLACE) and not _ID.fullmatch(text[:length]):
        return Outcome.INVALID
    acts_for = account
    if account == 0 and not (rights.operator and kind == _CANCEL):
        acts_for = rights.account
        if acts_for == 0:
            return Outcome.INVALID
    if rights.account not in (0, acts_for) and not (rights.operator and kind != _NEW):
        return Outcome.FORBIDDEN
    if acts_for == account:
        return command
    return b"".join((command[: _ACCOUNT.start], acts_for.to_bytes(4, "little"), command[_ACCOUNT.stop :]))
