"""The compiled reading of sessions against the plain one, and what both keep to."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.records import COMMAND, COMMAND_BYTES
from stack.matcher import commits
from stack.matcher.session_commands import Rights, checked
from tests.stack.matcher import fuzz_session

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
