"""The compiled reading of sessions against the plain one, and what both keep to."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.records import COMMAND, COMMAND_BYTES, EVENT_BYTES, Side, TimeInForce
from stack.matcher import commits
from stack.matcher.session_commands import Rights, checked
from stack.matcher.start import lock_data
from stack.wire.frames import HEADER, REPLY, FrameType, Outcome, frame
from tests.stack.matcher import fuzz_session
from tests.stack.matcher.engines import new, opened

compiled = pytest.importorskip("stack.matcher.session_frames", reason="the extensions are not built")

RIGHTS = st.sampled_from([Rights(0, True), Rights(1, False), Rights(1, True)])
SMALL = st.sampled_from([0, 0, 0, 1, 2, 255])
COMMANDS = st.builds(
    lambda kind, bytes_, ids, numbers, extra, text: COMMAND.pack(
        kind, *bytes_, len(text), 0, *ids, *numbers, extra, text, 7
    ),
    st.integers(0, 10),
    st.tuples(SMALL, SMALL, SMALL, SMALL),
    st.tuples(st.integers(0, 3), st.integers(0, 2)),
    st.tuples(*[st.sampled_from([0, 0, 1, -1, 1 << 62])] * 3),
    st.sampled_from([0, 0, 1]),
    st.one_of(st.just(b""), st.from_regex(rb"[A-Za-z0-9_.:-]{1,36}", fullmatch=True), st.binary(max_size=44)),
)


@settings(max_examples=300, deadline=None)
@given(command=st.one_of(COMMANDS, st.binary(min_size=COMMAND_BYTES, max_size=COMMAND_BYTES)), rights=RIGHTS)
def test_a_command_is_judged_the_same(command: bytes, rights: Rights) -> None:
    assert compiled.checked(command, *rights) == checked(command, rights)


@pytest.mark.parametrize("seed", range(3))
def test_streams_are_read_the_same_wherever_they_are_cut(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commits, "SYNC_INLINE_MAX_S", 3600.0)
    assert fuzz_session.compare(seed) == ""


def test_what_comes_while_a_batch_is_told_changes_none_of_its_replies(tmp_path: Path) -> None:
    """The first of several frames of replies lets the next SUBMIT be read, and a stopping engine turns that away at once."""

    async def replies_of_both() -> dict[int, Counter[int]]:
        partition = await opened(fuzz_session.fuzzed(tmp_path, max_live_orders=1 << 17, max_unacknowledged=1 << 17))
        owner = ReadsOn()
        owner.frames = frames = compiled.Frames(owner, partition)
        frames.admit(0, True)
        for start in range(0, 3 * FILLS, 3000):
            makers = [new(f"m{start + n}", Side.SELL, 100, 1) for n in range(3000)]
            frames.feed(frame(FrameType.SUBMIT, b"".join(makers), records=len(makers)))
            while partition.unacknowledged:
                await asyncio.sleep(0)
        takers = [new(f"t{n}", Side.BUY, 100, FILLS, tif=TimeInForce.IOC) for n in range(3)]
        frames.feed(frame(FrameType.SUBMIT, b"".join([*takers, new("last", price=50)]), records=4, request=1))
        frames.held = True
        frames.feed(frame(FrameType.SUBMIT, b"".join(new(f"n{n}") for n in range(2000)), records=2000, request=2))
        owner.goes_on = True
        await partition.close()
        partition.log.close()
        return owner.outcomes

    with lock_data(tmp_path):
        told = asyncio.run(replies_of_both())
    assert told[1] == {Outcome.DONE: 4}
    assert told[2] == {Outcome.STOPPED: 2000}


FILLS = 33_000  # of one order: two such replies fill a frame


class ReadsOn:
    """An owner as a session is one: it counts outcomes by request, and reads on once some replies were written."""

    def __init__(self) -> None:
        self.frames: Any = None
        self.goes_on = False
        self.outcomes: dict[int, Counter[int]] = defaultdict(Counter)

    def write(self, data: bytes) -> None:
        _, _, _, records, request = HEADER.unpack_from(data)
        offset = HEADER.size
        for _ in range(records):
            _, outcome, count, _ = REPLY.unpack_from(data, offset)
            offset += REPLY.size + count * EVENT_BYTES
            self.outcomes[request][outcome] += 1
        if self.goes_on:
            self.goes_on = self.frames.held = False
            self.frames.go_on()
