"""Writing the event log, compiled: the same files as event_writer.py, byte for byte."""

from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.errno cimport EINTR, ENOSPC, errno
from libc.stdint cimport uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcmp, memset
from posix.mman cimport MAP_FAILED, MAP_SHARED, PROT_READ, PROT_WRITE, mmap, munmap
from posix.unistd cimport close as c_close, pread, pwrite

import os

from engine.layout cimport EV_FILL, EV_REFUSED, EVENT_BYTES, Event
from stack.matcher import event_files
from stack.matcher.ahead import ahead

cdef extern from *:
    """
    #include <fcntl.h>
    #ifdef SYNC_FILE_RANGE_WRITE
    #define BEGIN_WRITE_BACK(fd, offset, length) sync_file_range((fd), (offset), (length), SYNC_FILE_RANGE_WRITE)
    #else
    #define BEGIN_WRITE_BACK(fd, offset, length) ((void)(fd), (void)(offset), (void)(length), 0)
    #endif
    """
    int BEGIN_WRITE_BACK(int fd, long long offset, long long length) nogil

cdef uint64_t EVENTS_PER_FILE = event_files.EVENTS_PER_FILE
cdef uint64_t SEQUENCES_PER_FILE = event_files.SEQUENCES_PER_FILE
cdef size_t EVENTS_FILE_BYTES = event_files.EVENTS_FILE_BYTES
cdef size_t INDEX_FILE_BYTES = event_files.INDEX_FILE_BYTES
cdef enum:
    COMPARED = 4096             # events looked at in one piece: half a megabyte, which stays in the near cache
    PUSH_BYTES = 4 << 20        # written before write-back is begun
    GIL_FREE_FROM = 512         # events; for fewer, giving the GIL away costs more than it frees


cdef int write_whole(int fd, const char* data, size_t length, long long offset) noexcept nogil:
    """0, or the errno."""
    cdef ssize_t done
    while length != 0:
        done = pwrite(fd, data, length, offset)
        if done < 0:
            if errno == EINTR:
                continue
            return errno
        if done == 0:
            return ENOSPC
        data += done
        offset += done
        length -= <size_t>done
    return 0


cdef void read_events(int fd, uint64_t count, long long offset, char* scratch) noexcept nogil:
    """As far as the file has them, zeros behind that."""
    cdef ssize_t there = pread(fd, scratch, count * EVENT_BYTES, offset)
    if there < 0:
        there = 0
    memset(scratch + there, 0, count * EVENT_BYTES - there)


cdef uint64_t count_differing(const char* there, const Event* events, uint64_t count) noexcept nogil:
    cdef uint64_t i, differing = 0
    if memcmp(there, events, count * EVENT_BYTES) == 0:
        return 0
    for i in range(count):
        differing += memcmp(there + i * EVENT_BYTES, &events[i], EVENT_BYTES) != 0
    return differing


def begin_write_back(path, long long offset, long long length):
    cdef int fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with nogil:
            BEGIN_WRITE_BACK(fd, offset, length)    # advice: whether it can is not our business
    finally:
        c_close(fd)


