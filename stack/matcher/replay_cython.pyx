"""Replaying a journal into the compiled engine and event log, thousands of records per call: as replay_plain.py."""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from libc.stdint cimport uint64_t

from engine.codec cimport crc32c_of, mixed
from engine.layout cimport EVENT_BYTES, Event, FIRST_OF_GROUP, RECORD_BYTES, Record
from engine.matching cimport Engine
from stack.matcher.event_writer_cython cimport Writer

from engine.replay import differs

IMPLEMENTATION = "cython"

cdef enum:
    BATCH = 1024            # records applied at a time, then on to the end of the group: their events stay in the near cache
    BATCHES = 64            # per call, so that whoever waits can be told how far it is


cdef uint64_t whole_groups(const Record* records, uint64_t count) noexcept nogil:
    """How many records to apply next: BATCH, and what else belongs to the last one's group."""
    cdef uint64_t n = BATCH
    while n < count and not records[n].flags & FIRST_OF_GROUP:
        n += 1
    return n if n < count else count


cdef uint64_t first_differing(const Record* records, uint64_t count, const Event* events, uint64_t emitted,
                              uint64_t* running) noexcept nogil:
    """Index of the first record whose group remembers other events before it than there were; `count` when none does.
    `running` is the hash over all events before, and becomes that over all events after."""
    cdef uint64_t i, first = 0, last = 0
    for i in range(count):
        if i != 0 and records[i].flags & FIRST_OF_GROUP:
            while last < emitted and events[last].sequence < records[i].sequence:
                last += 1
            running[0] = mixed(running[0], crc32c_of(&events[first], (last - first) * EVENT_BYTES))
            first = last
        if records[i].flags & FIRST_OF_GROUP and records[i].events_hash != running[0]:
            return i
    running[0] = mixed(running[0], crc32c_of(&events[first], (emitted - first) * EVENT_BYTES))
    return count


def apply_groups(Engine book, Writer writer, buffer, uint64_t start, uint64_t events_hash):
    cdef Py_buffer view
    cdef const Record* records
    cdef const Event* events
    cdef uint64_t at, total, count, emitted, found, differing, rewritten = 0
    cdef uint64_t remembered
    cdef int batch
    PyObject_GetBuffer(buffer, &view, PyBUF_SIMPLE)
    try:
        at = start // RECORD_BYTES
        total = <uint64_t>view.len // RECORD_BYTES
        for batch in range(BATCHES):
            if at == total:
                break
            records = <const Record*>view.buf + at
            with nogil:
                count = whole_groups(records, total - at)
            events = book.run(records, count, &emitted)
            with nogil:
                found = first_differing(records, count, events, emitted, &events_hash)
            if found != count:
                raise differs(records[found].sequence - 1, events_hash, records[found].events_hash)
            writer.adopt_events(events, emitted, &differing)
            rewritten += differing
            at += count
        return at * RECORD_BYTES, events_hash, rewritten
    finally:
        PyBuffer_Release(&view)
