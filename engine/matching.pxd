# The C face of the compiled engine, for other Cython modules: no Python object is made on these calls.
from libc.stdint cimport int64_t, uint64_t
from engine.layout cimport Command, Event, Record
from engine.client_ids cimport IdKey
from engine.snapshot cimport Restoring
from engine.types cimport Core

cdef class Engine:
    cdef Core* core
    cdef Restoring coming               # while a state is put together
    cdef int64_t find_command(self, const Command* command) noexcept nogil
    # The same in two steps, so that many commands wait for memory at once: first all prepared, then each found.
    cdef void prepare_find(self, const Command* command, IdKey* key) noexcept nogil
    cdef int64_t find_prepared(self, const Command* command, IdKey* key) noexcept nogil
    cdef const Event* run(self, const Record* records, uint64_t count, uint64_t* events) except NULL
    cdef list _levels(self, unsigned int symbol, unsigned int s, depth)
