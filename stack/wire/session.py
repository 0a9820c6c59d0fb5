"""What both ends of the binary door agree on, beside the frames; the whole format stands in docs/binary-session.md.

A SUBMIT frame is answered by REPLIES frames with its request id: one reply per command, in the order of the commands,
in as few frames as REPLIES_BYTES allows. Frames of different SUBMITs come in any order.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from engine.records import COMMAND_BYTES
from stack.wire.tables import Tables

COMMANDS_MAX = 4096  # of one SUBMIT
OPEN_MAX = 65_536  # commands of one session without a reply, above which the engine reads no more from it
HELLO_BYTES_MAX = 4096  # of any frame before WELCOME
FRAME_BYTES_MAX = COMMANDS_MAX * COMMAND_BYTES  # of any frame to the engine
REPLIES_BYTES = 8 << 20  # a REPLIES frame ends with the reply that reaches this


class Hello(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The first frame of a client. Unknown members are refused, so that nobody believes in a feature that is not there."""

    protocol: int
    client: str
    key: str | None = None


class Limits(msgspec.Struct, frozen=True):
    commands_max: int
    open_max: int
    frame_bytes_max: int


class WelcomeDocument(msgspec.Struct, frozen=True):
    """The answer to HELLO, beside the tables' members."""

    protocol: int
    session: str  # of this connection, for logs and support
    partition: int
    epoch: int
    rules_version: int
    sequence: int  # durable when the session began
    halted: bool
    role: str  # trader | operator
    account: int  # the session's own, which account 0 of a command means; 0: it names accounts itself
    limits: Limits


class Welcome(NamedTuple):
    about: WelcomeDocument
    tables: Tables
