"""Decimals outside, whole ticks and lots inside, exactly; no float on the way.

A number comes as text, `int` or `Decimal` (JSON numbers are parsed as decimals). Text is digits with at most one point
in between ("100", "0.25"): no sign, no exponent, no blanks. A `Decimal` may have been written with an exponent, because
JSON allows that; its value counts. Going out, trailing zeros and a bare point are dropped: "100", "100.5", as
PostgreSQL's `trim_scale` does.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import NamedTuple

_PLAIN = re.compile(r"([0-9]{1,32})(?:\.([0-9]{1,32}))?", re.ASCII)
_SIGNED = re.compile(r"-[0-9]", re.ASCII)
_EXPONENT_MAX = 64  # beyond it no multiple of a step is left, and 10**n would be a large number to build


class NumberError(ValueError):
    """A number that cannot be a price or quantity here."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code  # not_a_number | not_positive | not_a_multiple | too_large
        self.message = message


def exact(value: object) -> tuple[int, int]:
    """(mantissa, scale) with value = mantissa * 10**-scale; raises NumberError."""
    if isinstance(value, str):
        found = _PLAIN.fullmatch(value)
        if found is None:
            if _SIGNED.match(value):
                raise NumberError("not_positive", f"{_short(value)} is not above zero")
            raise NumberError(
                "not_a_number", f"{_short(value)} is no decimal number; write digits with at most one point, as 100.25"
            )
        whole, part = found[1], found[2] or ""
        return int(whole + part), len(part)
    if isinstance(value, bool):
        raise NumberError("not_a_number", "true and false are no numbers")
    if isinstance(value, int):
        if value.bit_length() > 256:  # before it becomes text: that takes long, or fails, for the largest
            raise NumberError("too_large", "the number is too large")
        if value < 0:
            raise NumberError("not_positive", f"{_short(value)} is not above zero")
        return value, 0
    if isinstance(value, Decimal):
        sign, digits, exponent = value.as_tuple()
        if not isinstance(exponent, int):
            raise NumberError("not_a_number", f"{value} is no decimal number")
        if sign and any(digits):
            raise NumberError("not_positive", f"{_short(value)} is not above zero")
        if exponent > _EXPONENT_MAX or len(digits) > _EXPONENT_MAX:
            raise NumberError("too_large", f"{_short(value)} is too large")
        if exponent < -_EXPONENT_MAX:
            raise NumberError("not_a_multiple", f"{_short(value)} has too many digits after the point")
        mantissa = int("".join(map(str, digits)))
        return (mantissa, -exponent) if exponent < 0 else (mantissa * 10**exponent, 0)
    raise NumberError("not_a_number", f"a {type(value).__name__} is no decimal number")


class Step(NamedTuple):
    """The size of one tick or lot: mantissa * 10**-scale, in lowest terms."""

    mantissa: int
    scale: int

    @classmethod
    def parse(cls, value: object) -> Step:
        """Of a tick_size or lot_size; raises NumberError."""
        mantissa, scale = exact(value)
        if mantissa == 0:
            raise NumberError("not_positive", f"{_short(value)} is not above zero")
        while scale and mantissa % 10 == 0:
            mantissa, scale = mantissa // 10, scale - 1
        if scale > 18 or mantissa >= 1 << 63:
            raise NumberError("too_large", f"{_short(value)} does not fit: at most 18 digits after the point")
        return cls(mantissa, scale)

    def steps(self, value: object, limit: int) -> int:
        """How many steps `value` is: from 1 to `limit`. Raises NumberError."""
        mantissa, scale = exact(value)
        if mantissa == 0:
            raise NumberError("not_positive", f"{_short(value)} is not above zero")
        count: int
        if scale > self.scale:
            count, rest = divmod(mantissa, self.mantissa * 10 ** (scale - self.scale))
        else:
            count, rest = divmod(mantissa * 10 ** (self.scale - scale), self.mantissa)
        if rest:
            raise NumberError("not_a_multiple", f"{_short(value)} is not a multiple of {self}")
        if count > limit:
            raise NumberError("too_large", f"{_short(value)} is above the largest allowed, {self.text(limit)}")
        return count

    def text(self, steps: int) -> str:
        """The decimal of so many steps."""
        return decimal_text(steps * self.mantissa, self.scale)

    def __str__(self) -> str:
        return self.text(1)


def decimal_text(mantissa: int, scale: int) -> str:
    """mantissa * 10**-scale as plain text without trailing zeros; mantissa >= 0."""
    if scale == 0:
        return str(mantissa)
    digits = str(mantissa).rjust(scale + 1, "0")
    part = digits[-scale:].rstrip("0")
    return f"{digits[:-scale]}.{part}" if part else digits[:-scale]


def _short(value: object) -> str:
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
