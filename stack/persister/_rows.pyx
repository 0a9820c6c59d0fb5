"""The compiled form of `rows.encode_plain`: events in, rows of a binary COPY out, in two passes.

The first pass finds the texts that are not plain ASCII and asks `text_of` for them; the second writes the rows.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy

from stack.persister.rows import text_of

cdef extern from *:
    """
    #define P_EVENT_BYTES 128
    #define P_NUMBERS_OFFSET 76 /* six single bytes: kind side type tif flags reason */
    #define P_TEXT_OFFSET 84
    #define P_TEXT_BYTES 44
    #define P_FIXED_BYTES 158   /* field count, 7 bigints, 4 integers, 6 smallints, length of the text */
    #define P_COLUMNS 18
    """
    const Py_ssize_t EVENT_BYTES "P_EVENT_BYTES"
    const Py_ssize_t NUMBERS_OFFSET "P_NUMBERS_OFFSET"
    const Py_ssize_t TEXT_OFFSET "P_TEXT_OFFSET"
    const Py_ssize_t TEXT_BYTES "P_TEXT_BYTES"
    const Py_ssize_t FIXED_BYTES "P_FIXED_BYTES"
    const uint16_t COLUMNS "P_COLUMNS"
    uint16_t swap16 "__builtin_bswap16"(uint16_t) nogil
    uint32_t swap32 "__builtin_bswap32"(uint32_t) nogil
    uint64_t swap64 "__builtin_bswap64"(uint64_t) nogil


cdef inline uint8_t* put16(uint8_t* to, uint16_t value) noexcept nogil:
    value = swap16(value)
    memcpy(to, &value, 2)
    return to + 2


cdef inline uint8_t* put32(uint8_t* to, uint32_t value) noexcept nogil:
    value = swap32(value)
    memcpy(to, &value, 4)
    return to + 4


cdef inline uint8_t* field64(uint8_t* to, const uint8_t* value) noexcept nogil:
    cdef uint64_t number
    memcpy(&number, value, 8)
    number = swap64(number)
    to = put32(to, 8)
    memcpy(to, &number, 8)
    return to + 8


cdef inline uint8_t* field32(uint8_t* to, const uint8_t* value) noexcept nogil:
    cdef uint32_t number
    memcpy(&number, value, 4)
    to = put32(to, 4)
    return put32(to, number)


cdef inline uint8_t* fixed_fields(uint8_t* to, const uint8_t* event, uint32_t partition) noexcept nogil:
    """Everything of a row but its text and the text's length."""
    cdef Py_ssize_t place
    to = put16(to, COLUMNS)
    to = field64(to, event)  # sequence
    to = field64(to, event + 8)  # order
    to = field64(to, event + 16)  # time_ns
    for place in range(4, 8):  # price quantity leaves trade; previous is left out
        to = field64(to, event + 8 * place)
    to = put32(put32(to, 4), partition)
    to = field32(to, event + 72)  # index
    to = field32(to, event + 64)  # account
    to = field32(to, event + 68)  # symbol
    for place in range(6):
        to = put16(put32(to, 2), event[NUMBERS_OFFSET + place])
    return to


cdef inline Py_ssize_t plain_length(const uint8_t* text) noexcept nogil:
    """Length of the text without the zeros at its end; -1 when it is not plain ASCII."""
    cdef Py_ssize_t length = TEXT_BYTES, place
    while length and text[length - 1] == 0:
        length -= 1
    for place in range(length):
        if text[place] == 0 or text[place] > 127:
            return -1
    return length


def encode(uint32_t partition, const uint8_t[::1] events) -> bytes:
    cdef Py_ssize_t count = events.shape[0] // EVENT_BYTES, number, length, total
    cdef const uint8_t* event
    cdef dict unusual = {}
    cdef bytes text, rows
    cdef uint8_t* to
    if events.shape[0] % EVENT_BYTES:
        raise ValueError(f"{events.shape[0]} bytes are no whole number of events")
    total = 0
    for number in range(count):
        event = &events[number * EVENT_BYTES]
        length = plain_length(event + TEXT_OFFSET)
        if length < 0:
            text = text_of((<const char*>event)[TEXT_OFFSET:EVENT_BYTES])
            unusual[number] = text
            length = len(text)
        total += FIXED_BYTES + length
    rows = PyBytes_FromStringAndSize(NULL, total)
    to = <uint8_t*>PyBytes_AS_STRING(rows)
    for number in range(count):
        event = &events[number * EVENT_BYTES]
        to = fixed_fields(to, event, partition)
        length = plain_length(event + TEXT_OFFSET)
        if length < 0:
            text = unusual[number]
            length = len(text)
            to = put32(to, <uint32_t>length)
            memcpy(to, <const uint8_t*>PyBytes_AS_STRING(text), length)
        else:
            to = put32(to, <uint32_t>length)
            memcpy(to, event + TEXT_OFFSET, length)
        to += length
    return rows
