"""A persister that was away for long: a list says so instead of skipping orders."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from stack.gateway.errors import ApiError
from stack.gateway.recent import EVENTS_MAX, accepted_since
from stack.wire.link import Answer


class FarAhead:
    """An engine that has done more than one request can read; a real one would need minutes to get there."""

    number = 0

    def __init__(self, end: int) -> None:
        self.end = end
        self.asked: list[dict[str, Any]] = []

    async def query(self, name: str, **fields: Any) -> Answer:
        assert name == "events"
        self.asked.append(fields)
        return Answer({"next": min(fields["from"] + fields["limit"], self.end), "end": self.end}, b"")


def changed(engine: FarAhead, ordinal: int) -> list[Any]:
    return asyncio.run(accepted_since(engine, ordinal, 1, 0, 0))  # type: ignore[arg-type]


def test_too_far_behind_is_503_with_a_code_and_numbers() -> None:
    with pytest.raises(ApiError, match=f"PostgreSQL is {EVENTS_MAX + 1} events behind engine 0") as caught:
        changed(FarAhead(7 + EVENTS_MAX + 1), 7)
    assert (caught.value.code, caught.value.status, caught.value.headers()) == (
        "history_behind",
        503,
        {"Retry-After": "1"},
    )


def test_as_far_as_allowed_everything_is_read_once() -> None:
    engine = FarAhead(7 + EVENTS_MAX)
    assert changed(engine, 7) == []
    starts = [fields["from"] for fields in engine.asked]
    assert starts == list(range(7, 7 + EVENTS_MAX, engine.asked[0]["limit"]))
