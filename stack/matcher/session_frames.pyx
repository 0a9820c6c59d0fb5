"""Frames of one session, compiled: the same as session_python.py, which says what they are, without an object per command.

The commands of a SUBMIT go to the partition's C face in runs of what it takes (NEW, CANCEL, REPLACE). A mass cancel goes by
`Partition.submit`, and what is not taken is answered here; both end a run. Runs of one SUBMIT are told in their order, but for
those that wait for nothing, which are told at once.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memcpy, memmove, memset

from engine.layout cimport COMMAND_BYTES, EVENT_BYTES, MASS_CANCEL, Command, Event
from stack.door.clock cimport monotonic_ns
from stack.door.face cimport Intake, Reply, Target
from stack.matcher.session_checks cimport FORBIDDEN, INVALID, TAKEN, look_at

from stack.wire.frames import HEADER, PROTOCOL, REPLY, FrameError, FrameType, Outcome
from stack.wire.session import COMMANDS_MAX, FRAME_BYTES_MAX, HELLO_BYTES_MAX, OPEN_MAX, REPLIES_BYTES

cdef packed struct Header:
    uint32_t length
    uint8_t type, protocol
    uint16_t records
    uint32_t request

cdef packed struct ReplyHead:
    uint32_t token
    uint8_t outcome
    uint8_t spare[3]
    uint32_t events, none

if HEADER.size != sizeof(Header) or REPLY.size != sizeof(ReplyHead):
    raise ImportError("a frame's or a reply's head has another size on the wire than here")

if Outcome.FORBIDDEN != FORBIDDEN or Outcome.INVALID != INVALID:
    raise ImportError("an outcome has another number on the wire than here")

cdef enum:
    REST_KEPT = 65536   # a buffer that grew above this is given back once it is empty

cdef uint32_t CONFLICT = Outcome.CONFLICT
cdef int SUBMIT = FrameType.SUBMIT, REPLIES = FrameType.REPLIES, SPOKEN = PROTOCOL
cdef uint32_t MOST = COMMANDS_MAX, OPEN_MOST = OPEN_MAX, BYTES_MOST = FRAME_BYTES_MAX, HELLO_MOST = HELLO_BYTES_MAX
cdef size_t FRAME_FULL = REPLIES_BYTES

cdef Command* run_of_commands = <Command*>malloc(COMMANDS_MAX * sizeof(Command))    # scratch: nothing keeps what is in it
if run_of_commands == NULL:
    raise MemoryError


def checked(bytes command, uint32_t account, bint operator):
    """As `session_commands.checked`, for a test that holds one against the other."""
    cdef Command found
    cdef uint32_t acts_for
    if PyBytes_GET_SIZE(command) != COMMAND_BYTES:
        raise ValueError(f"{PyBytes_GET_SIZE(command)} bytes are no command")
    memcpy(&found, PyBytes_AS_STRING(command), COMMAND_BYTES)
    cdef int outcome = look_at(&found, account, operator, &acts_for)
    if outcome != TAKEN:
        return Outcome(outcome)
    found.account = acts_for
    return PyBytes_FromStringAndSize(<const char*>&found, COMMAND_BYTES)


# ---- replies

cdef class Batch(Target):
    """One SUBMIT. A run's token is the place of its first command."""

    cdef Frames frames
    cdef uint32_t request, count, left
    cdef uint32_t next              # place of the first reply that is not in `out`
    cdef uint32_t in_out            # replies in `out`
    cdef uint32_t* tokens           # owned; NULL: all are 0
    cdef char* out                  # owned: a frame being made, its header's room first
    cdef size_t used, capacity
    cdef dict early                 # place -> (replies, their bytes): told before what stands in front of them

    def __dealloc__(self):
        free(self.tokens)
        free(self.out)

    cdef int told(self, uint64_t token, const Reply* replies, uint32_t count) except -1:
        cdef uint32_t place = <uint32_t>token, i
        if place == self.next:
            for i in range(count):
                self.add(&replies[i], count - i)
            self.add_early()
        else:
            if self.early is None:
                self.early = {}
            self.early[place] = (count, self.encoded(place, replies, count))
        return 0

    cdef int lost(self, uint64_t token) except -1:
        self.frames.lost_one()
        return 0

    cdef int not_taken(self, uint32_t place, uint32_t outcome) except -1:
        cdef Reply reply
        reply.events, reply.count, reply.outcome = NULL, 0, outcome
        return self.told(place, &reply, 1)

    cdef int add(self, const Reply* reply, uint32_t follow) except -1:
        """The next reply, into `out`; `follow`: how many of the same run, this one included."""
        cdef size_t size = sizeof(ReplyHead) + (0 if reply.outcome == CONFLICT else <size_t>reply.count * EVENT_BYTES)
        self.reserve(size * follow if self.out == NULL and size * follow <= FRAME_FULL else size)
        self.used += encode(self.out + self.used, reply, self.token_of(self.next))
        self.next += 1
        self.in_out += 1
        return self.added()

    cdef int added(self) except -1:
        self.left -= 1
        if self.left == 0 or self.used - sizeof(Header) >= FRAME_FULL:
            self.send()
        return 0

    cdef int add_early(self) except -1:
        cdef uint32_t count, i
        cdef const char* p
        cdef size_t size
        while self.early and self.next in self.early:
            count, encoded = self.early.pop(self.next)
            p = PyBytes_AS_STRING(encoded)
            for i in range(count):
                size = sizeof(ReplyHead) + <size_t>(<const ReplyHead*>p).events * EVENT_BYTES
                self.reserve(size)
                memcpy(self.out + self.used, p, size)
                self.used += size
                p += size
                self.next += 1
                self.in_out += 1
                self.added()
        return 0

    cdef bytes encoded(self, uint32_t place, const Reply* replies, uint32_t count):
        cdef size_t size = 0
        cdef uint32_t i
        for i in range(count):
            size += sizeof(ReplyHead) + (0 if replies[i].outcome == CONFLICT else <size_t>replies[i].count * EVENT_BYTES)
        cdef bytes made = PyBytes_FromStringAndSize(NULL, size)
        cdef char* p = PyBytes_AS_STRING(made)
        for i in range(count):
            p += encode(p, &replies[i], self.token_of(place + i))
        return made

    cdef inline uint32_t token_of(self, uint32_t place) noexcept:
        return 0 if self.tokens == NULL else self.tokens[place]

    cdef int reserve(self, size_t more) except -1:
        cdef size_t capacity
        cdef char* grown
        if self.out == NULL:
            self.used = sizeof(Header)
        if self.used + more > self.capacity:
            capacity = self.used + more if self.out == NULL else 2 * (self.used + more)
            grown = <char*>realloc(self.out, capacity)
            if grown == NULL:
                raise MemoryError(f"no memory for replies of {capacity} bytes")
            self.out, self.capacity = grown, capacity
        return 0

    cdef int send(self) except -1:
        cdef Header* head = <Header*>self.out
        cdef uint32_t count = self.in_out
        head.length, head.type, head.protocol = <uint32_t>(self.used - sizeof(Header)), <uint8_t>REPLIES, <uint8_t>SPOKEN
        head.records, head.request = <uint16_t>count, self.request
        cdef bytes frame = PyBytes_FromStringAndSize(self.out, self.used)
        free(self.out)
        self.out = NULL
        self.capacity = 0
        self.in_out = 0
        return self.frames.sent(frame, count)


