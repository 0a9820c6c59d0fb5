# How long requests spend in each stage: histograms that cost a few nanoseconds per value.
from libc.stdint cimport uint64_t

cdef enum:
    DOOR = 0        # from the bytes' arrival to the first decision: read, parse, wait for requests before it
    MATCH = 1       # deciding all its commands
    JOURNAL = 2     # waiting for its group to be written, and the write and sync
    REPLY = 3       # from durable to its answer in the transport's hands: event log, answers before it, its own
    TOTAL = 4       # the sum of those before
    STAGES = 5
    FIRST_OCTAVE = 9    # buckets begin at 512 ns: four to an octave
    BUCKETS = 84        # the last one has no upper bound

cdef class Stages:
    cdef uint64_t counts[STAGES][BUCKETS]
    cdef uint64_t sums_ns[STAGES]
    cdef void add(self, uint64_t arrived_ns, uint64_t started_ns, uint64_t decided_ns, uint64_t durable_ns,
                  uint64_t told_ns) noexcept nogil
