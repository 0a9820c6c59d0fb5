"""See face.pxd. Both classes are there to be inherited from."""


cdef class Target:
    cdef int told(self, uint64_t token, const Reply* replies, uint32_t count) except -1:
        raise TypeError(f"{type(self).__name__} does not say what it does with replies")

    cdef int lost(self, uint64_t token) except -1:
        raise TypeError(f"{type(self).__name__} does not say what it does with lost commands")

    cdef int released(self) except -1:
        return 0


cdef class Intake:
    cdef int submit_many(self, const Command* commands, uint32_t count, Target target, uint64_t token,
                         uint64_t arrived_ns) except -1:
        raise TypeError(f"{type(self).__name__} takes no commands")

    cdef int after_release(self, Target target) except -1:
        raise TypeError(f"{type(self).__name__} releases nothing")
