"""JSON read strictly: UTF-8, one document, no member twice, numbers as exact decimals.

Python's own parser is used because it is the one that tells about duplicate members and hands every number over as it
was written. NaN and Infinity, which it accepts, become decimals that no field takes, so that the error names the field.
"""

from __future__ import annotations

import json
from decimal import Decimal, InvalidOperation
from typing import Any

from stack.gateway.errors import ApiError, shown

_SMALL_DIGITS = 40  # longer integers stay decimals: int() refuses thousands of digits, and takes its time


def read(body: bytes) -> Any:
    """The document in `body`; raises ApiError."""
    try:
        return _decoder.decode(body.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise ApiError("invalid_json", f"the body is not UTF-8 (byte {error.start})") from error
    except json.JSONDecodeError as error:
        where = "the body is empty" if not body.strip() else f"{error.msg} at character {error.pos}"
        if body.startswith(b"\xef\xbb\xbf"):
            where = "the body begins with a byte order mark; send plain UTF-8"
        raise ApiError("invalid_json", f"the body is not one JSON document: {where}") from error
    except RecursionError as error:
        raise ApiError("invalid_json", "the body is nested too deeply") from error


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise ApiError("duplicate_key", f"{shown(name)!r} stands twice in one object", shown(name))
            seen.add(name)
    return members


def _integer(text: str) -> int | Decimal:
    return int(text) if len(text) <= _SMALL_DIGITS else Decimal(text)


def _decimal(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:  # an exponent beyond anything: no number that we could hold
        return Decimal("-Infinity" if text.startswith("-") else "Infinity")


_decoder = json.JSONDecoder(
    object_pairs_hook=_members, parse_int=_integer, parse_float=_decimal, parse_constant=Decimal
)
