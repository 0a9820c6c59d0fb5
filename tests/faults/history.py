"""The history checker: what clients were told, against what the journal says happened.

Every request is written down before it is sent and completed by its reply; a request without a reply, or with one that
says the outcome is unknown, may or may not have happened, but everybody must agree on which. The engine gives every
command a sequence, so no search is needed: the order of commits is known and each claim is checked against it.

Three verdicts: valid, invalid (with every broken claim), unknown (the final state could not be read completely).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from engine.records import MAKER, Event, EventKind, Reason, Side


class Op(StrEnum):
    PLACE = "place"
    CANCEL = "cancel"


class Result(StrEnum):
    OK = "ok"  # 2xx: durable
    FAILED = "failed"  # a definite no: nothing happened
    UNKNOWN = "unknown"  # no reply, 5xx, or outcome unknown


@dataclass
class Operation:
    op: Op
    client_order_id: str
    account: str
    symbol: str
    invoked_ns: int
    completed_ns: int | None = None
    result: Result = Result.UNKNOWN
    status: int = 0
    response: Mapping[str, Any] = field(default_factory=dict)
    order_id: str = ""  # of a cancel: what it names; of a place: what the reply says
    body: Mapping[str, Any] = field(default_factory=dict)
    gave_up: bool = False  # its client waits for no answer any more
    recorded_at: int = 0  # where a recording of the disk stood when the reply came


def result_of(status: int, response: Mapping[str, Any]) -> Result:
    if 200 <= status < 300:
        return Result.OK
    if status in {400, 401, 403, 404, 405, 409, 413, 422, 429}:
        return Result.FAILED
    if status == 503 and response.get("outcome") != "unknown":
        return Result.FAILED
    return Result.UNKNOWN


@dataclass
class Truth:
    """What the journal's replay gives: the events of one partition, and names for the interned numbers."""

    partition: int
    events: Sequence[Event]
    accounts: Mapping[int, str]
    symbols: Mapping[int, str]

    @classmethod
    def of(cls, partition: int, events: Sequence[Event]) -> Truth:
        return cls(
            partition,
            events,
            {e.account: e.text.decode() for e in events if e.kind == EventKind.ACCOUNT_DEFINED},
            {e.symbol: e.text.decode() for e in events if e.kind == EventKind.INSTRUMENT_DEFINED},
        )


@dataclass
class Verdict:
    broken: list[str]
    incomplete: list[str]
    counts: dict[str, int]

    @property
    def name(self) -> str:
        return "invalid" if self.broken else "unknown" if self.incomplete else "valid"


def check(history: Iterable[Operation], truth: Truth, *, incomplete: Sequence[str] = ()) -> Verdict:
    """Compare a client history with the journal. `incomplete` names what could not be read at the end."""
    operations = list(history)
    broken: list[str] = []
    accepted: dict[tuple[str, str, str], Event] = {}
    chains: dict[int, list[Event]] = defaultdict(list)
    for event in truth.events:
        if event.order and event.kind != EventKind.REFUSED:
            chains[event.order].append(event)
        if event.kind == EventKind.ACCEPTED:
            key = (truth.accounts[event.account], truth.symbols[event.symbol], event.text.decode())
            if key in accepted:
                broken.append(
                    f"client_order_id {key[2]} was accepted twice: {accepted[key].sequence}, {event.sequence}"
                )
            accepted[key] = event

    broken += _sequences(truth.events)
    broken += _conservation(chains)
    broken += _trades(truth.events)
    broken += _places(operations, accepted, truth.partition)
    broken += _cancels(operations, chains)
    broken += _real_time(operations, chains)
    return Verdict(broken, list(incomplete), dict(Counter(f"{o.op} {o.result}" for o in operations)))


