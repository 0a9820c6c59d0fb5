"""Many commands at once into a partition, without a Python object for any of them.

The same decisions, in the same order, as `Partition.submit` makes for one command: that is the specification, and a test
compares records, events and replies of both.
"""

import logging

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memset

from engine.client_ids cimport IdKey
from engine.layout cimport COMMAND_BYTES, EVENT_BYTES, EV_REFUSED, NEW, REPLACE, UNKNOWN_ORDER, Event
from engine.rules cimport rules_needed
from stack.door.clock cimport monotonic_ns
from stack.matcher.sequencer_cython cimport Group

from stack.matcher.group import Shape
from stack.matcher.replies import answer
from stack.matcher.room import Refused
from stack.wire.frames import Outcome

logger = logging.getLogger(__name__)

cdef int DONE = Outcome.DONE, REPEAT = Outcome.REPEAT, CONFLICT = Outcome.CONFLICT
cdef int BUSY = Outcome.BUSY, STOPPED = Outcome.STOPPED, FULL = Outcome.FULL
cdef int NO_CANCELS = Refused.CANCELS
cdef int AS_THEY_ARE = Shape.AS_THEY_ARE, OWN = Shape.OWN, CHAIN = Shape.CHAIN, ORIGINAL = Shape.ORIGINAL
cdef int REFUSED_WITH_CHAIN = Shape.REFUSED_WITH_CHAIN


