"""Orders from JSON and to JSON, for C and (one at a time) for Python, where tests compare them with their specifications.

Specified by `stack.gateway.model.parse_order` and `stack.wire.order.fold`.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport uint8_t, uint32_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy

from engine.layout cimport Command, Event
from stack.door.parse cimport BATCH_MAX, CERTAIN, UNCERTAIN, read_batch, read_one
from stack.door.reply cimport Text, put, put_number, reserve, write_order
from stack.door.tables cimport Listed, Named, TableSet, find_account, name_hash

import msgspec

from engine.records import Reason, unpack_events
from stack.wire.order import fold

cdef const char* REASONS[256]
_reason_names = [b""] * 256
for _reason in Reason:
    _reason_names[_reason] = _reason.name.lower().encode()
for _number in range(256):
    REASONS[_number] = PyBytes_AS_STRING(_reason_names[_number]) if _reason_names[_number] else NULL


cdef class DoorTables:
    """A partition's tables for C; made again for each new `source`."""

    def __cinit__(self, source):
        self.source = source
        cdef uint32_t symbols = 1 + max(source.instruments, default=0)
        cdef uint32_t accounts = 1 + max(source.accounts, default=0)
        cdef TableSet* t = &self.set
        t.listed_count, t.named_count = symbols, accounts
        t.listed_mask, t.named_mask = (1 << (2 * symbols).bit_length()) - 1, (1 << (2 * accounts).bit_length()) - 1
        t.listed = <Listed*>calloc(symbols, sizeof(t.listed[0]))
        t.named = <Named*>calloc(accounts, sizeof(t.named[0]))
        t.listed_slots = <uint32_t*>calloc(t.listed_mask + 1, sizeof(uint32_t))
        t.named_slots = <uint32_t*>calloc(t.named_mask + 1, sizeof(uint32_t))
        if t.listed == NULL or t.named == NULL or t.listed_slots == NULL or t.named_slots == NULL:
            raise MemoryError
        cdef uint32_t number
        cdef bytes name
        for number, listed in source.instruments.items():
            name = listed.symbol.encode()
            t.listed[number].tick, t.listed[number].tick_scale = listed.tick
            t.listed[number].lot, t.listed[number].lot_scale = listed.lot
            t.listed[number].length = _keep(t.listed[number].name, sizeof(t.listed[number].name), name)
            _enter(t.listed_slots, t.listed_mask, name, number)
        for number, account in source.accounts.items():
            name = account.encode()
            t.named[number].length = _keep(t.named[number].name, sizeof(t.named[number].name), name)
            _enter(t.named_slots, t.named_mask, name, number)

    def __dealloc__(self):
        free(self.set.listed)
        free(self.set.named)
        free(self.set.listed_slots)
        free(self.set.named_slots)


cdef uint8_t _keep(char* where, size_t size, bytes name) except? 0:
    if not 0 < <size_t>len(name) <= size:
        raise ValueError(f"a name of {len(name)} bytes does not fit: {name!r}")
    memcpy(where, PyBytes_AS_STRING(name), len(name))
    return <uint8_t>len(name)


cdef void _enter(uint32_t* slots, uint32_t mask, bytes name, uint32_t number) noexcept:
    cdef uint32_t slot = name_hash(PyBytes_AS_STRING(name), PyBytes_GET_SIZE(name)) & mask
    while slots[slot]:
        slot = (slot + 1) & mask
    slots[slot] = number


def parse_order(bytes body, DoorTables tables, str account=None):
    """The command of a body with one order, None when it belongs to the gateway. `account` is the caller's own, if any."""
    cdef Command command
    cdef const char* p = PyBytes_AS_STRING(body)
    cdef int caller = number_of(tables, account)
    if caller == NOBODY or read_one(p, p + len(body), &tables.set, caller, &command) == UNCERTAIN:
        return None
    return PyBytes_FromStringAndSize(<char*>&command, sizeof(Command))


def parse_batch(bytes body, DoorTables tables, str account=None):
    """The commands of a body with a list of orders, None when it belongs to the gateway."""
    cdef const char* p = PyBytes_AS_STRING(body)
    cdef int caller = number_of(tables, account)
    cdef Py_ssize_t count, i
    cdef Command* commands
    if caller == NOBODY:
        return None
    commands = <Command*>malloc(BATCH_MAX * sizeof(Command))
    if commands == NULL:
        raise MemoryError
    try:
        count = read_batch(p, p + len(body), &tables.set, caller, commands, BATCH_MAX)
        return [PyBytes_FromStringAndSize(<char*>&commands[i], sizeof(Command)) for i in range(count)] or None
    finally:
        free(commands)


def order_json(bytes events, int partition, DoorTables tables):
    """The Order after `events`, as JSON; the fast fold's, or the specification's where that is not certain."""
    cdef Text text
    text.data, text.length, text.capacity, text.failed = NULL, 0, 0, False
    try:
        add_order(&text, <const Event*>PyBytes_AS_STRING(events), <uint32_t>(len(events) // sizeof(Event)), partition, tables)
        return PyBytes_FromStringAndSize(text.data, text.length)
    finally:
        free(text.data)


cdef int number_of(DoorTables tables, str account) except -2:
    """0 for a caller who may send for every account; NOBODY when the account is not defined."""
    cdef bytes name
    if account is None:
        return 0
    name = account.encode()
    return <int>find_account(&tables.set, PyBytes_AS_STRING(name), PyBytes_GET_SIZE(name)) or NOBODY


cdef int add_order(Text* text, const Event* events, uint32_t count, int partition, DoorTables tables) except -1:
    if write_order(text, events, count, partition, &tables.set, REASONS) == CERTAIN:
        return 0
    encoded = PyBytes_FromStringAndSize(<const char*>events, count * sizeof(Event))
    return add_bytes(text, msgspec.json.encode(fold(unpack_events(encoded), partition, tables.source)))


cdef int add_bytes(Text* text, bytes more) except -1:
    if not reserve(text, PyBytes_GET_SIZE(more)):
        raise MemoryError
    memcpy(text.data + text.length, PyBytes_AS_STRING(more), PyBytes_GET_SIZE(more))
    text.length += PyBytes_GET_SIZE(more)
    return 0


cdef bytes http_answer(const char* status_line, const Text* body):
    cdef char head[160]
    cdef char* p = put(head, status_line)
    p = put(p, b"\r\nContent-Type: application/json\r\nContent-Length: ")
    p = put_number(p, body.length)
    p = put(p, b"\r\n\r\n")
    cdef size_t length = p - head
    cdef bytes answer = PyBytes_FromStringAndSize(NULL, length + body.length)
    memcpy(PyBytes_AS_STRING(answer), head, length)
    memcpy(PyBytes_AS_STRING(answer) + length, body.data, body.length)
    return answer
