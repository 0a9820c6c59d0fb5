"""Bodies of POST /orders that must be refused, with the exact code and field; whole HTTP tests send them as well."""

from __future__ import annotations

import json

GOOD = {
    "client_order_id": "c-1", "account": "alice", "symbol": "AAPL", "side": "buy", "type": "limit", "price": "190.25",
    "quantity": "10", "time_in_force": "GTC",
}  # fmt: skip


def body(**changes: object) -> bytes:
    """A good order with changes; a value of `...` leaves the member out."""
    return json.dumps({k: v for k, v in {**GOOD, **changes}.items() if v is not ...}).encode()


def raw(member: str, text: str) -> bytes:
    """A good order in which one member's value is this text, whether it is JSON or not."""
    rest = json.dumps({k: v for k, v in GOOD.items() if k != member})
    return f'{rest[:-1]}, "{member}": {text}}}'.encode()


DOCUMENTS: dict[str, tuple[bytes, str, str | None]] = {
    "empty": (b"", "invalid_json", None),
    "blank": (b" \n\t ", "invalid_json", None),
    "truncated": (body()[:-7], "invalid_json", None),
    "truncated in a string": (b'{"client_order_id": "ab', "invalid_json", None),
    "trailing comma": (body()[:-1] + b",}", "invalid_json", None),
    "trailing data": (body() + b"x", "invalid_json", None),
    "two documents": (body() + body(), "invalid_json", None),
    "comment": (b"/* */" + body(), "invalid_json", None),
    "single quotes": (body().replace(b'"', b"'"), "invalid_json", None),
    "byte order mark": (b"\xef\xbb\xbf" + body(), "invalid_json", None),
    "UTF-16": (body().decode().encode("utf-16"), "invalid_json", None),
    "not UTF-8": (body().replace(b"alice", b"al\xffce"), "invalid_json", None),
    "overlong UTF-8": (body().replace(b"alice", b"al\xc1\xa1ce"), "invalid_json", None),
    "NUL": (b"\0" + body(), "invalid_json", None),
    "control character in a string": (body().replace(b"alice", b"al\x01ce"), "invalid_json", None),
    "deep nesting": (b"[" * 200_000 + b"]" * 200_000, "invalid_json", None),
    "deep nesting in a member": (raw("price", '{"a":' * 100_000 + "1" + "}" * 100_000), "invalid_json", None),
    "leading zero": (raw("quantity", "010"), "invalid_json", None),
    "hexadecimal": (raw("quantity", "0x10"), "invalid_json", None),
    "plus sign": (raw("quantity", "+10"), "invalid_json", None),
    "bare point": (raw("price", ".5"), "invalid_json", None),
    "an array": (b"[" + body() + b"]", "wrong_type", None),
    "a string": (b'"buy"', "wrong_type", None),
    "a number": (b"1", "wrong_type", None),
    "null": (b"null", "wrong_type", None),
    "duplicate member": (body()[:-1] + b', "quantity": "11"}', "duplicate_key", "quantity"),
    "duplicate member of the same value": (body()[:-1] + b', "side": "buy"}', "duplicate_key", "side"),
    "duplicate by an escape": (body()[:-1] + b', "si\\u0064e": "sell"}', "duplicate_key", "side"),
    "duplicate unknown member": (body()[:-1] + b', "x": 1, "x": 1}', "duplicate_key", "x"),
    "unknown member": (body(colour="red"), "unknown_field", "colour"),
    "unknown member, surrogate": (body()[:-1] + b', "\\ud800": 1}', "unknown_field", "\\ud800"),
    "member in other case": (body(Side="buy"), "unknown_field", "Side"),
    "no members": (b"{}", "missing_field", "client_order_id"),
}

