# The C face of the compiled event log, for other Cython modules: no Python object per event.
#
# Calls that return -1 have set an OSError (a full disk, a failing one): stop for good. Memory that `event_at` returned is
# file-backed and read only; it stays valid until the next call of any method here.
from libc.stdint cimport uint64_t
from engine.layout cimport Event

cdef enum:
    MAPS = 1024                 # files of each kind that stay mapped: 2 GiB of index, 32 GiB of addresses for events
    REASONS = 256

cdef struct Map:
    uint64_t number             # 1 + of the file; 0: none
    void* memory

cdef class Writer:
    cdef readonly uint64_t end              # the next event's ordinal
    cdef readonly uint64_t fills            # fill reports since `forget_counts`
    cdef uint64_t refused[REASONS]          # since `forget_counts`, by reason
    cdef list of_no_order                   # encoded, since `take_of_no_order`
    cdef object files
    cdef bint only_compares                 # beside another writer: nothing is written
    cdef int fd                             # of the file of events that was written last, or -1
    cdef uint64_t number                    # of that file
    cdef uint64_t pushed                    # offset in it up to which write-back was begun
    cdef Map* index
    cdef Map* events
    cdef char* scratch
    cdef object coming                      # pieces of what the files hold, read ahead for `adopt_events`, or None
    cdef object piece                       # the newest of them
    cdef const char* piece_memory
    cdef uint64_t piece_first, piece_end    # ordinals; equal: there is none

    # ---- writing
    cdef int append_events(self, const Event* events, uint64_t count) except -1     # durable ones, of whole commands
    cdef int adopt_events(self, const Event* events, uint64_t count, uint64_t* differing) except -1

    # ---- reading
    cdef const Event* event_at(self, uint64_t ordinal) except NULL    # ordinal < end

    cdef int _read_on(self) except -1
    cdef int _forget_coming(self) except -1
    cdef int _use_file(self, uint64_t number) except -1
    cdef int _write(self, const Event* events, uint64_t count) except -1
    cdef int _remember(self, const Event* events, uint64_t count) except -1
    cdef int _push(self, uint64_t written) except -1
    cdef void* _map(self, Map* maps, uint64_t number, size_t size, bint writable) except? NULL