cdef class Writer:
    implementation = "cython"

    def __cinit__(self, files, bint only_compares=False):
        self.files = files
        self.only_compares = only_compares
        self.of_no_order = []
        self.fd = -1
        self.index = <Map*>calloc(MAPS, sizeof(Map))
        self.events = <Map*>calloc(MAPS, sizeof(Map))
        self.scratch = <char*>malloc(COMPARED * EVENT_BYTES)
        if self.index == NULL or self.events == NULL or self.scratch == NULL:
            raise MemoryError("no memory for the event log's tables")

    def __dealloc__(self):
        if self.index != NULL and self.events != NULL:
            self.close()
        free(self.index)
        free(self.events)
        free(self.scratch)

    # ---- C face

    cdef int append_events(self, const Event* events, uint64_t count) except -1:
        if self.coming is not None:     # it would be of what is overwritten now
            self._forget_coming()
        self._write(events, count)
        self._remember(events, count)
        return 0

    cdef int adopt_events(self, const Event* events, uint64_t count, uint64_t* differing) except -1:
        cdef uint64_t place, take, others
        cdef const char* there
        differing[0] = 0
        while count != 0:
            place = self.end % EVENTS_PER_FILE
            take = min(count, EVENTS_PER_FILE - place, <uint64_t>COMPARED)
            self._use_file(self.end // EVENTS_PER_FILE)
            while self.coming is not None and self.piece_end <= self.end:
                self._read_on()
            if self.piece_end > self.end:
                take = min(take, self.piece_end - self.end)
                there = self.piece_memory + (self.end - self.piece_first) * EVENT_BYTES
            else:
                read_events(self.fd, take, place * EVENT_BYTES, self.scratch)
                there = self.scratch
            if take >= GIL_FREE_FROM:
                with nogil:
                    others = count_differing(there, events, take)
            else:
                others = count_differing(there, events, take)
            differing[0] += others
            if self.only_compares:
                self.end += take
            else:
                if others != 0:
                    self._write(events, take)
                self._remember(events, take)
            events += take
            count -= take
        return 0

    cdef const Event* event_at(self, uint64_t ordinal) except NULL:
        cdef uint64_t number = ordinal // EVENTS_PER_FILE
        cdef Map* found = &self.events[number % MAPS]
        if found.number != number + 1:
            if ordinal >= self.end:
                raise IndexError(f"event {ordinal} is not there yet, the log ends at {self.end}")
            self._map(self.events, number, EVENTS_FILE_BYTES, False)
        return &(<const Event*>found.memory)[ordinal % EVENTS_PER_FILE]

    cdef int _read_on(self) except -1:
        """The piece behind the newest one, or nothing is coming any more."""
        cdef Py_buffer view
        self.piece = next(self.coming, None)
        self.piece_first = self.piece_end
        if self.piece is None:
            self._forget_coming()
            return 0
        PyObject_GetBuffer(self.piece, &view, PyBUF_SIMPLE)
        self.piece_memory = <const char*>view.buf       # `piece` keeps it where it is
        self.piece_end += <uint64_t>view.len // EVENT_BYTES
        PyBuffer_Release(&view)
        return 0

    cdef int _forget_coming(self) except -1:
        if self.coming is not None:
            self.coming.close()
        self.coming = self.piece = None
        self.piece_first = self.piece_end = 0
        return 0

    cdef int _use_file(self, uint64_t number) except -1:
        if self.fd >= 0 and number == self.number:
            return 0
        if self.only_compares:
            if self.fd >= 0:
                c_close(self.fd)
            path = self.files.path(number, event_files.EVENTS)
            self.fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC) if path.exists() else -1
            self.number = number
            return 0
        path = self.files.ready(number, event_files.EVENTS)
        if self.fd >= 0:
            self._push(EVENTS_FILE_BYTES)
            c_close(self.fd)
        self.fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        self.number = number
        self.pushed = 0
        self.files.prepare(number + 1, event_files.EVENTS)
        return 0

    cdef int _write(self, const Event* events, uint64_t count) except -1:
        cdef uint64_t ordinal = self.end, place, take
        cdef int error
        while count != 0:
            place = ordinal % EVENTS_PER_FILE
            take = min(count, EVENTS_PER_FILE - place)
            self._use_file(ordinal // EVENTS_PER_FILE)
            if take >= GIL_FREE_FROM:
                with nogil:
                    error = write_whole(self.fd, <const char*>events, take * EVENT_BYTES, place * EVENT_BYTES)
            else:
                error = write_whole(self.fd, <const char*>events, take * EVENT_BYTES, place * EVENT_BYTES)
            if error != 0:
                raise OSError(error, os.strerror(error), str(self.files.path(self.number, event_files.EVENTS)))
            if (place + take) * EVENT_BYTES >= self.pushed + PUSH_BYTES:
                self._push((place + take) * EVENT_BYTES)
            ordinal += take
            events += take
            count -= take
        return 0

    cdef int _push(self, uint64_t written) except -1:
        """Let the disk begin with what was written of the current file, in the thread that makes files ahead."""
        if written > self.pushed:
            path = self.files.path(self.number, event_files.EVENTS)
            self.files.in_background().submit(begin_write_back, path, self.pushed, written - self.pushed)
            self.pushed = written
        return 0

    cdef int _remember(self, const Event* events, uint64_t count) except -1:
        cdef uint64_t i, order, number = 0
        cdef uint64_t* entries = NULL
        cdef const Event* event
        cdef Map* found
        for i in range(count):
            event = &events[i]
            order = event.order
            if event.kind == EV_REFUSED:
                self.refused[event.reason] += 1
            elif order != 0:
                if entries == NULL or order // SEQUENCES_PER_FILE != number:
                    number = order // SEQUENCES_PER_FILE
                    found = &self.index[number % MAPS]
                    if found.number != number + 1:
                        self.files.ready(number, event_files.INDEX)
                        self._map(self.index, number, INDEX_FILE_BYTES, True)
                        self.files.prepare(number + 1, event_files.INDEX)
                    entries = <uint64_t*>found.memory
                entries[order % SEQUENCES_PER_FILE] = self.end + i + 1
                self.fills += event.kind == EV_FILL
            else:
                self.of_no_order.append(PyBytes_FromStringAndSize(<const char*>event, EVENT_BYTES))
        self.end += count
        return 0

    cdef void* _map(self, Map* maps, uint64_t number, size_t size, bint writable) except? NULL:
        """Maps a whole file in the place of whichever had it; NULL without an error where the file is short."""
        cdef Map* place = &maps[number % MAPS]
        cdef void* memory
        path = self.files.path(number, event_files.INDEX if maps == self.index else event_files.EVENTS)
        cdef int fd = os.open(path, (os.O_RDWR if writable else os.O_RDONLY) | os.O_CLOEXEC)
        try:
            if os.fstat(fd).st_size < size:
                return NULL
            memory = mmap(NULL, size, PROT_READ | PROT_WRITE if writable else PROT_READ, MAP_SHARED, fd, 0)
            if memory == MAP_FAILED:
                raise OSError(errno, os.strerror(errno), str(path))
        finally:
            c_close(fd)
        if place.number != 0:
            munmap(place.memory, size)
        place.memory = memory
        place.number = number + 1
        return memory

    # ---- Python face

    def append(self, events):
        cdef Py_buffer view
        PyObject_GetBuffer(events, &view, PyBUF_SIMPLE)
        try:
            self.append_events(<const Event*>view.buf, <uint64_t>view.len // EVENT_BYTES)
        finally:
            PyBuffer_Release(&view)

    def adopt(self, events):
        cdef Py_buffer view
        cdef uint64_t differing
        PyObject_GetBuffer(events, &view, PyBUF_SIMPLE)
        try:
            self.adopt_events(<const Event*>view.buf, <uint64_t>view.len // EVENT_BYTES, &differing)
            return differing
        finally:
            PyBuffer_Release(&view)

    def restart_at(self, uint64_t end):
        self.close()
        self.end = self.piece_first = self.piece_end = end
        self.coming = ahead(event_files.events_from(self.files, end))

    def forget_counts(self):
        self._forget_coming()
        self.fills = 0
        memset(self.refused, 0, sizeof(self.refused))
        self.of_no_order = []

    def refusals(self):
        cdef int reason
        return {reason: self.refused[reason] for reason in range(REASONS) if self.refused[reason] != 0}

    def take_of_no_order(self):
        taken, self.of_no_order = self.of_no_order, []
        return taken

    def chain_before(self, uint64_t end, long long limit):
        """What EventReader.chain_before gives, at a tenth of the time: replies to cancels and replaces wait for it."""
        cdef uint64_t at = end
        cdef long long count = 0
        cdef const Event* event
        cdef Event* to
        if end > self.end:
            return b"", 0
        while at != 0 and count != limit:
            at = self.event_at(at - 1).previous
            count += 1
        chain = PyBytes_FromStringAndSize(NULL, count * EVENT_BYTES)
        to = <Event*>PyBytes_AS_STRING(chain)
        at = end
        while count != 0:
            count -= 1
            event = self.event_at(at - 1)
            to[count] = event[0]
            at = event.previous
        return chain, at

    def close(self):
        cdef int i
        self._forget_coming()
        for i in range(MAPS):
            if self.index[i].number != 0:
                munmap(self.index[i].memory, INDEX_FILE_BYTES)
            if self.events[i].number != 0:
                munmap(self.events[i].memory, EVENTS_FILE_BYTES)
        memset(self.index, 0, MAPS * sizeof(Map))
        memset(self.events, 0, MAPS * sizeof(Map))
        if self.fd >= 0:
            c_close(self.fd)
        self.fd = -1
