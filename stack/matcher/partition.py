"""The one writer of a partition: takes commands, decides, makes them durable, answers.

Guarantee: nothing leaves before it is durable. Acknowledgements, refusals, repeats, reads and events are released group by
group, after the group's records were synced, in the order in which they were asked for.

For whoever brings commands (the link, the HTTP door):

    partition.submit(command, target, token)
        command  96 bytes as `engine.records.Command.pack()` makes them, the token bytes of the wire ignored. No object per
                 field is needed. Field checks that the engine makes (api.py) need not be made before.
        target   an object with `reply(token, outcome, events)` and `lost(token)`, see group.ReplyTarget. One of the two is
                 called exactly once per submit: BUSY and STOPPED from inside `submit` itself, everything else in a later
                 step of the same or a later turn of the event loop, when it is durable. `events` are encoded events
                 (`bytes`, n * 128): `engine.records.unpack_events` and `stack.wire.order.fold` read them.
        token    handed back as it came.

    Outcomes: DONE (look at events[0].kind: REFUSED or not), REPEAT (200, the original's events), CONFLICT (409), BUSY (429),
    STOPPED (503), FULL (503, no room on the disk), and `lost` (504, outcome unknown).

    partition.intake.submit_many(...)  the same for many orders at once, from C: stack/door/face.pxd. None without a compiler.
    partition.after_release(callback)  runs it once when the replies of the current release have all been given: a target
        that got several replies can write them to its socket in one piece.
    partition.when_durable(callback, on_lost)  runs callback when everything decided so far is durable; for reads of state.
    partition.number, .tables (symbols, accounts, ticks and lots; replaced by a new object when they change), .halted,
    .durable_sequence, .durable_events, .log.chain(order).

All of it belongs to one event loop and its thread.
"""

from __future__ import annotations

import asyncio
import logging
import struct
import time
from collections.abc import Callable

from engine.api import MatchingEngine
from engine.journal import Encoder, SegmentHeader
from engine.records import EVENT_BYTES, Command, CommandKind, EventKind, Reason
from engine.rules import rules_needed
from stack.matcher.commits import Commits
from stack.matcher.definitions import follow
from stack.matcher.event_log import EventLog
from stack.matcher.group import ReplyTarget, Shape
from stack.matcher.journal_files import JournalFiles, Point
from stack.matcher.latency import DecisionLatency
from stack.matcher.limits import RateLimit
from stack.matcher.replies import Asked
from stack.matcher.room import Refused, Room
from stack.matcher.sequencer import Group, Sequencer
from stack.matcher.snapshots import Recovery, SnapshotCounts
from stack.matcher.tally import Tally
from stack.wire.frames import Outcome
from stack.wire.tables import Tables

try:
    from stack.matcher.intake import PartitionIntake
except ImportError:  # no compiler: what needs it asks for the layout `gateway`
    PartitionIntake = None

logger = logging.getLogger(__name__)

# Looked up for every order, and attributes of an enum are slow.
_DONE, _AS_THEY_ARE, _OWN = int(Outcome.DONE), int(Shape.AS_THEY_ARE), int(Shape.OWN)
_NEW = int(CommandKind.NEW)
_WITH_ID = frozenset((_NEW, int(CommandKind.REPLACE)))
_OF_ORDER = frozenset((int(CommandKind.CANCEL), int(CommandKind.REPLACE)))
_REFUSED = int(EventKind.REFUSED)
_TARGET = struct.Struct("<q")
_EVENT_KIND, _EVENT_REASON = 76, 81  # offsets in an encoded event
_EXPIRE = Command(CommandKind.EXPIRE).pack()
# An emergency stop is not kept out by a full queue.
_CANCELS = int(Refused.CANCELS)
_ALWAYS = frozenset((int(CommandKind.HALT), int(CommandKind.RESUME), int(CommandKind.MASS_CANCEL)))


