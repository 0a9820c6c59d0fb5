"""The encoders give what PostgreSQL reads back; the compiled one gives the same bytes as the plain one."""

import random

import pytest

from engine.records import EVENT, EVENT_BYTES
from stack.persister import rows


def _strange_events(count: int) -> bytes:
    rng = random.Random(7)
    texts = [b"", b"plain-1", b"\xff\xfe", "é".encode() * 22, b"a\0b", bytes(44), b"x" * 44, b"\xc3"]
    return b"".join(
        EVENT.pack(
            *(rng.getrandbits(64) for _ in range(4)), *(rng.getrandbits(64) - (1 << 63) for _ in range(3)),
            rng.getrandbits(64), *(rng.getrandbits(32) for _ in range(3)), *(rng.getrandbits(8) for _ in range(6)),
            0, rng.choice(texts),
        )
        for _ in range(count)
    )  # fmt: skip


def test_both_encoders_give_the_same_bytes():
    compiled = pytest.importorskip("stack.persister._rows", reason="no C compiler where this was built")
    events = _strange_events(500)
    assert compiled.encode(3, events) == rows.encode_plain(3, events)
    assert compiled.encode(0, b"") == rows.encode_plain(0, b"") == b""


@pytest.mark.parametrize(
    ("accounts", "orders"), [(1, 0), (1, 1), (1, 400), (1, 401), (3, 1_700), (900, 2_000), (1 << 31, 50)]
)
def test_both_encoders_of_lists_give_the_same_bytes(accounts: int, orders: int):
    compiled = pytest.importorskip("stack.persister._rows", reason="no C compiler where this was built")
    rng = random.Random(orders)
    kinds, sequence, events = [1, 1, 1, 2, 3, 5], 10**12, []
    for _ in range(2 * orders):
        sequence += rng.randint(1, 5)
        event = (
            sequence,
            sequence,
            1,
            0,
            1,
            1,
            1,
            0,
            rng.randint(1, accounts),
            1,
            0,
            rng.choice(kinds),
            1,
            1,
            1,
            0,
            0,
            0,
            b"",
        )
        events.append(EVENT.pack(*event))
    pieces = [b"".join(events[: orders // 3]), b"".join(events[orders // 3 :])]
    assert compiled.encode_lists(3, pieces) == rows.encode_lists_plain(3, pieces)


def test_half_an_event_is_refused():
    compiled = pytest.importorskip("stack.persister._rows", reason="no C compiler where this was built")
    with pytest.raises(ValueError, match="no whole number of events"):
        compiled.encode(0, bytes(EVENT_BYTES + 1))
