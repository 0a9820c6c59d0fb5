"""Is what was brought up from a backup what was backed up? Four things must be one: the journal and its chain, a replay of it,
the engine that runs from it, and the rows in PostgreSQL."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

from hftctl.checks.written import written
from hftctl.errors import DamageFound, NotFound, TimedOut
from hftctl.operations.backup import journal
from hftctl.operations.terms import Report
from hftctl.plan.execute import Progress
from hftctl.targets.local import LocalTarget

STATE_TIMEOUT_S = 60.0
STALLED_S = 120.0
POLL_S = 0.1
COMPARE_WAIT_S = 60.0


@dataclass(frozen=True)
class Point:
    """Where a partition's journal was cut."""

    sequence: int
    chain: int
    time_ns: int


@dataclass(frozen=True)
class Compared:
    """One partition, of which everything was found equal."""

    partition: int
    sequence: int  # of the cut
    chain: int
    commands: int  # replayed: those of a start and of a proof come after the cut
    live_orders: int
    trades: int
    state_hash: int  # of the replay and of the running engine
    events: int
    rows: int
    matches_original: bool | None  # the journal that was backed up has the same commands up to the cut; None: not there


def wait_for_rows(target: LocalTarget, points: Mapping[int, Point], report: Report, started: float) -> None:
    """Until PostgreSQL has everything up to the cuts on its disk. Raises TimedOut when it gets no further."""
    for partition, point in points.items():
        best, deadline = -1, time.monotonic() + STALLED_S
        while True:
            reached, why = _reached(target, partition, point)
            if reached >= point.sequence:
                break
            now = time.monotonic()
            if reached > best:
                best, deadline = reached, now + STALLED_S
            if now >= deadline:
                said = why or f"its rows end with command {reached} of {point.sequence}"
                raise TimedOut(
                    f"the restored persister of partition {partition} got no further for {STALLED_S:g} s: {said}"
                )
            said = f"rows of partition {partition} up to command {max(reached, 0)} of {point.sequence}"
            report(Progress("rows", "waiting", said, now - started, figures=True))
            time.sleep(POLL_S)


def _reached(target: LocalTarget, partition: int, point: Point) -> tuple[int, str]:
    if point.sequence == 0:
        return 0, ""
    try:
        found = written(target.postgres(partition), partition, at_least=point.sequence)
    except NotFound as error:
        return -1, error.message
    done = found.flushed or found.sequence < point.sequence
    return (found.sequence, "") if done else (point.sequence - 1, "they are not flushed yet")


def compare(target: LocalTarget, partition: int, point: Point, original: int | None) -> Compared:
    """`original`: the chain that the journal which was backed up has there. Raises DamageFound, naming what differs."""
    data = target.layout.partition(partition)
    found = journal.cut(data, known=point.sequence)
    chain = found["known_chain"] if point.sequence else point.chain
    if chain != point.chain:
        raise DamageFound(
            f"partition {partition}: chain {chain} at command {point.sequence}, {point.chain} was backed up"
        )
    if original is not None and original != point.chain:
        raise DamageFound(
            f"partition {partition}: the running deployment has other commands up to {point.sequence} than its backup "
            f"(chain {original:#x}, and {point.chain:#x} in the backup): it was restored to an earlier point since"
        )
    replayed = journal.verified(data)
    state = target.ask_engine(partition, {"command": "state"}, timeout_s=STATE_TIMEOUT_S)
    if (state["sequence"], state["state_hash"]) != (replayed["records"], replayed["state_hash"]):
        raise DamageFound(
            f"partition {partition}: the running engine is at command {state['sequence']} in state {state['state_hash']:#x}, the "
            f"replay of its journal at {replayed['records']} in {replayed['state_hash']:#x}"
        )
    rows = journal.compared(target.layout.run, partition, COMPARE_WAIT_S)
    return Compared(
        partition=partition,
        sequence=point.sequence,
        chain=point.chain,
        commands=replayed["records"],
        live_orders=replayed["live_orders"],
        trades=replayed["trades"],
        state_hash=replayed["state_hash"],
        events=rows["journal_events"],
        rows=rows["postgres_events"],
        matches_original=None if original is None else True,
    )
