"""What a plain (unquoted) YAML scalar means. One reading for each, or an error; never a silent second one."""

from __future__ import annotations

import re

Scalar = str | int | float | bool | None

_INTEGER = re.compile(r"0|-?[1-9][0-9]*")
_DECIMAL = re.compile(r"-?(0|[1-9][0-9]*)\.[0-9]+")
_TRUTH = re.compile(r"(?i:yes|no|on|off|true|false)")  # `true` and `false` themselves are taken before
_TRAPS = (
    (re.compile(r"[-+]?0[0-7_]+"), "octal in YAML 1.1, decimal elsewhere"),
    (re.compile(r"[-+]?0[xX][0-9a-fA-F_]+|[-+]?0[bB][01_]+|0[oO][0-7]+"), "a number in another base"),
    (re.compile(r"[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?"), "a number to the base 60 in YAML 1.1"),
    (re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)[eE][-+]?[0-9]+"), "text in YAML 1.1, a number elsewhere"),
    (re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"), "not a finite number"),
    (re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([Tt ].*)?"), "a date in YAML 1.1, text elsewhere"),
    (re.compile(r"[-+]?[0-9][0-9_]*(\.[0-9_]*)?|[-+]?\.[0-9_]+"), "a number written in an unusual way"),
)
_DIGITS_MAX = 19


def plain(text: str) -> Scalar:
    """Raises ValueError with a sentence that says what to write instead."""
    if text in {"", "~", "null"}:
        return None
    if text in {"true", "false"}:
        return text == "true"
    if _INTEGER.fullmatch(text):
        if len(text) > _DIGITS_MAX:
            raise ValueError(f"{text[:20]}... has {len(text)} digits; whole numbers have up to {_DIGITS_MAX}")
        return int(text)
    if _DECIMAL.fullmatch(text):
        if len(text) > 2 * _DIGITS_MAX:
            raise ValueError(f"{text[:20]}... is too long for a number; decimals stand in quotes")
        return float(text)
    if _TRUTH.fullmatch(text):
        truth = "true" if text.lower() in {"yes", "on", "true"} else "false"
        raise ValueError(
            f"{text} is read as {truth} by some and as text by others; write {truth}, or '{text}' in quotes"
        )
    for pattern, reading in _TRAPS:
        if pattern.fullmatch(text):
            raise ValueError(f"{text[:40]} is {reading}; write a plain decimal number, or text in quotes")
    return text
