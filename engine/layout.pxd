# Table of contents: the records of records.h and the constants of memory.h, as Cython sees them.
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

cdef extern from "records.h" nogil:
    ctypedef struct Command:
        uint8_t kind, side, type, tif, flags, text_length
        uint16_t spare
        uint32_t account, symbol
        int64_t price, quantity, target
        uint64_t extra
        uint8_t text[44]
        uint32_t token
    ctypedef struct Record:
        uint32_t length, crc, epoch, flags
        uint64_t chain, events_hash, sequence, time_ns
        Command command
    ctypedef struct Event:
        uint64_t sequence, order, time_ns, previous
        int64_t price, quantity, leaves
        uint64_t trade
        uint32_t account, symbol, index
        uint8_t kind, side, type, tif, flags, reason
        uint16_t spare
        uint8_t text[44]
    enum:
        TEXT_BYTES, COMMAND_BYTES, RECORD_BYTES, RECORD_COMMAND_OFFSET, RECORD_CHECKED_OFFSET, EVENT_BYTES
        SCALE_MAX
        NEW, CANCEL, REPLACE, MASS_CANCEL, HALT, RESUME, DEFINE_INSTRUMENT, DEFINE_ACCOUNT, ROLL_CLIENT_IDS
        ADOPT_RULES, EXPIRE, RULES_VERSION
        BUY, SELL, LIMIT, MARKET, GTC, IOC, FOK, DAY, GTT, OPEN, HALTED_STATE
        POST_ONLY, MAKER, CANCEL_NEWEST, CANCEL_OLDEST, FIRST_OF_GROUP, UNSYNCED_SHIFT, UNSYNCED_MAX
        EV_ACCEPTED, EV_FILL, EV_CANCELLED, EV_REPLACED, EV_REFUSED, EV_HALTED, EV_RESUMED, EV_INSTRUMENT_DEFINED
        EV_ACCOUNT_DEFINED, EV_CLIENT_IDS_ROLLED, EV_MASS_CANCELLED, EV_RULES_ADOPTED, EV_ORDERS_EXPIRED
        NO_REASON, REASON_HALTED, UNKNOWN_ACCOUNT, UNKNOWN_SYMBOL, INSTRUMENT_HALTED, BAD_FIELD, BAD_QUANTITY
        BAD_PRICE, DUPLICATE_CLIENT_ORDER_ID, UNKNOWN_ORDER, NOT_OWNER, POST_ONLY_WOULD_CROSS, BOOK_FULL
        TOO_MANY_FAR_LEVELS, BY_CLIENT, UNFILLED_REST, FOK_NOT_FILLABLE, REASON_MASS_CANCEL, SELF_TRADE, EXPIRED, BAD_EXPIRY
    const uint64_t DAY_NS, EXPIRES_NS_MAX
    const int64_t PRICE_TICKS_MAX, QUANTITY_LOTS_MAX

cdef extern from "memory.h" nogil:
    bint LIKELY(bint x)
    bint UNLIKELY(bint x)
    int HIGH_BIT(uint64_t word)
    void PREFETCH(const void* address)
    uint64_t SCALE_TO(uint64_t hash, uint64_t slots)
    enum:
        FAR_LEVELS_MAX, WINDOW_WORDS, SEQUENCE_BITS, CHECK_EVERY_COMMAND
    const int64_t WINDOW_TICKS, EMPTY_SIDE, NO_LIMIT
    const uint64_t FIBONACCI, CHAIN_MULTIPLIER, SEQUENCE_MASK
    const uint32_t GENERATION_LAST, OLDER_BIT
    void* reserve(size_t bytes)
    void release(void* memory, size_t bytes)
    void keep_pages_small(void* memory, size_t bytes)
    void make_ready(void* memory, size_t bytes, bint faulted_in)
    void fault_in(void* memory, size_t bytes)
    void lock_tables(char* held)
    void unlock_tables(char* held)
