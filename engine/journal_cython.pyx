"""The journal's codec, compiled: the same API, bytes and verdicts as journal_python."""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport free, realloc

from engine.scan import judged
from engine.codec cimport Chain, crc32c_by_table, crc32c_how, crc32c_of, mixed, valid_records, write_record
from engine.layout cimport COMMAND_BYTES, Command, FIRST_OF_GROUP, RECORD_BYTES, Record

IMPLEMENTATION = "cython"
cdef enum:
    GIL_FREE_FROM = 1 << 16     # bytes; for fewer, giving the GIL away costs more than it frees

CHECKSUM_BY = crc32c_how().decode()     # "cpu" or "table"


def crc32c(data):
    cdef Py_buffer view
    cdef uint32_t crc
    PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
    if view.len >= GIL_FREE_FROM:
        with nogil:
            crc = crc32c_of(view.buf, view.len)
    else:
        crc = crc32c_of(view.buf, view.len)
    PyBuffer_Release(&view)
    return crc


def crc32c_without_cpu(data):
    """What a CPU without the instruction computes; so that it can be compared on one that has it."""
    cdef Py_buffer view
    PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
    cdef uint32_t crc = crc32c_by_table(<const unsigned char*>view.buf, view.len)
    PyBuffer_Release(&view)
    return crc


def mix(uint64_t chain, uint32_t crc):
    return mixed(chain, crc)


def hash_events(uint64_t previous, events):
    return mixed(previous, crc32c(events))


cdef class Encoder:
    def __cinit__(self, uint32_t epoch, uint64_t sequence, uint64_t chain):
        self.state.epoch = epoch
        self.state.sequence = sequence
        self.state.chain = chain
        self.state.synced = sequence

    def __dealloc__(self):
        free(self.records)

    # ---- C face

    cdef int reserve(self, uint64_t more) except -1:
        cdef uint64_t capacity = 2 * self.capacity + 256
        cdef Record* grown
        if self.pending + more <= self.capacity:
            return 0
        if capacity < self.pending + more:
            capacity = self.pending + more
        grown = <Record*>realloc(self.records, capacity * sizeof(Record))
        if grown == NULL:
            raise MemoryError(f"no memory for {self.pending + more} records that are not written yet")
        self.records = grown
        self.capacity = capacity
        return 0

    cdef Record* append_command(self, const Command* command, uint64_t time_ns, bint first_of_group,
                                uint64_t events_hash) except NULL:
        """The record stays where it is until the next append."""
        self.reserve(1)
        cdef Record* record = &self.records[self.pending]
        write_record(&self.state, record, command, time_ns, FIRST_OF_GROUP if first_of_group else 0, events_hash)
        self.pending += 1
        return record

    # ---- Python face

    def append(self, command, uint64_t time_ns, events_hash=None):
        cdef Py_buffer view
        cdef Record* record
        cdef uint64_t before = 0 if events_hash is None else events_hash
        PyObject_GetBuffer(command, &view, PyBUF_SIMPLE)
        try:
            if view.len != COMMAND_BYTES:
                raise ValueError(f"{view.len} bytes are no command of {COMMAND_BYTES} bytes")
            record = self.append_command(<const Command*>view.buf, time_ns, events_hash is not None, before)
            return PyBytes_FromStringAndSize(<const char*>record, RECORD_BYTES)
        finally:
            PyBuffer_Release(&view)

    def extend(self, commands, uint64_t time_ns, events_hash=None):
        cdef Py_buffer view
        cdef uint64_t n, i, first = self.pending
        cdef uint64_t before = 0 if events_hash is None else events_hash
        PyObject_GetBuffer(commands, &view, PyBUF_SIMPLE)
        try:
            if view.len % COMMAND_BYTES != 0:
                raise ValueError(f"{view.len} bytes are no whole number of commands of {COMMAND_BYTES} bytes")
            n = <uint64_t>view.len // COMMAND_BYTES
            self.reserve(n)
            for i in range(n):
                self.append_command(&(<const Command*>view.buf)[i], time_ns, events_hash is not None and i == 0,
                                    before if i == 0 else 0)
            return PyBytes_FromStringAndSize(<const char*>(self.records + first), n * RECORD_BYTES)
        finally:
            PyBuffer_Release(&view)

    @property
    def epoch(self):
        return self.state.epoch

    @property
    def sequence(self):
        return self.state.sequence

    @property
    def chain(self):
        return self.state.chain

    @property
    def synced(self):
        return self.state.synced

    @synced.setter
    def synced(self, uint64_t sequence):
        self.state.synced = sequence

    def take(self):
        taken = PyBytes_FromStringAndSize(<const char*>self.records, self.pending * RECORD_BYTES)
        self.pending = 0
        return taken

    def roll(self, uint32_t epoch):
        if self.pending:
            raise ValueError(f"{self.pending} records of epoch {self.state.epoch} were not taken yet")
        if epoch <= self.state.epoch:
            raise ValueError(f"epoch {epoch} does not follow epoch {self.state.epoch}")
        self.state.epoch = epoch


def last_group(records):
    cdef Py_buffer view
    cdef const Record* first
    cdef uint64_t n
    PyObject_GetBuffer(records, &view, PyBUF_SIMPLE)
    first = <const Record*>view.buf
    n = <uint64_t>view.len // RECORD_BYTES
    n -= n != 0
    while n != 0 and not first[n].flags & FIRST_OF_GROUP:
        n -= 1
    PyBuffer_Release(&view)
    return n * RECORD_BYTES


def scan(buffer, uint32_t epoch, uint64_t sequence, uint64_t chain, uint64_t watermark_sequence):
    cdef Py_buffer view
    cdef Chain after
    cdef uint64_t records
    after.epoch = epoch
    after.sequence = sequence
    after.chain = chain
    PyObject_GetBuffer(buffer, &view, PyBUF_SIMPLE)
    with nogil:
        records = valid_records(&after, <const Record*>view.buf, <uint64_t>view.len // RECORD_BYTES)
    PyBuffer_Release(&view)
    return judged(buffer, records, epoch, after.sequence, after.chain, watermark_sequence)
