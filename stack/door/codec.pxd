# What doors take from codec.pyx.
from libc.stdint cimport uint32_t

from engine.layout cimport Event
from stack.door.reply cimport Text
from stack.door.tables cimport TableSet

cdef enum:
    NOBODY = -1     # no account number: the gateway says why

cdef class DoorTables:
    cdef TableSet set               # owned
    cdef readonly object source     # the stack.wire.tables.Tables it was made from

cdef int number_of(DoorTables tables, str account) except -2
cdef int add_order(Text* text, const Event* events, uint32_t count, int partition, DoorTables tables) except -1
cdef int add_bytes(Text* text, bytes more) except -1
cdef bytes http_answer(const char* status_line, const Text* body)
