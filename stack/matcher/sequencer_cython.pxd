# The compiled sequencer's C face. What the fields mean stands in sequencer_python.py.
from libc.stdint cimport uint32_t, uint64_t

from engine.journal_cython cimport Encoder
from engine.layout cimport Command, Event
from engine.matching cimport Engine

cdef class Events:
    """Of one group. They may move while it is open, and never once it is closed."""
    cdef Event* first           # owned
    cdef uint64_t count, capacity
    cdef int make_room(self, uint64_t more) except -1
    cdef int add(self, const Event* events, uint64_t count) except -1

cdef class Group:
    cdef public object header, records
    cdef public uint64_t sequence, chain, commands, asked, worst_ns
    cdef readonly Events events
    cdef public list waiting

cdef class Sequencer:
    cdef readonly object engine
    cdef Engine book            # the same engine when it is the compiled one, else None
    cdef readonly Encoder encoder
    cdef public object clock    # None: the system's
    cdef public uint64_t room, events_hash, time_ns, unacknowledged
    cdef readonly Group group
    cdef uint64_t now_ns(self) except? 0
    cdef uint64_t client_ids(self) except? 0
    cdef uint64_t rules(self) except? 0     # in force
    cdef bint due_at(self, uint64_t now_ns) except -1   # has the time come of an order that ends by the clock?
    # Returns how many events it has; they stand at the end of the open group's.
    cdef uint64_t sequence_one(self, const Command* command, uint64_t now_ns) except? 0
