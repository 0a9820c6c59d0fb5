# From an order's events to the Order that every door shows, byte for byte as `stack.wire.order.fold` and the JSON encoder make
# it. What a fast fold does not cover (a text that needs escapes, an average beyond 128 bits, numbers nobody listed) is left
# to those: `write_order` then says UNCERTAIN and has written nothing.
#
# A Text owns its bytes (malloc) and grows; once `failed` is set, for want of memory, its content is of no use.
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport realloc
from libc.string cimport memcpy, strlen

from engine.layout cimport (
    BUY, CANCEL_NEWEST, CANCEL_OLDEST, DAY, EV_ACCEPTED, EV_CANCELLED, EV_FILL, EV_REFUSED, EV_REPLACED, EXPIRED, FOK, GTC, GTT, IOC, LIMIT, MAKER, MARKET, POST_ONLY, SELL,
    TEXT_BYTES, Event,
)
from stack.door.parse cimport CERTAIN, UNCERTAIN
from stack.door.tables cimport Listed, TableSet, u128

cdef enum:
    AVERAGE_DIGITS = 8
    ORDER_BYTES_MAX = 1024  # of an Order without its fills
    FILL_BYTES_MAX = 256

cdef extern from *:
    """
    #define DOOR_10_TO_18 1000000000000000000ULL
    #define DOOR_AVERAGE_POWER 100000000ULL
    """
    const uint64_t TEN_TO_18 "DOOR_10_TO_18"
    const uint64_t AVERAGE_POWER "DOOR_AVERAGE_POWER"
    bint overflows "__builtin_mul_overflow"(u128 a, u128 b, u128* product) nogil

cdef inline const char* self_trade_of(uint8_t flags) noexcept nogil:
    """As JSON."""
    if flags & CANCEL_NEWEST:
        return b'"cancel_both"' if flags & CANCEL_OLDEST else b'"cancel_newest"'
    return b'"cancel_oldest"' if flags & CANCEL_OLDEST else b"null"

cdef inline const char* time_in_force_of(uint8_t tif) noexcept nogil:
    if tif == GTC:
        return b"GTC"
    if tif == IOC:
        return b"IOC"
    if tif == FOK:
        return b"FOK"
    return b"DAY" if tif == DAY else b"GTT"

cdef struct Text:
    char* data
    size_t length
    size_t capacity
    bint failed

cdef inline bint reserve(Text* out, size_t more) noexcept nogil:
    cdef size_t capacity
    cdef char* data
    if out.length + more <= out.capacity:
        return True
    capacity = 2 * (out.length + more)
    data = <char*>realloc(out.data, capacity)
    if data == NULL:
        out.failed = True
        return False
    out.data = data
    out.capacity = capacity
    return True

cdef inline char* put(char* p, const char* text) noexcept nogil:
    cdef size_t n = strlen(text)
    memcpy(p, text, n)
    return p + n

cdef inline char* put_some(char* p, const char* text, size_t n) noexcept nogil:
    memcpy(p, text, n)
    return p + n

cdef inline char* put_number(char* p, uint64_t number) noexcept nogil:
    cdef char digits[20]
    cdef int n = 0
    while True:
        digits[n] = <char>(c'0' + number % 10)
        number //= 10
        n += 1
        if number == 0:
            break
    while n:
        n -= 1
        p[0] = digits[n]
        p += 1
    return p

cdef inline char* put_decimal(char* p, u128 mantissa, int scale) noexcept nogil:
    """mantissa * 10**-scale in quotes, without trailing zeros."""
    cdef char digits[72]    # least significant first; 39 at most, or scale + 1
    cdef int n = 0, skip = 0
    cdef uint64_t part
    p[0] = c'"'
    p += 1
    while mantissa >> 64:
        part = <uint64_t>(mantissa % TEN_TO_18)
        mantissa //= TEN_TO_18
        for _ in range(18):
            digits[n] = <char>(c'0' + part % 10)
            part //= 10
            n += 1
    part = <uint64_t>mantissa
    while part or n <= scale:
        digits[n] = <char>(c'0' + part % 10)
        part //= 10
        n += 1
    if scale:
        while skip < scale and digits[skip] == c'0':
            skip += 1
    while n > scale:
        n -= 1
        p[0] = digits[n]
        p += 1
    if skip < scale:
        p[0] = c'.'
        p += 1
        while n > skip:
            n -= 1
            p[0] = digits[n]
            p += 1
    p[0] = c'"'
    return p + 1

cdef inline bint is_plain(const char* text, size_t length) noexcept nogil:
    """Whether JSON shows this text as it is."""
    cdef size_t i
    for i in range(length):
        if <uint8_t>text[i] < 0x20 or <uint8_t>text[i] > 0x7e or text[i] == c'"' or text[i] == c'\\':
            return False
    return True

