"""Replaying a journal into an engine and its event log, group by group; replay_cython.pyx does the same faster."""

from __future__ import annotations

from engine import replay as engine_replay
from engine.api import MatchingEngine
from stack.matcher.event_writer import Writer


def apply_groups(
    book: MatchingEngine, writer: Writer, records: bytes | bytearray | memoryview, start: int, events_hash: int
) -> tuple[int, int, int]:
    """Apply the groups of valid records from offset `start` on, all of them or as many as take a moment.

    Returns the offset reached, the hash over all events up to there, and how many events the log had otherwise. Raises
    ReplayDiffers; the log then has no event of the group that differs, nor of later ones.
    """
    rewritten = 0
    view = memoryview(records)[start:]
    for events, after in engine_replay.replay(book, view, events_hash):
        events_hash = after
        rewritten += writer.adopt(events)
    return len(records), events_hash, rewritten
