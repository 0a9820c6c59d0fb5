"""The probe's loop, for Python: one call per CPU, without the GIL from its first step to its last."""

from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memset

COUNTER_NAME = COUNTER.decode()
LAYOUT = (SUB_BITS, LONGEST_NS, PLACES)
THRESHOLD_LEAST_NS = THRESHOLD_MIN_NS
cdef enum:
    WARM_NS = 2000000       # how long the loop runs warm before it looks at the gate again
    STAMPS = 200            # of which the pair that was read closest together counts


def stamp(bint by_counter):
    """One moment on both clocks: (counts, nanoseconds of the raw monotonic clock)."""
    cdef uint64_t before, between, after, best = ~<uint64_t>0, counts = 0, at_ns = 0
    cdef int attempt
    with nogil:
        for attempt in range(STAMPS):
            before = now(by_counter)
            between = raw_ns()
            after = now(by_counter)
            if after - before < best:
                best, counts, at_ns = after - before, before + (after - before) // 2, between
    return counts, at_ns


def place_of(uint64_t value_ns):
    """Where the loop counts a step that took so long."""
    return place(value_ns)


def lock_memory():
    """0, or the error number: no page of ours may be fetched while the loop runs."""
    return lock_all_memory()


def unlock_memory():
    unlock_all_memory()


cdef class Meeting:
    cdef Gate gate

    @property
    def arrived(self):
        return seen(&self.gate.arrived)

    def begin(self):
        raise_flag(&self.gate.go)

    def stop(self):
        raise_flag(&self.gate.stop)
        raise_flag(&self.gate.go)


cdef uint64_t floor_ns(Watch* watch) noexcept nogil:
    """The shortest step so far: what the loop itself costs. Exact below 256 ns."""
    cdef uint64_t index
    for index in range(PLACES):
        if watch.steps[index]:
            return index
    return 0


cdef void warm(Watch* watch, Gate* gate, uint64_t warm_counts, bint by_counter) noexcept nogil:
    """Runs the very loop until everybody is there, so that the first counted step finds code, data and clock rate ready."""
    cdef uint64_t begin, threshold = watch.threshold_ns
    arrive(gate)
    watch.threshold_ns = ~<uint64_t>0 if threshold == 0 else threshold
    while not seen(&gate.go):
        begin = now(by_counter)
        turn(watch, begin, begin + warm_counts, &gate.stop, by_counter)
    if threshold == 0:
        threshold = THRESHOLD_FLOORS * floor_ns(watch)
        watch.threshold_ns = threshold if threshold > THRESHOLD_MIN_NS else THRESHOLD_MIN_NS
    memset(watch.steps, 0, PLACES * sizeof(uint64_t))
    memset(&watch.worst, 0, sizeof(watch.worst))
    watch.gaps = watch.gaps_ns = watch.longest_ns = 0


def spin(Meeting meeting, uint64_t duration_ns, uint64_t scale, uint64_t threshold_ns, bint by_counter):
    """Measure on the CPU that the calling thread is pinned to. `threshold_ns` 0: eight times the loop's own cost.

    Returns a dictionary: `steps` (bytes of PLACES unsigned 64-bit counts), `elapsed_ns`, `threshold_ns`, `gaps`,
    `gaps_ns`, `longest_ns`, `worst` (pairs of nanoseconds since the begin and length), `voluntary`, `involuntary`,
    `faults`.
    """
    cdef Watch watch
    cdef uint64_t begin, end
    cdef long before[3]
    cdef long after[3]
    memset(&watch, 0, sizeof(watch))
    watch.scale, watch.threshold_ns = scale, threshold_ns
    watch.steps = <uint64_t*>calloc(PLACES, sizeof(uint64_t))
    if watch.steps == NULL:
        raise MemoryError("no memory for the probe's counts")
    try:
        with nogil:
            memset(watch.steps, 0, PLACES * sizeof(uint64_t))
            warm(&watch, &meeting.gate, (<uint64_t>WARM_NS << 32) // scale, by_counter)
            thread_usage(&before[0], &before[1], &before[2])
            begin = now(by_counter)
            end = begin + <uint64_t>(duration_ns / (scale / 4294967296.0))
            if by_counter:      # each gets a loop of its own: the compiler sees which clock it is
                end = turn(&watch, begin, end, &meeting.gate.stop, True)
            else:
                end = turn(&watch, begin, end, &meeting.gate.stop, False)
            thread_usage(&after[0], &after[1], &after[2])
        return {
            "steps": PyBytes_FromStringAndSize(<char*>watch.steps, PLACES * sizeof(uint64_t)),
            "elapsed_ns": NS_OF(end - begin, scale),
            "threshold_ns": watch.threshold_ns,
            "gaps": watch.gaps,
            "gaps_ns": watch.gaps_ns,
            "longest_ns": watch.longest_ns,
            "worst": [
                (NS_OF(watch.worst[index].at - begin, scale), watch.worst[index].gap_ns)
                for index in range(WORST_KEPT)
                if watch.worst[index].gap_ns
            ],
            "voluntary": after[0] - before[0],
            "involuntary": after[1] - before[1],
            "faults": after[2] - before[2],
        }
    finally:
        free(watch.steps)
