"""The compiled forms of `rows.encode_plain` and `rows.encode_lists_plain`: events in, rows of a binary COPY out.

Events take two passes: the first finds the texts that are not plain ASCII and asks `text_of` for them, the second writes the
rows. Lists take two as well: how many orders each account has, then each order to its account's place. Accounts are numbered
from 1 on, so that the number is the place.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy

from stack.persister.rows import encode_lists_plain, text_of

cdef extern from *:
    """
    #define P_EVENT_BYTES 128
    #define P_NUMBERS_OFFSET 76 /* six single bytes: kind side type tif flags reason */
    #define P_TEXT_OFFSET 84
    #define P_TEXT_BYTES 44
    #define P_FIXED_BYTES 158   /* field count, 7 bigints, 4 integers, 6 smallints, length of the text */
    #define P_COLUMNS 18
    #define P_ACCOUNT_OFFSET 64
    #define P_ACCEPTED 1          /* EventKind.ACCEPTED */
    #define P_LIST_COLUMNS 5
    #define P_LIST_FIXED_BYTES 66 /* field count, 2 integers, 2 bigints, length and head of the array */
    #define P_LIST_ORDERS_MAX 400
    #define P_INT4_OID 23
    #define P_SPREAD_MAX 65536    /* account numbers far above the number of orders would cost more than they save */
    """
    const Py_ssize_t EVENT_BYTES "P_EVENT_BYTES"
    const Py_ssize_t NUMBERS_OFFSET "P_NUMBERS_OFFSET"
    const Py_ssize_t TEXT_OFFSET "P_TEXT_OFFSET"
    const Py_ssize_t TEXT_BYTES "P_TEXT_BYTES"
    const Py_ssize_t FIXED_BYTES "P_FIXED_BYTES"
    const uint16_t COLUMNS "P_COLUMNS"
    const Py_ssize_t ACCOUNT_OFFSET "P_ACCOUNT_OFFSET"
    const uint8_t ACCEPTED "P_ACCEPTED"
    const uint16_t LIST_COLUMNS "P_LIST_COLUMNS"
    const Py_ssize_t LIST_FIXED_BYTES "P_LIST_FIXED_BYTES"
    const Py_ssize_t LIST_ORDERS_MAX "P_LIST_ORDERS_MAX"
    const uint32_t INT4_OID "P_INT4_OID"
    const Py_ssize_t SPREAD_MAX "P_SPREAD_MAX"
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


cdef inline uint8_t* put64(uint8_t* to, uint64_t value) noexcept nogil:
    value = swap64(value)
    memcpy(to, &value, 8)
    return to + 8


cdef inline uint8_t* list_row(
    uint8_t* to, uint32_t partition, uint32_t account, const uint64_t* orders, Py_ssize_t count
) noexcept nogil:
    """At most LIST_ORDERS_MAX orders of one account, ascending."""
    cdef Py_ssize_t number
    to = put16(to, LIST_COLUMNS)
    to = put32(put32(to, 4), partition)
    to = put32(put32(to, 4), account)
    to = put64(put32(to, 8), orders[0])
    to = put64(put32(to, 8), orders[count - 1])
    to = put32(to, <uint32_t>(20 + 8 * count))
    to = put32(put32(put32(put32(put32(to, 1), 0), INT4_OID), <uint32_t>count), 1)
    for number in range(count):
        to = put32(put32(to, 4), <uint32_t>(orders[number] - orders[0]))
    return to


def encode_lists(uint32_t partition, pieces) -> bytes:
    cdef Py_ssize_t total = 0, highest = 0, place, size, count, left, number
    cdef uint32_t account
    cdef const uint8_t* events
    cdef uint8_t* to
    cdef Py_ssize_t* ends = NULL  # of each account's orders in `orders`; while they are placed, where the next one goes
    cdef uint64_t* orders = NULL
    cdef bytes piece, rows
    for piece in pieces:
        events, size = <const uint8_t*>PyBytes_AS_STRING(piece), PyBytes_GET_SIZE(piece)
        for place in range(0, size - size % EVENT_BYTES, EVENT_BYTES):
            if events[place + NUMBERS_OFFSET] == ACCEPTED:
                memcpy(&account, events + place + ACCOUNT_OFFSET, 4)
                highest = max(highest, <Py_ssize_t>account)
                total += 1
    if not total:
        return b""
    if highest > total + SPREAD_MAX:
        return encode_lists_plain(partition, pieces)
    ends = <Py_ssize_t*>calloc(highest + 2, sizeof(Py_ssize_t))
    orders = <uint64_t*>malloc(total * sizeof(uint64_t))
    try:
        if ends == NULL or orders == NULL:
            raise MemoryError
        for piece in pieces:
            events, size = <const uint8_t*>PyBytes_AS_STRING(piece), PyBytes_GET_SIZE(piece)
            for place in range(0, size - size % EVENT_BYTES, EVENT_BYTES):
                if events[place + NUMBERS_OFFSET] == ACCEPTED:
                    memcpy(&account, events + place + ACCOUNT_OFFSET, 4)
                    ends[<Py_ssize_t>account + 1] += 1
        size = 0
        for number in range(highest + 1):
            count = ends[number + 1]
            size += (count + LIST_ORDERS_MAX - 1) // LIST_ORDERS_MAX * LIST_FIXED_BYTES + 8 * count
            ends[number + 1] += ends[number]
        for piece in pieces:
            events = <const uint8_t*>PyBytes_AS_STRING(piece)
            for place in range(0, PyBytes_GET_SIZE(piece) - PyBytes_GET_SIZE(piece) % EVENT_BYTES, EVENT_BYTES):
                if events[place + NUMBERS_OFFSET] == ACCEPTED:
                    memcpy(&account, events + place + ACCOUNT_OFFSET, 4)
                    memcpy(&orders[ends[account]], events + place, 8)
                    ends[account] += 1
        rows = PyBytes_FromStringAndSize(NULL, size)
        to = <uint8_t*>PyBytes_AS_STRING(rows)
        place = 0
        for number in range(highest + 1):
            while place < ends[number]:
                count = min(ends[number] - place, LIST_ORDERS_MAX)
                to = list_row(to, partition, <uint32_t>number, orders + place, count)
                place += count
        return rows
    finally:
        free(ends)
        free(orders)
