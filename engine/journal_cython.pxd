# The C face of the compiled codec, for other Cython modules.
from libc.stdint cimport uint64_t
from engine.codec cimport Chain
from engine.layout cimport Command, Record

cdef class Encoder:
    cdef Chain state
    cdef Record* records
    cdef readonly uint64_t pending          # records not taken yet
    cdef uint64_t capacity                  # records
    cdef int reserve(self, uint64_t more) except -1
    cdef Record* append_command(self, const Command* command, uint64_t time_ns, bint first_of_group,
                                uint64_t events_hash) except NULL
