"""Seeded bodies for POST /orders: honest ones, written in many ways, and mutations of them down to single bytes."""

from __future__ import annotations

import json
import random

from stack.wire.decimals import Step
from stack.wire.tables import Listed, Tables

STEPS = {
    "AAPL": ("0.01", "1"),
    "BTCUSD": ("0.01", "0.00000001"),
    "XRPUSD": ("0.0001", "0.01"),
    "ESH4": ("0.25", "1"),
    "BIG": ("1000", "250"),
    "ODD.7": ("0.000000000000000007", "3"),
    "PROOF.0": ("1", "1"),
}
TABLES = Tables(
    [Listed(n, s, Step.parse(t), Step.parse(q), "USD", "open") for n, (s, (t, q)) in enumerate(STEPS.items(), 1)],
    [(1, "alice"), (2, "bob"), (3, "a.b_c-D"), (4, "x" * 32)],
)
ACCOUNTS = list(TABLES.account_ids)
BLANKS = ["", "", "", " ", "\n", "\t ", " \r\n"]


def number(chance: random.Random, step: Step) -> str:
    """The text of a price or quantity: usually so many steps, sometimes anything that looks like a number."""
    if chance.random() < 0.9:
        text = step.text(
            chance.choice([1, 7, 100, 19025, *(chance.randrange(1, 1 << bits) for bits in (20, 20, 30, 40, 54))])
        )
        if chance.random() < 0.15:
            text += "0" * chance.randrange(1, 5) if "." in text else ".0"
        if chance.random() < 0.05:
            text = "0" * chance.randrange(1, 4) + text
        return text
    return chance.choice(
        ["0", "-1", "-0", "0.0", "00", "1e3", "1E-2", "1.", ".5", "+1", "NaN", "Infinity", "1e400", str(1 << 63),
         str((1 << 40) + 1), "0.005", "1_000", " 1", "1 ", "9" * 18, "9" * 19, "9" * 40, "0.1234567", "123456789.123456789"]
    )  # fmt: skip


def document(chance: random.Random) -> dict[str, str]:
    """Members and their JSON text."""
    symbol = chance.choice(list(STEPS))
    tick, lot = (Step.parse(text) for text in STEPS[symbol])
    market = chance.random() < 0.2
    members = {
        "client_order_id": json.dumps(f"c:{chance.randrange(10**9)}" + "z" * chance.randrange(3)),
        "account": json.dumps(chance.choice(ACCOUNTS)),
        "symbol": json.dumps(symbol),
        "side": json.dumps(chance.choice(["buy", "sell"])),
        "type": '"market"' if market else '"limit"',
        "price": number(chance, tick),
        "quantity": number(chance, lot),
        "time_in_force": json.dumps(
            chance.choice(["IOC", "FOK"] if market else ["GTC", "GTC", "IOC", "FOK", "DAY", "GTT", "GTT"])
        ),
        "expires_ns": chance.choice(
            ["1796000000000000000", str((1 << 63) - 1), str(chance.randrange(1, 1 << 63)), "7"]
        ),
        "post_only": chance.choice(["true", "false", "false", "false"]),
        "self_trade": chance.choice(['"cancel_newest"', '"cancel_oldest"', '"cancel_both"', "null"]),
    }
    for name in ("price", "quantity"):
        if chance.random() < 0.7:
            members[name] = f'"{members[name]}"'
    by_the_clock = members["time_in_force"] == '"GTT"'
    if chance.random() < 0.03:
        members["expires_ns"] = chance.choice(
            ["0", "-1", "01", "1.0", "1e3", '"9"', "true", str(1 << 63), "9" * 20, str(1 << 64)]
        )
    for name, likely in (
        ("account", 0.1),
        ("time_in_force", 0.05 if by_the_clock else 0.3),
        ("post_only", 0.6),
        ("self_trade", 0.6),
        ("expires_ns", 0.05 if by_the_clock else 0.995),
        ("price", 0.9 if market else 0.02),
    ):
        if chance.random() < likely:
            members.pop(name)
    if chance.random() < 0.1:
        members[
            chance.choice(["account", "price", "time_in_force", "time_in_force", "post_only", "self_trade", "side"])
        ] = "null"
    return members


def written(chance: random.Random, members: dict[str, str]) -> str:
    blank = lambda: chance.choice(BLANKS)  # noqa: E731
    pairs = list(members.items())
    if chance.random() < 0.5:
        chance.shuffle(pairs)
    inside = ",".join(f"{blank()}{json.dumps(name)}{blank()}:{blank()}{value}{blank()}" for name, value in pairs)
    return f"{blank()}{{{inside}}}{blank()}"


def mutated(chance: random.Random, body: bytes) -> bytes:
    """One to three small harms to a body."""
    data = bytearray(body)
    for _ in range(chance.randrange(1, 4)):
        at = chance.randrange(len(data) + 1)
        harm = chance.randrange(6)
        if harm == 0 and at < len(data):
            data[at] = chance.choice([chance.randrange(256), *b'"\\{}[],:0eE.-+ntf '])
        elif harm == 1:
            del data[at : at + chance.choice([1, 1, 2, 8])]
        elif harm == 2:
            data[at:at] = chance.choice(
                [b'"', b"\\u0031", b"\\", b",", b"0", b"e2", b" ", b"\xc3\xa9", b"{", b"]", b"\0"]
            )
        elif harm == 3:
            del data[at:]
        elif harm == 4:  # a member once more, or one that nobody knows
            more = chance.choice([b'"side":"buy",', b'"price":1,', b'"sides":"buy",', b'"":1,', b'"Side":"buy",'])
            at = data.find(b"{") + 1
            data[at:at] = more
        else:  # a value of another type
            more = chance.choice(
                [b"true", b"null", b"[]", b"{}", b'"x"', b"0.5", b'"GTC"', b'"buy"', b'"cancel_both"', b'"limit"']
            )
            at = data.find(b":", at) + 1
            data[at : data.find(b",", at)] = more
    return bytes(data)


def bodies(seed: int, count: int) -> list[bytes]:
    chance = random.Random(seed)
    made = []
    for _ in range(count):
        body = written(chance, document(chance)).encode()
        made.append(mutated(chance, body) if chance.random() < 0.4 else body)
    return made