class Partition:
    def __init__(
        self,
        number: int,
        engine: MatchingEngine,
        journal: JournalFiles,
        log: EventLog,
        *,
        tables: Tables,
        events_hash: int,
        time_ns: int,
        max_unacknowledged: int,
        client_ids_max: int,
        max_orders_per_second: int = 0,
        latency: DecisionLatency,
        on_failed: Callable[[str], None],
        sequencer: Callable[..., Sequencer] = Sequencer,
    ) -> None:
        """`engine`, `journal` and `log` stand at the same sequence, everything in them durable."""
        self.number = number
        self.engine = engine
        self.journal = journal
        self.log = log
        self.tables = tables
        self.durable_sequence = engine.sequence
        self.tally = Tally()
        self.recovery = Recovery()
        self.snapshots = SnapshotCounts()
        self.latency = latency
        self.stopped = ""  # why, once it is
        self.on_notice: Callable[[str], None] = lambda _notice: None
        self.on_events: Callable[[], None] = lambda: None  # more events became durable
        self._on_failed = on_failed
        self._loop = asyncio.get_running_loop()
        self._encoder = Encoder(journal.epoch, engine.sequence, journal.chain)
        self.sequencer = sequencer(
            engine, self._encoder, room=journal.room_records, events_hash=events_hash, time_ns=time_ns
        )
        self._max = max_unacknowledged
        self._client_ids_max = client_ids_max
        self.room = Room(log.directory, journal)
        self._decided = latency.add if latency.measures else None
        self._rate = RateLimit(max_orders_per_second) if max_orders_per_second else None
        self._commits = Commits(journal, collect=self._close_group, on_durable=self._release, on_failed=self.fail)
        self._scheduled = False
        self._failed = False
        self._after: list[Callable[[], None]] = []
        self.intake = None
        if PartitionIntake is not None and sequencer is Sequencer:
            self.intake = PartitionIntake(
                self, self.sequencer, max_unacknowledged=max_unacknowledged, client_ids_max=client_ids_max,
                rate=self._rate, slow_decision=latency.add, sample_rate=latency.sample_rate,
            )  # fmt: skip
            latency.collect = self.intake.take_decisions

    @property
    def unacknowledged(self) -> int:
        return self.sequencer.unacknowledged

    @property
    def failed(self) -> bool:
        return self._failed

    @property
    def halted(self) -> bool:
        return self.engine.halted

    @property
    def epoch(self) -> int:
        return int(self._encoder.epoch)

    @property
    def durable_events(self) -> int:
        return self.log.end

    # ---- in

    def submit(self, command: bytes, target: ReplyTarget, token: int) -> None:
        self.look_at_clock()
        if self.stopped:
            target.reply(token, Outcome.STOPPED, b"")
            return
        kind = command[0]
        if self.sequencer.unacknowledged >= self._max and kind not in _ALWAYS:
            self.tally.busy += 1
            target.reply(token, Outcome.BUSY, b"")
            return
        start_ns = time.perf_counter_ns()
        order = account = 0
        shape = _AS_THEY_ARE
        if kind in _WITH_ID:
            used = self.engine.find(command)
            if used:
                outcome = Outcome.REPEAT if used > 0 else Outcome.CONFLICT
                self.tally.repeats += 1
                if kind == _NEW:
                    self._wait(target, token, outcome, Shape.ORIGINAL, abs(used), 0, b"")
                else:
                    target_order = _TARGET.unpack_from(command, 32)[0]
                    self._wait(target, token, outcome, Shape.CHAIN, target_order, 0, b"")
                return
            if self._rate is not None and kind == _NEW and not self._rate.take():
                self.tally.busy += 1
                target.reply(token, Outcome.BUSY, b"")
                return
        rules = rules_needed(command)
        if self.full_for(kind, rules):
            target.reply(token, Outcome.FULL, b"")
            return
        try:
            if rules > self.engine.rules:
                self.adopt_rules(rules)
            events = self._decide(command)
            sequence = self._encoder.sequence
            if kind in _WITH_ID and self.engine.client_ids >= self._client_ids_max:
                self.roll_client_ids()
        except Exception as error:
            self.broke(error)
            target.lost(token)
            return
        if kind == _NEW:
            order, shape = sequence, _OWN
        elif kind in _OF_ORDER:
            order, shape = _TARGET.unpack_from(command, 32)[0], Shape.CHAIN
            account = int.from_bytes(command[8:12], "little")
            if events[_EVENT_KIND] == _REFUSED:
                unknown = events[_EVENT_REASON] == Reason.UNKNOWN_ORDER
                shape = Shape.REFUSED_WITH_CHAIN if unknown else Shape.AS_THEY_ARE
        elif kind == CommandKind.MASS_CANCEL:
            events = events[-EVENT_BYTES:]
        self._wait(target, token, _DONE, shape, order, account, events)
        took_ns = time.perf_counter_ns() - start_ns
        group = self.sequencer.group
        group.worst_ns = max(group.worst_ns, took_ns)
        if self._decided is not None:
            self._decided(took_ns)

    def full_for(self, kind: int, rules: int = 1) -> bool:
        """Whether a command of this kind finds no room; never for one that was answered before."""
        begins = self.sequencer.room < 3 or rules > self.engine.rules  # it may roll the ids, and expire orders before
        if begins and self.journal.no_room:
            return True
        refused = self.room.refused
        return bool(refused) and (kind in _WITH_ID or (refused == _CANCELS and kind == CommandKind.CANCEL))

    def when_durable(self, callback: Callable[[], None], on_lost: Callable[[], None]) -> None:
        if self.stopped:
            on_lost()
            return
        self._wait(_Call(callback, on_lost), 0, Outcome.DONE, Shape.AS_THEY_ARE, 0, 0, b"")

    def after_release(self, callback: Callable[[], None]) -> None:
        self._after.append(callback)

    def _wait(
        self, target: ReplyTarget, token: int, outcome: int, shape: int, order: int, account: int, events: bytes
    ) -> None:
        group = self.sequencer.group
        group.waiting.append(Asked(target, token, outcome, shape, order, account, events))
        group.asked += 1
        self.sequencer.unacknowledged += 1
        self.wake()

    def wake(self) -> None:
        """Something waits in the open group: close and commit it in this turn of the loop."""
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._flush)

    def _decide(self, command: bytes) -> bytes:
        """Sequence one command, join it to the journal's next group and apply it."""
        if self.sequencer.room == 0:
            self.begin_segment()
        return self.sequencer.decide(command)

    def look_at_clock(self) -> None:
        """Called before each command, and now and then: what ends by the clock ends also where nothing else comes."""
        if self.stopped or not self.sequencer.expiry_due():
            return
        try:
            self.expire()
        except Exception as error:
            self.broke(error)
            return
        self.wake()

    def expire(self) -> None:
        """Before whatever is decided next: no order trades past its time. Where the disk is full nothing new comes either."""
        if self.sequencer.room > 1 or not self.journal.no_room:
            self._decide(_EXPIRE)

    def roll_client_ids(self) -> None:
        self._decide(Command(CommandKind.ROLL_CLIENT_IDS).pack())

    def adopt_rules(self, rules: int) -> None:
        """The next command needs them. A segment begins with it, whose header tells an engine that does not know them. There is one."""
        self.begin_segment(rules)
        self.sequencer.decide(Command(CommandKind.ADOPT_RULES, quantity=rules).pack())

    def begin_segment(self, rules: int = 0) -> None:
        """The newest one is full, or of older rules: the group ends here, and the next one opens a segment of a new epoch."""
        self._close_group()
        epoch = self._encoder.epoch + 1
        self._encoder.roll(epoch)
        self.sequencer.group.header = SegmentHeader(
            self.number,
            epoch,
            self._encoder.sequence + 1,
            self._encoder.chain,
            self.sequencer.events_hash,
            self.engine.events,
            time.time_ns(),
            rules or self.engine.rules,
        )
        self.sequencer.room = self.journal.segment_records

    def _close_group(self) -> None:
        group = self.sequencer.group
        if group.sequence or group.waiting:
            self._commits.add(self.sequencer.close())

    # ---- out

    def _flush(self) -> None:
        self._scheduled = False
        self._commits.flush()

    def _release(self, groups: list[Group], sync_s: float) -> None:
        """Everything in these groups is durable now: log it, then say it. Where that fails, `fail` tells the rest."""
        notices: list[str] = []
        if self.intake is not None:
            self.intake.durable_ns = time.monotonic_ns()
        for group in groups:
            if group.sequence:
                self._log_group(group, notices, sync_s)
        for group in groups:
            self.sequencer.unacknowledged -= group.asked
            told = 0
            try:
                for waiting in group.waiting:
                    waiting.tell(self.log)
                    told += 1
            finally:
                del group.waiting[:told]  # nobody is told twice
        after, self._after = self._after, []
        for callback in after:
            callback()
        for notice in notices:
            self.on_notice(notice)
        self.on_events()

    def _log_group(self, group: Group, notices: list[str], sync_s: float) -> None:
        summary = self.log.append(memoryview(group.events))
        self.tally.group(group.commands, summary, group.worst_ns, sync_s)
        self.durable_sequence = self._encoder.synced = group.sequence
        for event in summary.of_no_order:
            if event.kind in (EventKind.INSTRUMENT_DEFINED, EventKind.ACCOUNT_DEFINED):
                self.tables = follow(self.tables, event)
                notices.append("tables")
            elif event.kind == EventKind.HALTED:
                notices.append("halted")
            elif event.kind == EventKind.RESUMED:
                notices.append("resumed")

    # ---- the end

    def fail(self, why: str) -> None:
        """Stop for good: what is on disk is found out by the next start, never by trying again."""
        if self._failed:
            return
        self._failed = True
        self.stopped = why
        for group in [*self._commits.abandon(), self.sequencer.group]:
            waiting, group.waiting = group.waiting, []
            for one in waiting:
                try:
                    one.lose()
                except Exception:
                    logger.exception("a lost command could not be reported")
        self.sequencer.unacknowledged = 0
        self._on_failed(why)

    def broke(self, error: Exception) -> None:
        """A command could not be decided: what the engine made of it, nobody knows."""
        logger.error("the engine failed on a command", exc_info=error)
        self.fail(f"the engine failed on command {self._encoder.sequence}: {type(error).__name__}: {error}")

    def point(self) -> Point:
        """Where the journal ends, once the partition is closed and has not failed."""
        return self.journal.point(
            self._encoder.sequence,
            self._encoder.chain,
            self.engine.events,
            self.sequencer.events_hash,
            self.sequencer.time_ns,
        )

    async def close(self) -> None:
        """Take nothing more, make durable and answer what was taken."""
        self.stopped = self.stopped or "the engine is stopping"
        await self._commits.close()


class _Call:
    """A callback that waits among the replies."""

    __slots__ = ("_callback", "_on_lost")

    def __init__(self, callback: Callable[[], None], on_lost: Callable[[], None]) -> None:
        self._callback = callback
        self._on_lost = on_lost

    def reply(self, _token: int, _outcome: int, _events: bytes) -> None:
        self._callback()

    def lost(self, _token: int) -> None:
        self._on_lost()
