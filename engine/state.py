"""The canonical bytes of an engine's state, hashed the same way by both implementations.

In this order: STATE; each instrument as the command that would define it (token 0); each account as ACCOUNT; then per
symbol the bids, best first and oldest first, as ORDER, and the asks likewise.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from hashlib import blake2b

# sequence events trades live client_ids flags instruments accounts
STATE = struct.Struct("<QQQQQQQQ")
# length name
ACCOUNT = struct.Struct("<I44s")
# sequence price quantity leaves last_event account symbol side type tif flags ends
ORDER = struct.Struct("<QqqqQIIBBBBI")
_FIBONACCI = 0x9E3779B97F4A7C15


def ends(expires_ns: int) -> int:
    """Half a hash of when an order ends by the clock; 0 of 0."""
    return (expires_ns * _FIBONACCI & (1 << 64) - 1) >> 32


def flags(halted: bool, rules: int) -> int:
    """As it was while there were rules 1 only: 0 or 1."""
    return halted | (rules - 1) << 8


def digest(parts: Iterable[bytes]) -> int:
    running = blake2b(digest_size=8)
    for part in parts:
        running.update(part)
    return int.from_bytes(running.digest(), "little")
