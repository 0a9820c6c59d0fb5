/* The layout of engine/records.py for C. Little endian, fixed width, no padding; a test compares the two.

   Records are read in place from buffers of any alignment, hence `packed`: on the CPUs we build for it costs nothing. */
#ifndef ENGINE_RECORDS_H
#define ENGINE_RECORDS_H
#include <stddef.h>
#include <stdint.h>

#if !defined(__BYTE_ORDER__) || __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "journal and wire are little endian and are read in place: big-endian machines run the plain-Python engine"
#endif

#define TEXT_BYTES 44
#define COMMAND_BYTES 96
#define RECORD_BYTES 144
#define RECORD_COMMAND_OFFSET 48
#define RECORD_CHECKED_OFFSET 8 /* the checksum covers everything behind it */
#define EVENT_BYTES 128

#define PRICE_TICKS_MAX (1LL << 40)
#define QUANTITY_LOTS_MAX (1LL << 53)
#define SCALE_MAX 18
#define RULES_VERSION 3
#define DAY_NS 86400000000000ULL
#define EXPIRES_NS_MAX 0x7fffffffffffffffULL

typedef struct __attribute__((packed)) {
    uint8_t kind, side, type, tif; /* of DEFINE_INSTRUMENT: kind, tick_scale, lot_scale, state */
    uint8_t flags, text_length;
    uint16_t spare;
    uint32_t account, symbol;
    int64_t price, quantity, target; /* ticks, lots, sequence; of DEFINE_INSTRUMENT: tick, lot, base_ticks */
    uint64_t extra;                  /* of a NEW with GTT: when it ends; of DEFINE_INSTRUMENT: the currency's eight bytes */
    uint8_t text[TEXT_BYTES];
    uint32_t token;
} Command;

typedef struct __attribute__((packed)) {
    uint32_t length, crc, epoch, flags;
    uint64_t chain, events_hash, sequence, time_ns;
    Command command;
} Record;

typedef struct __attribute__((packed)) {
    uint64_t sequence, order, time_ns, previous;
    int64_t price, quantity, leaves; /* ticks, lots, lots */
    uint64_t trade;
    uint32_t account, symbol, index;
    uint8_t kind, side, type, tif, flags, reason;
    uint16_t spare;
    uint8_t text[TEXT_BYTES];
} Event;

_Static_assert(sizeof(Command) == COMMAND_BYTES, "Command");
_Static_assert(offsetof(Command, account) == 8 && offsetof(Command, price) == 16, "Command");
_Static_assert(offsetof(Command, extra) == 40 && offsetof(Command, text) == 48, "Command");
_Static_assert(offsetof(Command, token) == 92, "Command");
_Static_assert(sizeof(Record) == RECORD_BYTES, "Record");
_Static_assert(offsetof(Record, chain) == 16 && offsetof(Record, sequence) == 32, "Record");
_Static_assert(offsetof(Record, command) == RECORD_COMMAND_OFFSET, "Record");
_Static_assert(sizeof(Event) == EVENT_BYTES, "Event");
_Static_assert(offsetof(Event, price) == 32 && offsetof(Event, account) == 64, "Event");
_Static_assert(offsetof(Event, kind) == 76 && offsetof(Event, text) == 84, "Event");

enum {
    NEW = 1, CANCEL = 2, REPLACE = 3, MASS_CANCEL = 4, HALT = 5, RESUME = 6, DEFINE_INSTRUMENT = 7,
    DEFINE_ACCOUNT = 8, ROLL_CLIENT_IDS = 9, ADOPT_RULES = 10, EXPIRE = 11
};
enum { BUY = 1, SELL = 2 };
enum { LIMIT = 1, MARKET = 2 };
enum { GTC = 1, IOC = 2, FOK = 3, DAY = 4, GTT = 5 };
enum { OPEN = 1, HALTED_STATE = 2 };
enum { POST_ONLY = 1, MAKER = 2, CANCEL_NEWEST = 4, CANCEL_OLDEST = 8 };
enum { FIRST_OF_GROUP = 1, UNSYNCED_SHIFT = 1, UNSYNCED_MAX = 0x7fffffff };
enum {
    EV_ACCEPTED = 1, EV_FILL = 2, EV_CANCELLED = 3, EV_REPLACED = 4, EV_REFUSED = 5, EV_HALTED = 6, EV_RESUMED = 7,
    EV_INSTRUMENT_DEFINED = 8, EV_ACCOUNT_DEFINED = 9, EV_CLIENT_IDS_ROLLED = 10, EV_MASS_CANCELLED = 11,
    EV_RULES_ADOPTED = 12, EV_ORDERS_EXPIRED = 13
};
enum {
    NO_REASON = 0, REASON_HALTED = 1, UNKNOWN_ACCOUNT = 2, UNKNOWN_SYMBOL = 3, INSTRUMENT_HALTED = 4, BAD_FIELD = 5,
    BAD_QUANTITY = 6, BAD_PRICE = 7, DUPLICATE_CLIENT_ORDER_ID = 8, UNKNOWN_ORDER = 9, NOT_OWNER = 10,
    POST_ONLY_WOULD_CROSS = 11, BOOK_FULL = 12, TOO_MANY_FAR_LEVELS = 13, BAD_EXPIRY = 14, BY_CLIENT = 64, UNFILLED_REST = 65,
    FOK_NOT_FILLABLE = 66, REASON_MASS_CANCEL = 67, SELF_TRADE = 68, EXPIRED = 69
};
#endif