cdef inline int write_order(
    Text* out, const Event* events, uint32_t count, uint32_t partition, const TableSet* tables, const char** reasons
) noexcept nogil:
    """Append the Order after `events`, its chain from ACCEPTED on. `reasons` has a name, or NULL, for each of 256 numbers."""
    cdef const Event* first = events
    cdef const Event* last = events + count - 1
    cdef const Event* event
    cdef const Listed* listed
    cdef uint32_t i, fills = 0
    cdef int64_t price, quantity, leaves
    cdef u128 filled = 0, paid = 0, numerator = 0
    cdef size_t text_length = TEXT_BYTES
    cdef uint8_t reason = 0
    cdef bint cancelled = False
    cdef char* p
    if count == 0 or first.kind != EV_ACCEPTED or first.symbol >= tables.listed_count or first.account >= tables.named_count:
        return UNCERTAIN
    listed = &tables.listed[first.symbol]
    if listed.length == 0 or tables.named[first.account].length == 0:
        return UNCERTAIN
    price, quantity, leaves = first.price, first.quantity, first.leaves
    for i in range(count):
        event = events + i
        leaves = event.leaves
        if event.price < 0 or event.quantity < 0 or leaves < 0:
            return UNCERTAIN
        if event.kind == EV_FILL:
            filled += <u128>event.quantity
            paid += <u128>event.quantity * <u128>event.price
            fills += 1
            if paid >> 120:
                return UNCERTAIN
        elif event.kind == EV_REPLACED:
            price, quantity = event.price, event.quantity
        elif event.kind == EV_CANCELLED or event.kind == EV_REFUSED:
            cancelled, reason = True, event.reason
    if overflows(paid, <u128>listed.tick, &numerator) or overflows(numerator, <u128>(2 * AVERAGE_POWER), &numerator):
        return UNCERTAIN
    if numerator + filled < numerator or filled >> 62:
        return UNCERTAIN
    if reason and reasons[reason] == NULL:
        return UNCERTAIN
    while text_length and first.text[text_length - 1] == 0:
        text_length -= 1
    if not is_plain(<const char*>first.text, text_length):
        return UNCERTAIN
    if first.side != BUY and first.side != SELL or first.type != LIMIT and first.type != MARKET:
        return UNCERTAIN
    if first.tif < GTC or first.tif > GTT:
        return UNCERTAIN
    if not reserve(out, ORDER_BYTES_MAX + <size_t>fills * FILL_BYTES_MAX):
        return UNCERTAIN

    p = put(out.data + out.length, b'{"order_id":"')
    p = put_number(p, partition)
    p = put(p, b"-")
    p = put_number(p, first.order if first.order else first.sequence)
    p = put(p, b'","client_order_id":"')
    p = put_some(p, <const char*>first.text, text_length)
    p = put(p, b'","account":"')
    p = put_some(p, tables.named[first.account].name, tables.named[first.account].length)
    p = put(p, b'","symbol":"')
    p = put_some(p, listed.name, listed.length)
    p = put(p, b'","side":"buy"' if first.side == BUY else b'","side":"sell"')
    p = put(p, b',"type":"limit"' if first.type == LIMIT else b',"type":"market"')
    p = put(p, b',"time_in_force":"')
    p = put(p, time_in_force_of(first.tif))
    p = put(p, b'","post_only":true' if first.flags & POST_ONLY else b'","post_only":false')
    p = put(p, b',"self_trade":')
    p = put(p, self_trade_of(first.flags))
    p = put(p, b',"expires_ns":')
    if first.trade:
        p = put_number(p, first.trade)
    else:
        p = put(p, b"null")
    p = put(p, b',"price":')
    if first.type == MARKET:
        p = put(p, b"null")
    else:
        p = put_decimal(p, <u128>price * listed.tick, listed.tick_scale)
    p = put(p, b',"quantity":')
    p = put_decimal(p, <u128>quantity * listed.lot, listed.lot_scale)
    p = put(p, b',"filled_quantity":')
    p = put_decimal(p, filled * listed.lot, listed.lot_scale)
    p = put(p, b',"leaves_quantity":')
    p = put_decimal(p, <u128>leaves * listed.lot, listed.lot_scale)
    p = put(p, b',"average_price":')
    if filled == 0:
        p = put(p, b"null")
    else:
        p = put_decimal(p, (numerator + filled) // (2 * filled), listed.tick_scale + AVERAGE_DIGITS)
    p = put(p, b',"status":"')
    if cancelled:
        p = put(p, b"expired" if reason == EXPIRED else b"cancelled")
    elif leaves == 0:
        p = put(p, b"filled")
    else:
        p = put(p, b"partially_filled" if filled else b"open")
    if reason:
        p = put(p, b'","reason":"')
        p = put(p, reasons[reason])
        p = put(p, b'","sequence":')
    else:
        p = put(p, b'","reason":null,"sequence":')
    p = put_number(p, last.sequence)
    p = put(p, b',"created_ns":')
    p = put_number(p, first.time_ns)
    p = put(p, b',"updated_ns":')
    p = put_number(p, last.time_ns)
    p = put(p, b',"fills":[')
    fills = 0
    for i in range(count):
        event = events + i
        if event.kind != EV_FILL:
            continue
        p = put(p, b',{"trade_id":"' if fills else b'{"trade_id":"')
        fills += 1
        p = put_number(p, partition)
        p = put(p, b"-")
        p = put_number(p, event.trade)
        p = put(p, b'","price":')
        p = put_decimal(p, <u128>event.price * listed.tick, listed.tick_scale)
        p = put(p, b',"quantity":')
        p = put_decimal(p, <u128>event.quantity * listed.lot, listed.lot_scale)
        p = put(p, b',"liquidity":"maker"}' if event.flags & MAKER else b',"liquidity":"taker"}')
    p = put(p, b"]}")
    out.length = p - out.data
    return CERTAIN