MEMBERS: dict[str, tuple[bytes, str, str | None]] = {
    "no client_order_id": (body(client_order_id=...), "missing_field", "client_order_id"),
    "empty client_order_id": (body(client_order_id=""), "bad_value", "client_order_id"),
    "37 characters": (body(client_order_id="a" * 37), "bad_value", "client_order_id"),
    "blank in client_order_id": (body(client_order_id="a b"), "bad_value", "client_order_id"),
    "line feed at the end": (body(client_order_id="ab\n"), "bad_value", "client_order_id"),
    "umlaut": (body(client_order_id="ä"), "bad_value", "client_order_id"),
    "lone surrogate": (raw("client_order_id", '"\\ud800"'), "bad_value", "client_order_id"),
    "NUL in client_order_id": (raw("client_order_id", '"a\\u0000"'), "bad_value", "client_order_id"),
    "numeric client_order_id": (body(client_order_id=7), "wrong_type", "client_order_id"),
    "null client_order_id": (body(client_order_id=None), "wrong_type", "client_order_id"),
    "no account": (body(account=...), "missing_field", "account"),
    "null account": (body(account=None), "missing_field", "account"),
    "unknown account": (body(account="nobody"), "unknown_account", "account"),
    "numeric account": (body(account=1), "wrong_type", "account"),
    "account of 33": (body(account="a" * 33), "bad_value", "account"),
    "no symbol": (body(symbol=...), "missing_field", "symbol"),
    "unknown symbol": (body(symbol="ZZZZ"), "unknown_symbol", "symbol"),
    "lower-case symbol": (body(symbol="aapl"), "bad_value", "symbol"),
    "empty symbol": (body(symbol=""), "bad_value", "symbol"),
    "symbol of 13": (body(symbol="A" * 13), "bad_value", "symbol"),
    "symbol is an object": (body(symbol={"a": 1}), "wrong_type", "symbol"),
    "no side": (body(side=...), "missing_field", "side"),
    "capital side": (body(side="BUY"), "bad_value", "side"),
    "boolean side": (body(side=True), "bad_value", "side"),
    "unknown type": (body(type="stop"), "bad_value", "type"),
    "unknown time in force": (body(time_in_force="GTD"), "bad_value", "time_in_force"),
    "GTT without a time": (body(time_in_force="GTT"), "missing_field", "expires_ns"),
    "DAY with a time": (body(time_in_force="DAY", expires_ns=1 << 62), "not_allowed", "expires_ns"),
    "a time beyond 63 bits": (body(time_in_force="GTT", expires_ns=1 << 63), "bad_value", "expires_ns"),
    "a time of 0": (body(time_in_force="GTT", expires_ns=0), "bad_value", "expires_ns"),
    "a time as text": (body(time_in_force="GTT", expires_ns="1796000000000000000"), "wrong_type", "expires_ns"),
    "lower-case time in force": (body(time_in_force="gtc"), "bad_value", "time_in_force"),
    "self_trade of another name": (body(self_trade="newest"), "bad_value", "self_trade"),
    "self_trade as number": (body(self_trade=4), "bad_value", "self_trade"),
    "post_only as text": (body(post_only="true"), "wrong_type", "post_only"),
    "post_only as number": (body(post_only=1), "wrong_type", "post_only"),
    "null post_only": (body(post_only=None), "wrong_type", "post_only"),
    "post-only IOC": (body(post_only=True, time_in_force="IOC"), "not_allowed", "post_only"),
    "post-only market": (
        body(post_only=True, type="market", price=..., time_in_force="IOC"),
        "not_allowed",
        "post_only",
    ),
    "market with a price": (body(type="market", time_in_force="IOC"), "not_allowed", "price"),
    "market GTC": (body(type="market", price=...), "not_allowed", "time_in_force"),
    "limit without a price": (body(price=...), "missing_field", "price"),
    "limit with a null price": (body(price=None), "missing_field", "price"),
    "no quantity": (body(quantity=...), "missing_field", "quantity"),
    "null quantity": (body(quantity=None), "wrong_type", "quantity"),
}

_NUMBERS: dict[str, tuple[str, str]] = {
    "NaN": ("NaN", "not_a_number"),
    "Infinity": ("Infinity", "not_a_number"),
    "minus Infinity": ("-Infinity", "not_a_number"),
    "NaN as text": ('"NaN"', "not_a_number"),
    "infinity as text": ('"inf"', "not_a_number"),
    "1e400": ("1e400", "too_large"),
    "1e400 as text": ('"1e400"', "not_a_number"),
    "an exponent beyond anything": ("1e99999999999999999999", "not_a_number"),
    "1e-400": ("1e-400", "not_a_multiple"),
    "negative": ("-1", "not_positive"),
    "negative as text": ('"-1"', "not_positive"),
    "negative fraction": ("-0.01", "not_positive"),
    "zero": ("0", "not_positive"),
    "zero as text": ('"0.00"', "not_positive"),
    "negative zero": ("-0.0", "not_positive"),
    "2^63": ("9223372036854775808", "too_large"),
    "2^63 as text": ('"9223372036854775808"', "too_large"),
    "2^64": ("18446744073709551616", "too_large"),
    "four thousand digits": ("9" * 4000, "too_large"),
    "a hundred thousand digits": ("9" * 100_000, "too_large"),
    "digits as text": ('"' + "9" * 5000 + '"', "not_a_number"),
    "empty text": ('""', "not_a_number"),
    "blank around": ('" 1 "', "not_a_number"),
    "underscore": ('"1_000"', "not_a_number"),
    "thousands comma": ('"1,000"', "not_a_number"),
    "other digits": ('"\\u0661"', "not_a_number"),
    "plus as text": ('"+1"', "not_a_number"),
    "two points": ('"1.2.3"', "not_a_number"),
    "hexadecimal text": ('"0x1"', "not_a_number"),
    "true": ("true", "wrong_type"),
    "array": ("[1]", "wrong_type"),
    "object": ('{"a": 1}', "wrong_type"),
}

NUMBERS: dict[str, tuple[bytes, str, str | None]] = {
    f"{name} as {member}": (raw(member, text), code, member)
    for name, (text, code) in _NUMBERS.items()
    for member in ("price", "quantity")
} | {
    "off-tick": (body(price="190.255"), "not_a_multiple", "price"),
    "off-tick number": (raw("price", "190.255"), "not_a_multiple", "price"),
    "off-lot": (body(quantity="0.5"), "not_a_multiple", "quantity"),
    "off-lot number": (raw("quantity", "1.00000000001"), "not_a_multiple", "quantity"),
    "one tick above the largest price": (body(price="10995116277.77"), "too_large", "price"),
    "one lot above the largest quantity": (body(quantity=str((1 << 53) + 1)), "too_large", "quantity"),
}

BAD = DOCUMENTS | MEMBERS | NUMBERS
