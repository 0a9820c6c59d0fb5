# What door.pyx takes from door_codec.pyx.
from stack.matcher.door_reply cimport Text
from stack.matcher.door_tables cimport TableSet

cdef enum:
    NOBODY = -1     # no account number: the gateway says why

cdef class DoorTables:
    cdef TableSet set               # owned
    cdef readonly object source     # the stack.wire.tables.Tables it was made from

cdef int number_of(DoorTables tables, str account) except -2
cdef int add_order(Text* text, bytes events, int partition, DoorTables tables) except -1
cdef int add_bytes(Text* text, bytes more) except -1
cdef bytes http_answer(const char* status_line, const Text* body)
