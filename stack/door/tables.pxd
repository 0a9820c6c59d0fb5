# Names and numbers of a partition for C: symbols and accounts, found by name or by number.
#
# A TableSet owns its arrays and never changes once built: a new definition makes a new one, and whoever still reads the old
# one holds a reference to its owner. Numbers begin at 1; entry 0 of each array is unused and has length 0.
from libc.stdint cimport int64_t, uint32_t, uint64_t, uint8_t
from libc.string cimport memcmp

cdef extern from *:
    ctypedef unsigned long long u128 "unsigned __int128"

cdef struct Listed:
    uint64_t tick       # tick_size = tick * 10**-tick_scale
    uint64_t lot
    int tick_scale      # 0..18
    int lot_scale
    uint8_t length
    char name[12]

cdef struct Named:
    uint8_t length
    char name[32]

cdef struct TableSet:
    Listed* listed
    Named* named
    uint32_t listed_count   # entries of the array, the unused one included
    uint32_t named_count
    uint32_t* listed_slots  # open addressing by name; 0 is empty
    uint32_t* named_slots
    uint32_t listed_mask
    uint32_t named_mask

cdef inline uint32_t name_hash(const char* name, Py_ssize_t length) noexcept nogil:
    cdef uint32_t h = 2166136261u
    cdef Py_ssize_t i
    for i in range(length):
        h = (h ^ <uint8_t>name[i]) * 16777619u
    return h ^ (h >> 15)

cdef inline uint32_t find_symbol(const TableSet* tables, const char* name, Py_ssize_t length) noexcept nogil:
    """Its number, or 0."""
    cdef uint32_t slot = name_hash(name, length) & tables.listed_mask
    cdef uint32_t number = tables.listed_slots[slot]
    while number:
        if tables.listed[number].length == length and memcmp(tables.listed[number].name, name, length) == 0:
            return number
        slot = (slot + 1) & tables.listed_mask
        number = tables.listed_slots[slot]
    return 0

cdef inline uint32_t find_account(const TableSet* tables, const char* name, Py_ssize_t length) noexcept nogil:
    """Its number, or 0."""
    cdef uint32_t slot = name_hash(name, length) & tables.named_mask
    cdef uint32_t number = tables.named_slots[slot]
    while number:
        if tables.named[number].length == length and memcmp(tables.named[number].name, name, length) == 0:
            return number
        slot = (slot + 1) & tables.named_mask
        number = tables.named_slots[slot]
    return 0