cdef class Batch:
    """What waits in a group."""

    def __dealloc__(self):
        if self.asks != &self.one:
            free(self.asks)

    cdef int turn_away(self) except -1:
        """None of it waits for the disk. Another batch may be being told while this one comes: its replies stay as they are."""
        cdef Reply* replies = <Reply*>calloc(self.count, sizeof(Reply))
        cdef uint32_t i
        if replies == NULL:
            raise MemoryError(f"no memory for {self.count} replies")
        try:
            for i in range(self.count):
                replies[i].outcome = self.asks[i].outcome
            self.target.told(self.token, replies, self.count)
        except Exception:
            logger.exception("the replies to a batch could not be handed over")
        finally:
            free(replies)
        return 0

    def tell(self, log):
        cdef Reply* replies = self.intake.room(self.count)
        kept = []   # what the replies point into, where it is not the group's events
        self.fill(replies, kept, log)
        try:
            self.target.told(self.token, replies, self.count)
        except Exception:
            logger.exception("the replies to a batch could not be handed over")
        if self.arrived_ns:
            self.intake.stages.add(self.arrived_ns, self.started_ns, self.decided_ns, self.intake.durable_ns,
                                   monotonic_ns())

    def lose(self):
        self.target.lost(self.token)

    cdef int next_group(self, Events events) except -1:
        """A segment was full in the middle of the batch. All its groups are committed together."""
        if self.earlier is None:
            self.earlier = []
        self.earlier.append(self.events)
        self.events = events
        return 0

    cdef int fill(self, Reply* replies, list kept, object log) except -1:
        cdef uint32_t i
        cdef uint64_t apart = 0
        cdef Ask* ask
        cdef Events events
        cdef bytes shown
        for i in range(self.count):
            if self.asks[i].shape == OWN and self.asks[i].own != self.asks[i].count:
                apart += self.asks[i].own
        self.intake.shown.count = 0
        self.intake.shown.make_room(apart)
        for i in range(self.count):
            ask = &self.asks[i]
            replies[i].outcome = ask.outcome
            replies[i].count = ask.count
            replies[i].events = NULL
            if ask.outcome >= BUSY:
                continue
            events = self.events
            if self.earlier is not None and ask.part < <uint32_t>len(self.earlier):
                events = self.earlier[ask.part]
            if ask.shape == AS_THEY_ARE or ask.shape == OWN and ask.own == ask.count:
                replies[i].events = events.first + ask.first
            elif ask.shape == OWN:
                replies[i].events = self.own_events(ask, events.first + ask.first)
                replies[i].count = ask.own
            else:
                shown = answer(
                    ask.shape, ask.order, ask.account,
                    PyBytes_FromStringAndSize(<const char*>(events.first + ask.first), ask.count * EVENT_BYTES)
                    if ask.count else b"", log,
                )
                kept.append(shown)
                replies[i].events = <const Event*>PyBytes_AS_STRING(shown)
                replies[i].count = <uint32_t>(PyBytes_GET_SIZE(shown) // EVENT_BYTES)
        return 0

    cdef const Event* own_events(self, const Ask* ask, const Event* events):
        """Without those of the makers it met. There is room for them."""
        cdef Events shown = self.intake.shown
        cdef Event* first = shown.first + shown.count
        cdef uint32_t i
        for i in range(ask.count):
            if events[i].order == ask.order:
                shown.first[shown.count] = events[i]
                shown.count += 1
        return first


cdef class PartitionIntake(Intake):
    def __init__(self, partition, Sequencer sequencer, *, max_unacknowledged, client_ids_max, rate, slow_decision, sample_rate):
        self.partition = partition
        self.sequencer = sequencer
        self.waiting_max = max_unacknowledged
        self.client_ids_max = client_ids_max
        self.rate = rate
        self.slow_decision = slow_decision
        self.releasing = []
        self.shown = Events.__new__(Events)
        self.stages = Stages.__new__(Stages)
        self.measure_every = round(1 / sample_rate) if sample_rate > 0 else 0

    def __dealloc__(self):
        free(self.replies)

    cdef int submit_many(self, const Command* commands, uint32_t count, Target target, uint64_t token,
                         uint64_t arrived_ns) except -1:
        cdef Batch batch = Batch.__new__(Batch)
        cdef Group group
        cdef uint32_t waits, i
        for i in range(count):
            if commands[i].kind > REPLACE or commands[i].kind < NEW:
                raise ValueError(f"a batch holds a command of kind {commands[i].kind}")
        batch.intake, batch.target, batch.token, batch.count = self, target, token, count
        batch.events = self.sequencer.group.events
        batch.asks = &batch.one if count == 1 else <Ask*>malloc(count * sizeof(Ask))
        if batch.asks == NULL:
            raise MemoryError
        if arrived_ns and self.measure_every:
            self.unmeasured += 1
            if self.unmeasured >= self.measure_every:
                self.unmeasured = 0
                batch.arrived_ns = arrived_ns
        try:
            waits = self.decide(batch, commands)
        except Exception as error:
            self.partition.broke(error)
            target.lost(token)
            return 0
        if waits == 0:
            batch.turn_away()
            return 0
        group = self.sequencer.group
        if not group.waiting:
            self.partition.wake()
        group.waiting.append(batch)
        group.asked += waits
        return 0

    cdef uint32_t decide(self, Batch batch, const Command* commands) except? 0:
        """How many of the batch wait for the disk."""
        cdef Sequencer sequencer = self.sequencer
        cdef uint64_t before_ns = monotonic_ns(), after_ns, now_ns = sequencer.now_ns()
        cdef uint64_t places = 0
        cdef uint32_t i, waits = 0
        cdef Ask* ask
        cdef bint stopped = bool(self.partition.stopped)
        self.refused = self.partition.room.refused
        if sequencer.unacknowledged < self.waiting_max:
            places = self.waiting_max - sequencer.unacknowledged
        batch.started_ns = before_ns
        if sequencer.due_at(now_ns) and not stopped:
            self.partition.expire()
        if sequencer.book is not None:
            for i in range(batch.count):
                sequencer.book.prepare_find(&commands[i], &batch.asks[i].key)
        for i in range(batch.count):
            ask = &batch.asks[i]
            ask.shape, ask.account, ask.order, ask.first, ask.count, ask.own = AS_THEY_ARE, 0, 0, 0, 0, 0
            ask.part = 0
            if stopped:
                ask.outcome = STOPPED
                continue
            if waits >= places:
                self.partition.tally.busy += 1
                ask.outcome = BUSY
                continue
            self.decide_one(batch, ask, &commands[i], now_ns)
            if ask.outcome >= BUSY:
                continue
            waits += 1
            if ask.outcome == DONE:
                after_ns = monotonic_ns()
                if after_ns - before_ns > sequencer.group.worst_ns:
                    sequencer.group.worst_ns = after_ns - before_ns
                self.count_decision(after_ns - before_ns)
                before_ns = after_ns
        sequencer.unacknowledged += waits
        batch.decided_ns = before_ns
        return waits

    cdef int decide_one(self, Batch batch, Ask* ask, const Command* command, uint64_t now_ns) except -1:
        cdef Sequencer sequencer = self.sequencer
        cdef bint has_id = command.kind == NEW or command.kind == REPLACE
        cdef int64_t used
        cdef const Event* events
        cdef uint32_t i, rules = rules_needed(command)
        if has_id:
            used = self.find(ask, command)
            if used:
                self.partition.tally.repeats += 1
                ask.outcome = REPEAT if used > 0 else CONFLICT
                ask.shape = ORIGINAL if command.kind == NEW else CHAIN
                ask.order = <uint64_t>command.target if command.kind == REPLACE else <uint64_t>(used if used > 0 else -used)
                return 0
            if self.rate is not None and command.kind == NEW and not self.rate.take():
                self.partition.tally.busy += 1
                ask.outcome = BUSY
                return 0
        if self.refused and (has_id or self.refused == NO_CANCELS) or sequencer.room < 3 and self.partition.journal.no_room:
            ask.outcome = FULL
            return 0
        if rules > 1 and rules > sequencer.rules():
            if self.partition.journal.no_room:
                ask.outcome = FULL
                return 0
            self.partition.adopt_rules(rules)
        if sequencer.room == 0:
            self.partition.begin_segment()
        if sequencer.group.events is not batch.events:
            batch.next_group(sequencer.group.events)
        ask.outcome = DONE
        ask.part = 0 if batch.earlier is None else <uint32_t>len(batch.earlier)
        ask.count = <uint32_t>sequencer.sequence_one(command, now_ns)
        ask.first = sequencer.group.events.count - ask.count
        events = sequencer.group.events.first + ask.first
        if command.kind == NEW:
            ask.shape, ask.order = OWN, sequencer.encoder.state.sequence
            for i in range(ask.count):
                ask.own += events[i].order == ask.order or events[i].kind == EV_REFUSED
        else:
            ask.shape, ask.order, ask.account = CHAIN, <uint64_t>command.target, command.account
            if events.kind == EV_REFUSED:
                ask.shape = REFUSED_WITH_CHAIN if events.reason == UNKNOWN_ORDER else AS_THEY_ARE
        if has_id and sequencer.client_ids() >= self.client_ids_max:
            self.partition.roll_client_ids()
        return 0

    cdef int count_decision(self, uint64_t took_ns) except -1:
        cdef uint64_t us = (took_ns + 999) // 1000
        if us < DECISIONS_US:
            self.decisions[us] += 1
        else:
            self.slow_decision(took_ns)
        return 0

    def take_decisions(self):
        """Microseconds, rounded up -> how many decisions took that long, since the last call."""
        taken = {us: self.decisions[us] for us in range(DECISIONS_US) if self.decisions[us]}
        memset(self.decisions, 0, sizeof(self.decisions))
        return taken

    cdef int64_t find(self, const Ask* ask, const Command* command) except? -1:
        if self.sequencer.book is not None:
            return self.sequencer.book.find_prepared(command, <IdKey*>&ask.key)
        return self.sequencer.engine.find(PyBytes_FromStringAndSize(<const char*>command, COMMAND_BYTES))

    cdef int after_release(self, Target target) except -1:
        if target not in self.releasing:
            if not self.releasing:
                self.partition.after_release(self.tell_released)
            self.releasing.append(target)
        return 0

    def tell_released(self):
        releasing, self.releasing = self.releasing, []
        for target in releasing:
            try:
                (<Target>target).released()
            except Exception:
                logger.exception("replies could not be written")

    cdef Reply* room(self, uint32_t count) except NULL:
        cdef Reply* grown
        if count > self.replies_capacity:
            grown = <Reply*>realloc(self.replies, count * sizeof(Reply))
            if grown == NULL:
                raise MemoryError(f"no memory for {count} replies")
            self.replies = grown
            self.replies_capacity = count
        return self.replies
