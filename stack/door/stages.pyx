"""Histograms of the stages of a request; see stages.pxd."""

from engine.layout cimport HIGH_BIT

NAMES = ("door", "match", "journal", "reply", "total")
BOUNDS_NS = tuple((5 + bucket % 4) << (FIRST_OCTAVE - 2 + bucket // 4) for bucket in range(BUCKETS - 1))


cdef int bucket_of(uint64_t ns) noexcept nogil:
    cdef int octave, bucket
    if ns < (1 << FIRST_OCTAVE):
        return 0
    octave = HIGH_BIT(ns)
    bucket = (octave - FIRST_OCTAVE) * 4 + <int>((ns >> (octave - 2)) & 3)
    return bucket if bucket < BUCKETS else BUCKETS - 1


cdef class Stages:
    cdef void add(self, uint64_t arrived_ns, uint64_t started_ns, uint64_t decided_ns, uint64_t durable_ns,
                  uint64_t told_ns) noexcept nogil:
        cdef uint64_t took[STAGES]
        cdef int stage
        took[DOOR] = started_ns - arrived_ns
        took[MATCH] = decided_ns - started_ns
        took[JOURNAL] = durable_ns - decided_ns
        took[REPLY] = told_ns - durable_ns
        took[TOTAL] = told_ns - arrived_ns
        for stage in range(STAGES):
            self.counts[stage][bucket_of(took[stage])] += 1
            self.sums_ns[stage] += took[stage]

    def read(self):
        """By name, since the start: (nanoseconds in all, how many in each bucket)."""
        return {
            NAMES[stage]: (self.sums_ns[stage], [self.counts[stage][i] for i in range(BUCKETS)])
            for stage in range(STAGES)
        }
