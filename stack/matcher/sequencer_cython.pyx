"""The compiled sequencer: the same records and events as sequencer_python.py."""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_FillInfo, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdlib cimport free, realloc
from libc.string cimport memcpy
from posix.time cimport CLOCK_REALTIME, clock_gettime, timespec

from engine.expiry cimport next_expiry
from engine.codec cimport crc32c_of, mixed
from engine.layout cimport COMMAND_BYTES, EVENT_BYTES, RECORD_BYTES, Record

IMPLEMENTATION = "cython"


cdef class Events:
    def __dealloc__(self):
        free(self.first)

    def __len__(self):
        return self.count * EVENT_BYTES

    def __getbuffer__(self, Py_buffer* view, int flags):
        PyBuffer_FillInfo(view, self, self.first, self.count * EVENT_BYTES, 1, flags)

    cdef int make_room(self, uint64_t more) except -1:
        cdef uint64_t capacity
        cdef Event* grown
        if self.count + more <= self.capacity:
            return 0
        capacity = 2 * (self.count + more)
        if capacity < 16:
            capacity = 16
        grown = <Event*>realloc(self.first, capacity * sizeof(Event))
        if grown == NULL:
            raise MemoryError(f"no memory for {self.count + more} events that are not told yet")
        self.first = grown
        self.capacity = capacity
        return 0

    cdef int add(self, const Event* events, uint64_t count) except -1:
        self.make_room(count)
        memcpy(self.first + self.count, events, count * sizeof(Event))
        self.count += count
        return 0


cdef class Group:
    def __cinit__(self):
        self.records = b""
        self.events = Events.__new__(Events)
        self.waiting = []


cdef class Sequencer:
    def __init__(self, engine, Encoder encoder, *, uint64_t room, uint64_t events_hash, uint64_t time_ns):
        self.engine = engine
        self.book = engine if isinstance(engine, Engine) else None
        self.encoder = encoder
        self.room = room
        self.events_hash = events_hash
        self.time_ns = time_ns
        self.group = Group.__new__(Group)

    cdef uint64_t now_ns(self) except? 0:
        cdef timespec now
        if self.clock is not None:
            return self.clock()
        clock_gettime(CLOCK_REALTIME, &now)
        return <uint64_t>now.tv_sec * 1_000_000_000 + <uint64_t>now.tv_nsec

    cdef uint64_t client_ids(self) except? 0:
        if self.book is not None:
            return self.book.core.ids[self.book.core.younger].count
        return self.engine.client_ids

    cdef uint64_t rules(self) except? 0:
        if self.book is not None:
            return self.book.core.rules
        return self.engine.rules

    cdef uint64_t sequence_one(self, const Command* command, uint64_t now_ns) except? 0:
        cdef Group group = self.group
        cdef const Record* record
        cdef const Event* events
        cdef uint64_t count
        cdef bytes encoded
        if now_ns > self.time_ns:
            self.time_ns = now_ns
        record = self.encoder.append_command(command, self.time_ns, group.sequence == 0,
                                             self.events_hash if group.sequence == 0 else 0)
        self.room -= 1
        if self.book is not None:
            events = self.book.run(record, 1, &count)
        else:
            encoded = self.engine.apply(PyBytes_FromStringAndSize(<const char*>record, RECORD_BYTES))
            events = <const Event*>PyBytes_AS_STRING(encoded)
            count = <uint64_t>PyBytes_GET_SIZE(encoded) // EVENT_BYTES
        group.events.add(events, count)
        group.commands += 1
        group.sequence = self.encoder.state.sequence
        return count

    cdef bint due_at(self, uint64_t now_ns) except -1:
        cdef uint64_t at_ns
        if self.book is not None:
            at_ns = next_expiry(self.book.core)
        else:
            at_ns = self.engine.next_expiry
        return at_ns != 0 and (at_ns <= now_ns or at_ns <= self.time_ns)

    def expiry_due(self):
        if not self.due_at(<uint64_t>-1):   # nothing is to end: the clock need not be asked
            return False
        return bool(self.due_at(self.now_ns()))

    def decide(self, command):
        cdef Py_buffer view
        cdef Events events
        cdef uint64_t count
        PyObject_GetBuffer(command, &view, PyBUF_SIMPLE)
        try:
            if view.len != COMMAND_BYTES:
                raise ValueError(f"{view.len} bytes are no command of {COMMAND_BYTES} bytes")
            count = self.sequence_one(<const Command*>view.buf, self.now_ns())
        finally:
            PyBuffer_Release(&view)
        events = self.group.events
        return PyBytes_FromStringAndSize(<const char*>(events.first + events.count - count), count * EVENT_BYTES)

    def close(self):
        cdef Group group = self.group
        if group.sequence:
            group.records = self.encoder.take()
            group.chain = self.encoder.state.chain
            self.events_hash = mixed(self.events_hash,
                                     crc32c_of(group.events.first, group.events.count * EVENT_BYTES))
        self.group = Group.__new__(Group)
        return group