def _sequences(events: Sequence[Event]) -> list[str]:
    broken, last = [], Event(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
    for event in events:
        same = event.sequence == last.sequence
        if event.sequence not in (last.sequence, last.sequence + 1) or event.index != (last.index + 1 if same else 0):
            broken.append(f"event {event.sequence}.{event.index} follows {last.sequence}.{last.index}")
        if event.time_ns < last.time_ns:
            broken.append(f"time goes back at sequence {event.sequence}")
        last = event
    return broken


def _conservation(chains: Mapping[int, Sequence[Event]]) -> list[str]:
    broken = []
    for order, chain in chains.items():
        first = chain[0]
        if first.kind != EventKind.ACCEPTED:
            broken.append(f"order {order} begins with {EventKind(first.kind).name}")
            continue
        total = filled = 0
        closed = False
        for event in chain:
            if closed:
                broken.append(f"order {order}: {EventKind(event.kind).name} at {event.sequence} after it was closed")
            if event.kind in (EventKind.ACCEPTED, EventKind.REPLACED):
                total = event.quantity
            elif event.kind == EventKind.FILL:
                filled += event.quantity
            cancelled = event.quantity if event.kind == EventKind.CANCELLED else 0
            if filled + cancelled + event.leaves != total:
                broken.append(
                    f"order {order}: {filled} filled + {cancelled} cancelled + {event.leaves} open != {total}"
                )
            closed = event.leaves == 0 and event.kind != EventKind.ACCEPTED
    return broken


def _trades(events: Sequence[Event]) -> list[str]:
    broken = []
    trades: dict[int, list[Event]] = defaultdict(list)
    for event in events:
        if event.kind == EventKind.FILL:
            trades[event.trade].append(event)
    if sorted(trades) != list(range(1, len(trades) + 1)):
        broken.append("trade numbers have gaps")
    for number, sides in trades.items():
        if len(sides) != 2:
            broken.append(f"trade {number} has {len(sides)} sides")
            continue
        maker, taker = sides
        agree = (maker.price, maker.quantity, maker.symbol) == (taker.price, taker.quantity, taker.symbol)
        if (
            not agree
            or {maker.side, taker.side} != {Side.BUY, Side.SELL}
            or not maker.flags & MAKER
            or taker.flags & MAKER
        ):
            broken.append(f"trade {number}: its two sides disagree")
    return broken


def _places(
    operations: Sequence[Operation], accepted: Mapping[tuple[str, str, str], Event], partition: int
) -> list[str]:
    broken = []
    tried: dict[tuple[str, str, str], list[Operation]] = defaultdict(list)
    for operation in operations:
        if operation.op is Op.PLACE:
            tried[operation.account, operation.symbol, operation.client_order_id].append(operation)
    for key, attempts in tried.items():
        event = accepted.get(key)
        acknowledged = [attempt for attempt in attempts if attempt.result is Result.OK]
        names = {attempt.order_id for attempt in acknowledged}
        if acknowledged and event is None:
            broken.append(f"LOST: {key[2]} was acknowledged as {sorted(names)} and is not in the journal")
        elif acknowledged and names != {f"{partition}-{event.sequence}"}:
            broken.append(f"{key[2]} stands as {partition}-{event.sequence}, clients were told {sorted(names)}")
        elif event is not None and all(attempt.result is Result.FAILED for attempt in attempts):
            broken.append(f"{key[2]} was refused with {attempts[-1].status} and stands at {event.sequence}")
    for key, event in accepted.items():
        if key not in tried and not key[1].startswith("PROOF."):
            broken.append(f"nobody sent {key[2]}, accepted at {event.sequence}")
    return broken


def _cancels(operations: Sequence[Operation], chains: Mapping[int, Sequence[Event]]) -> list[str]:
    broken = []
    for operation in operations:
        if operation.op is Op.CANCEL and operation.result is Result.OK:
            chain = chains.get(int(operation.order_id.partition("-")[2]), [])
            if not any(e.kind == EventKind.CANCELLED and e.reason != Reason.UNFILLED_REST for e in chain):
                broken.append(f"LOST: the cancel of {operation.order_id} was acknowledged and is not in the journal")
    return broken


def _real_time(operations: Sequence[Operation], chains: Mapping[int, Sequence[Event]]) -> list[str]:
    """If A was answered before B was sent, A's sequence is the smaller one."""
    points: list[tuple[int, int, int]] = []  # time, 0 = invoked or 1 = completed, sequence
    seen: set[int] = set()
    for operation in sorted(operations, key=lambda o: o.invoked_ns):
        if operation.result is not Result.OK or operation.completed_ns is None or operation.status != 201:
            continue
        if operation.op is not Op.PLACE or not operation.order_id:
            continue
        sequence = int(operation.order_id.partition("-")[2])
        if sequence in seen or sequence not in chains:
            continue
        seen.add(sequence)
        points += [(operation.invoked_ns, 0, sequence), (operation.completed_ns, 1, sequence)]
    broken, newest_completed = [], 0
    for _, completed, sequence in sorted(points):
        if completed:
            newest_completed = max(newest_completed, sequence)
        elif sequence < newest_completed:
            broken.append(f"{sequence} was sent after {newest_completed} had been answered")
    return broken
