"""The probe's loop: reads a clock without pause, and counts every step by how long it took.

Nothing falls between two steps: each begins where the one before ended, so that the counted steps add up to the time that
was measured, and what counting costs is part of the next step. A step that took much longer than the loop itself is a gap:
somebody else had the CPU.

The thread that calls owns the Watch; nobody else reads it before the loop ends. Only a Gate is shared.
"""

from libc.stdint cimport uint64_t


cdef extern from "probe.h" nogil:
    const char* COUNTER
    uint64_t SUB_BITS, SUB_MASK, LONGEST_NS, PLACES, WORST_KEPT, THRESHOLD_FLOORS, THRESHOLD_MIN_NS
    ctypedef struct Gate:
        int arrived, go, stop

    bint UNLIKELY(bint)
    uint64_t HIGH_BIT(uint64_t)
    uint64_t NS_OF(uint64_t counts, uint64_t scale)
    uint64_t counter()
    uint64_t monotonic_ns()
    uint64_t raw_ns()
    void thread_usage(long* voluntary, long* involuntary, long* faults)
    int lock_all_memory()
    void unlock_all_memory()
    void arrive(Gate*)
    int seen(int*)
    void raise_flag(int*)


cdef struct Worst:
    uint64_t at             # when it ended, in counts of the clock
    uint64_t gap_ns


cdef struct Watch:
    uint64_t* steps         # PLACES of them: how many steps took so long
    uint64_t scale          # nanoseconds per count of the clock, times 2^32
    uint64_t threshold_ns   # from here on a step is a gap
    uint64_t gaps
    uint64_t gaps_ns        # all gaps together
    uint64_t longest_ns
    Worst worst[16]         # WORST_KEPT: the longest gaps, in no order


cdef inline uint64_t place(uint64_t value_ns) noexcept nogil:
    """Which of the PLACES a value belongs to; above LONGEST_NS all share the last one."""
    cdef uint64_t value = value_ns if value_ns < LONGEST_NS else LONGEST_NS
    cdef uint64_t bucket = HIGH_BIT(value | SUB_MASK) + 1 - SUB_BITS
    return (bucket << (SUB_BITS - 1)) + (value >> bucket)


cdef inline uint64_t now(bint by_counter) noexcept nogil:
    return counter() if by_counter else monotonic_ns()


cdef inline void note(Watch* watch, uint64_t gap_ns, uint64_t at) noexcept nogil:
    """Off the loop's path: what a gap adds besides its count."""
    cdef uint64_t index, least = 0
    watch.gaps += 1
    watch.gaps_ns += gap_ns
    if gap_ns > watch.longest_ns:
        watch.longest_ns = gap_ns
    for index in range(1, WORST_KEPT):
        if watch.worst[index].gap_ns < watch.worst[least].gap_ns:
            least = index
    if gap_ns > watch.worst[least].gap_ns:
        watch.worst[least].gap_ns = gap_ns
        watch.worst[least].at = at


cdef inline uint64_t turn(Watch* watch, uint64_t begin, uint64_t end, int* stop, bint by_counter) noexcept nogil:
    """From `begin` until `end`, both in counts of the clock, or until `stop`; returns where the last step ended."""
    cdef uint64_t previous = begin
    cdef uint64_t at, gap_ns
    while True:
        at = now(by_counter)
        gap_ns = NS_OF(at - previous, watch.scale)
        previous = at
        watch.steps[place(gap_ns)] += 1
        if UNLIKELY(gap_ns >= watch.threshold_ns):
            note(watch, gap_ns, at)
        if UNLIKELY(at >= end or seen(stop)):
            return at
