# Records of the journal, written and read in C. What the fields mean stands in journal_python.py.
from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memcpy
from engine.layout cimport (
    CHAIN_MULTIPLIER, COMMAND_BYTES, Command, RECORD_BYTES, RECORD_CHECKED_OFFSET, Record, UNSYNCED_MAX, UNSYNCED_SHIFT,
)

cdef extern from "checksum.h" nogil:
    uint32_t crc32c_of(const void* data, size_t length)
    uint32_t crc32c_by_table(const unsigned char* data, size_t length)
    const char* crc32c_how()

cdef struct Chain:
    uint32_t epoch
    uint64_t sequence           # of the last record
    uint64_t chain              # after the last record
    uint64_t synced             # sequence up to which everything is known to be synced

cdef inline uint64_t mixed(uint64_t chain, uint32_t crc) noexcept nogil:
    cdef uint64_t product = (chain ^ crc) * CHAIN_MULTIPLIER
    return product ^ (product >> 32)

cdef inline uint32_t record_crc(const Record* record) noexcept nogil:
    return crc32c_of(<const char*>record + RECORD_CHECKED_OFFSET, RECORD_BYTES - RECORD_CHECKED_OFFSET)

cdef inline void write_record(Chain* after, Record* record, const Command* command, uint64_t time_ns, uint32_t flags,
                              uint64_t events_hash) noexcept nogil:
    """Fills in the record that follows; `command` is copied without its token."""
    cdef uint64_t unsynced = after.sequence - after.synced
    if unsynced > UNSYNCED_MAX:
        unsynced = UNSYNCED_MAX
    record.length = RECORD_BYTES
    record.epoch = after.epoch
    record.flags = flags | <uint32_t>unsynced << UNSYNCED_SHIFT
    record.chain = after.chain
    record.events_hash = events_hash
    record.sequence = after.sequence + 1
    record.time_ns = time_ns
    memcpy(&record.command, command, COMMAND_BYTES)
    record.command.token = 0
    record.crc = record_crc(record)
    after.sequence += 1
    after.chain = mixed(after.chain, record.crc)

cdef inline bint follows(const Chain* after, const Record* record) noexcept nogil:
    return (record.length == RECORD_BYTES and record.epoch == after.epoch and record.sequence == after.sequence + 1
            and record.chain == after.chain and record.crc == record_crc(record))

cdef inline uint64_t valid_records(Chain* after, const Record* records, uint64_t n) noexcept nogil:
    """How many records follow one another without a fault; `after` moves along."""
    cdef uint64_t i
    for i in range(n):
        if not follows(after, &records[i]):
            return i
        after.sequence += 1
        after.chain = mixed(after.chain, records[i].crc)
    return n