cdef inline size_t encode(char* p, const Reply* reply, uint32_t token) noexcept nogil:
    """How many bytes it has. The events of a conflict may be another account's: a replace names any order."""
    cdef ReplyHead* head = <ReplyHead*>p
    cdef uint32_t count = 0 if reply.outcome == CONFLICT else reply.count
    memset(head, 0, sizeof(ReplyHead))
    head.token, head.outcome, head.events = token, <uint8_t>reply.outcome, count
    if count:
        memcpy(p + sizeof(ReplyHead), reply.events, <size_t>count * EVENT_BYTES)
    return sizeof(ReplyHead) + <size_t>count * EVENT_BYTES


# ---- frames

cdef class Frames:
    implementation = "cython"

    cdef object owner, partition, tally
    cdef Intake intake
    cdef readonly uint64_t open, commands
    cdef public bint held
    cdef char* rest                 # owned: what came and was not taken
    cdef size_t rest_used, rest_capacity
    cdef size_t needed              # bytes that `rest` must hold before it is worth looking again
    cdef uint32_t bytes_max, account
    cdef bint operator, admitted, cutting, closed

    def __init__(self, owner, partition):
        self.owner = owner
        self.partition = partition
        self.tally = partition.tally.sessions
        self.intake = partition.intake
        self.bytes_max = HELLO_MOST

    def __dealloc__(self):
        free(self.rest)

    @property
    def waiting(self):
        return self.rest_used

    @property
    def full(self):
        return self.held or self.open >= OPEN_MOST

    def admit(self, uint32_t account, bint operator):
        self.account, self.operator, self.admitted = account, operator, True
        self.bytes_max = BYTES_MOST

    def close(self):
        self.closed = True
        self.rest_used = 0

    def feed(self, bytes data):
        cdef const char* p = PyBytes_AS_STRING(data)
        cdef size_t length = PyBytes_GET_SIZE(data), used = 0
        cdef char* grown
        if self.closed:
            return
        cdef bint first = self.rest_used == 0 and not self.cutting
        if first:
            used = self.cut(p, length)
        if used < length and not self.closed:
            if self.rest_used + length - used > self.rest_capacity:
                grown = <char*>realloc(self.rest, self.rest_used + length - used)
                if grown == NULL:
                    raise MemoryError(f"no memory for {self.rest_used + length - used} bytes of a session")
                self.rest, self.rest_capacity = grown, self.rest_used + length - used
            memcpy(self.rest + self.rest_used, p + used, length - used)
            self.rest_used += length - used
        if not first:
            self.go_on()

    def go_on(self):
        cdef size_t used
        if self.cutting or self.closed or self.rest_used < self.needed or self.rest_used == 0:
            return
        used = self.cut(self.rest, self.rest_used)
        if self.closed:
            return
        self.rest_used -= used
        if self.rest_used:
            memmove(self.rest, self.rest + used, self.rest_used)
        elif self.rest_capacity > REST_KEPT:
            free(self.rest)
            self.rest = NULL
            self.rest_capacity = 0

    cdef size_t cut(self, const char* p, size_t length) except? 0:
        """Frames from these bytes, as many as are whole and may be taken; how many bytes they were."""
        cdef size_t used = 0
        cdef const Header* head
        self.needed = 0
        self.cutting = True
        try:
            while length - used >= sizeof(Header) and not self.held and self.open < OPEN_MOST and not self.closed:
                head = <const Header*>(p + used)
                if head.protocol != SPOKEN or head.length > self.bytes_max:
                    raise FrameError(
                        f"frame of type {head.type}, protocol {head.protocol}, {head.length} bytes: not a frame of ours, or "
                        f"longer than the {self.bytes_max} bytes that are allowed here"
                    )
                if length - used < sizeof(Header) + head.length:
                    self.needed = sizeof(Header) + head.length
                    break
                used += sizeof(Header) + head.length
                if head.type == SUBMIT:
                    self.submit(head, <const Command*>(<const char*>head + sizeof(Header)))
                else:
                    self.owner.frame(
                        head.type, head.request,
                        PyBytes_FromStringAndSize(<const char*>head + sizeof(Header), head.length),
                    )
        finally:
            self.cutting = False
        return used

    cdef int submit(self, const Header* head, const Command* commands) except -1:
        cdef uint32_t count = head.records, i, run = 0, first = 0, account
        cdef int outcome
        cdef Batch batch
        cdef Command one
        cdef uint64_t now_ns
        if not self.admitted:
            raise FrameError("SUBMIT before HELLO")
        if not 1 <= count <= MOST or head.length != count * COMMAND_BYTES:
            raise FrameError(
                f"SUBMIT of {count} commands has {head.length} bytes; it takes 1 to {MOST} commands of "
                f"{COMMAND_BYTES} bytes each"
            )
        self.open += count
        self.commands += count
        self.tally.batches += 1
        self.tally.commands += count
        batch = Batch.__new__(Batch)
        batch.frames, batch.request, batch.count, batch.left = self, head.request, count, count
        keep_tokens(batch, commands)
        now_ns = monotonic_ns()
        for i in range(count):
            outcome = look_at(&commands[i], self.account, self.operator, &account)
            if outcome == TAKEN and commands[i].kind != MASS_CANCEL:
                if run == 0:
                    first = i
                run_of_commands[run] = commands[i]
                run_of_commands[run].account = account
                run += 1
                continue
            if run:
                self.intake.submit_many(run_of_commands, run, batch, first, now_ns)
                run = 0
            if outcome == TAKEN:
                one = commands[i]
                one.account = account
                self.partition.submit(PyBytes_FromStringAndSize(<const char*>&one, COMMAND_BYTES), Single(batch), i)
            else:
                batch.not_taken(i, outcome)
        if run:
            self.intake.submit_many(run_of_commands, run, batch, first, now_ns)
        return 0

    cdef int sent(self, bytes frame, uint32_t count) except -1:
        self.open -= count
        if not self.closed:
            self.owner.write(frame)
        return 0

    cdef int lost_one(self) except -1:
        if not self.closed:
            self.owner.unknown()
        return 0


cdef class Single:
    """The target of a mass cancel, which `Partition.submit` takes one by one."""

    cdef Batch batch

    def __init__(self, Batch batch):
        self.batch = batch

    def reply(self, uint64_t token, uint32_t outcome, bytes events):
        cdef Reply reply
        reply.events = <const Event*>PyBytes_AS_STRING(events)
        reply.count = <uint32_t>(PyBytes_GET_SIZE(events) // EVENT_BYTES)
        reply.outcome = outcome
        self.batch.told(token, &reply, 1)

    def lost(self, token):
        self.batch.frames.lost_one()


cdef int keep_tokens(Batch batch, const Command* commands) except -1:
    cdef uint32_t i, seen = 0
    for i in range(batch.count):
        seen |= commands[i].token
    if seen:
        batch.tokens = <uint32_t*>malloc(batch.count * sizeof(uint32_t))
        if batch.tokens == NULL:
            raise MemoryError(f"no memory for {batch.count} tokens")
        for i in range(batch.count):
            batch.tokens[i] = commands[i].token
    return 0
