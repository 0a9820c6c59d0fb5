# One order in JSON to one command, or "not certain".
#
# Takes only what it is certain of: the members of the order model, once each, strings without escapes, decimals of at
# most 18 digits without exponent, values that pass every check. Whatever else comes (an error too) is uncertain and belongs to
# the gateway, whose model is the specification. No memory is allocated and nothing is read at or after `end`.
from libc.stdint cimport int64_t, uint32_t, uint64_t, uint8_t
from libc.string cimport memcmp, memcpy, memset

from engine.layout cimport (
    BUY, CANCEL_NEWEST, CANCEL_OLDEST, DAY, EXPIRES_NS_MAX, FOK, GTC, GTT, IOC, LIMIT, MARKET, NEW, POST_ONLY, PRICE_TICKS_MAX, QUANTITY_LOTS_MAX, SELL, Command,
)
from stack.door.tables cimport TableSet, find_account, find_symbol, u128

cdef enum:
    CERTAIN = 0
    UNCERTAIN = 1

cdef enum:  # bits of the members that were there
    HAS_ID = 1
    HAS_ACCOUNT = 2
    HAS_SYMBOL = 4
    HAS_SIDE = 8
    HAS_TYPE = 16
    HAS_PRICE = 32
    HAS_QUANTITY = 64
    HAS_TIF = 128
    HAS_POST_ONLY = 256
    HAS_SELF_TRADE = 512
    HAS_EXPIRES = 1024
    HAS_NEEDED = 1 + 4 + 8 + 16 + 64

cdef enum:
    DIGITS_MAX = 18     # so that mantissa * 10**18 stays below 2**127
    CLIENT_ORDER_ID_MAX = 36
    BATCH_MAX = 1000    # orders

cdef extern from *:
    """
    static const unsigned long long door_power[19] = {
        1ULL, 10ULL, 100ULL, 1000ULL, 10000ULL, 100000ULL, 1000000ULL, 10000000ULL, 100000000ULL, 1000000000ULL,
        10000000000ULL, 100000000000ULL, 1000000000000ULL, 10000000000000ULL, 100000000000000ULL, 1000000000000000ULL,
        10000000000000000ULL, 100000000000000000ULL, 1000000000000000000ULL};
    """
    const uint64_t power "door_power"[19]

cdef struct Decimal:
    uint64_t mantissa   # value = mantissa * 10**-scale
    int scale

cdef inline const char* skip_blank(const char* p, const char* end) noexcept nogil:
    while p < end and (p[0] == c' ' or p[0] == c'\n' or p[0] == c'\r' or p[0] == c'\t'):
        p += 1
    return p

cdef inline const char* read_decimal(const char* p, const char* end, Decimal* out) noexcept nogil:
    """Behind the number at `p`, a JSON number or a string that holds one; NULL when not certain."""
    cdef bint quoted = p < end and p[0] == c'"'
    cdef uint64_t mantissa = 0
    cdef int digits = 0, whole = 0, scale = 0   # `digits` counts from the first that is not zero
    cdef const char* start
    if quoted:
        p += 1
    start = p
    while p < end and c'0' <= p[0] <= c'9':
        mantissa = mantissa * 10 + <uint64_t>(p[0] - c'0')
        digits += mantissa != 0
        whole += 1
        if digits > DIGITS_MAX or whole > DIGITS_MAX:
            return NULL
        p += 1
    if whole == 0 or (not quoted and whole > 1 and start[0] == c'0'):   # JSON has no leading zeros; a string may
        return NULL
    if p < end and p[0] == c'.':
        p += 1
        while p < end and c'0' <= p[0] <= c'9':
            mantissa = mantissa * 10 + <uint64_t>(p[0] - c'0')
            digits += mantissa != 0
            scale += 1
            if digits > DIGITS_MAX or scale > DIGITS_MAX:
                return NULL
            p += 1
        if scale == 0:
            return NULL
    if quoted:
        if p >= end or p[0] != c'"':
            return NULL
        p += 1
    out.mantissa = mantissa
    out.scale = scale
    return p

cdef inline const char* read_time(const char* p, const char* end, uint64_t* ns) noexcept nogil:
    """Behind the whole number at `p`, 1 to EXPIRES_NS_MAX; NULL when not certain."""
    cdef int digits = 0
    ns[0] = 0
    while p < end and c'0' <= p[0] <= c'9':
        ns[0] = ns[0] * 10 + <uint64_t>(p[0] - c'0')
        digits += 1
        if digits > 19 or ns[0] == 0:
            return NULL
        p += 1
    return p if digits and ns[0] <= EXPIRES_NS_MAX else NULL

cdef inline int64_t whole_steps(Decimal value, uint64_t step, int step_scale, int64_t limit) noexcept nogil:
    """How many steps `value` is, 1 to `limit`; 0 when it is no such number."""
    cdef u128 number = value.mantissa, divisor = step, count
    if value.scale > step_scale:
        divisor *= power[value.scale - step_scale]
    else:
        number *= power[step_scale - value.scale]
    if not (number >> 64) and not (divisor >> 64):  # the library's 128-bit division is slow, and seldom needed
        count = <uint64_t>number // <uint64_t>divisor
    else:
        count = number // divisor
    if count * divisor != number or count > <u128>limit:
        return 0
    return <int64_t>count

cdef inline Py_ssize_t string_length(const char* p, const char* end, Py_ssize_t most) noexcept nogil:
    """Of the string whose first character is at `p`, up to its quote; -1 when longer than `most` or unusual."""
    cdef Py_ssize_t n = 0
    while p + n < end and n <= most:
        if p[n] == c'"':
            return n
        if p[n] == c'\\' or <uint8_t>p[n] < 0x20 or <uint8_t>p[n] > 0x7e:
            return -1
        n += 1
    return -1

cdef inline bint is_client_order_id(const char* p, Py_ssize_t length) noexcept nogil:
    cdef Py_ssize_t i
    cdef char c
    for i in range(length):
        c = p[i]
        if not (
            c'a' <= c <= c'z' or c'A' <= c <= c'Z' or c'0' <= c <= c'9' or c == c'_' or c == c'.' or c == c':' or c == c'-'
        ):
            return False
    return length > 0

cdef inline int member_of(const char* key, Py_ssize_t length) noexcept nogil:
    """The bit of the member with this name; 0 when there is none."""
    if length == 4:
        if memcmp(key, b"side", 4) == 0:
            return HAS_SIDE
        if memcmp(key, b"type", 4) == 0:
            return HAS_TYPE
    elif length == 5 and memcmp(key, b"price", 5) == 0:
        return HAS_PRICE
    elif length == 6 and memcmp(key, b"symbol", 6) == 0:
        return HAS_SYMBOL
    elif length == 7 and memcmp(key, b"account", 7) == 0:
        return HAS_ACCOUNT
    elif length == 8 and memcmp(key, b"quantity", 8) == 0:
        return HAS_QUANTITY
    elif length == 9 and memcmp(key, b"post_only", 9) == 0:
        return HAS_POST_ONLY
    elif length == 10:
        if memcmp(key, b"self_trade", 10) == 0:
            return HAS_SELF_TRADE
        if memcmp(key, b"expires_ns", 10) == 0:
            return HAS_EXPIRES
    elif length == 13 and memcmp(key, b"time_in_force", 13) == 0:
        return HAS_TIF
    elif length == 15 and memcmp(key, b"client_order_id", 15) == 0:
        return HAS_ID
    return 0

cdef inline uint8_t word_of(int member, const char* p, Py_ssize_t length) noexcept nogil:
    """The number of a word that `side`, `type`, `self_trade` or `time_in_force` takes; 0 when it takes no such word."""
    if member == HAS_SIDE:
        if length == 3 and memcmp(p, b"buy", 3) == 0:
            return BUY
        if length == 4 and memcmp(p, b"sell", 4) == 0:
            return SELL
    elif member == HAS_TYPE:
        if length == 5 and memcmp(p, b"limit", 5) == 0:
            return LIMIT
        if length == 6 and memcmp(p, b"market", 6) == 0:
            return MARKET
    elif member == HAS_SELF_TRADE:
        if length == 13 and memcmp(p, b"cancel_newest", 13) == 0:
            return CANCEL_NEWEST
        if length == 13 and memcmp(p, b"cancel_oldest", 13) == 0:
            return CANCEL_OLDEST
        if length == 11 and memcmp(p, b"cancel_both", 11) == 0:
            return CANCEL_NEWEST | CANCEL_OLDEST
    elif length == 3:
        if memcmp(p, b"GTC", 3) == 0:
            return GTC
        if memcmp(p, b"IOC", 3) == 0:
            return IOC
        if memcmp(p, b"FOK", 3) == 0:
            return FOK
        if memcmp(p, b"DAY", 3) == 0:
            return DAY
        if memcmp(p, b"GTT", 3) == 0:
            return GTT
    return 0

cdef inline const char* read_order(
    const char* p, const char* end, const TableSet* tables, uint32_t caller, Command* out
) noexcept nogil:
    """Behind the order that begins at `p`, with `out` filled; NULL when not certain.

    `caller` is the number of the account that sends it, 0 when it may send for every account and must name one.
    """
    cdef int seen = 0, member
    cdef uint32_t account = caller
    cdef Py_ssize_t length
    cdef uint8_t word
    cdef Decimal price, quantity
    cdef bint has_price = False
    cdef uint64_t expires_ns
    memset(out, 0, sizeof(Command))
    p = skip_blank(p, end)
    if p >= end or p[0] != c'{':
        return NULL
    while True:
        p = skip_blank(p + 1, end)
        if p >= end or p[0] != c'"':
            return NULL
        p += 1
        length = string_length(p, end, 15)
        if length < 0:
            return NULL
        member = member_of(p, length)
        if member == 0 or seen & member:
            return NULL
        seen |= member
        p = skip_blank(p + length + 1, end)
        if p >= end or p[0] != c':':
            return NULL
        p = skip_blank(p + 1, end)
        if p >= end:
            return NULL
        if p[0] == c'n':
            if end - p < 4 or memcmp(p, b"null", 4) != 0 or not member & (HAS_ACCOUNT | HAS_PRICE | HAS_TIF | HAS_SELF_TRADE | HAS_EXPIRES):
                return NULL
            p += 4
        elif member == HAS_PRICE:
            p = read_decimal(p, end, &price)
            has_price = True
        elif member == HAS_QUANTITY:
            p = read_decimal(p, end, &quantity)
        elif member == HAS_EXPIRES:
            p = read_time(p, end, &expires_ns)
            out.extra = expires_ns
        elif member == HAS_POST_ONLY:
            if end - p >= 4 and memcmp(p, b"true", 4) == 0:
                out.flags |= POST_ONLY
                p += 4
            elif end - p >= 5 and memcmp(p, b"false", 5) == 0:
                p += 5
            else:
                return NULL
        elif p[0] != c'"':
            return NULL
        else:
            p += 1
            length = string_length(p, end, CLIENT_ORDER_ID_MAX)
            if length < 0:
                return NULL
            if member == HAS_ID:
                if not is_client_order_id(p, length):
                    return NULL
                memcpy(out.text, p, length)
                out.text_length = <uint8_t>length
            elif member == HAS_SYMBOL:
                out.symbol = find_symbol(tables, p, length)
                if out.symbol == 0:
                    return NULL
            elif member == HAS_ACCOUNT:
                account = find_account(tables, p, length)
                if account == 0 or (caller and account != caller):
                    return NULL
            else:
                word = word_of(member, p, length)
                if word == 0:
                    return NULL
                if member == HAS_SIDE:
                    out.side = word
                elif member == HAS_TYPE:
                    out.type = word
                elif member == HAS_SELF_TRADE:
                    out.flags |= word
                else:
                    out.tif = word
            p += length + 1
        if p == NULL:
            return NULL
        p = skip_blank(p, end)
        if p >= end:
            return NULL
        if p[0] == c'}':
            break
        if p[0] != c',':
            return NULL
    if seen & HAS_NEEDED != HAS_NEEDED or account == 0:
        return NULL
    if out.tif == 0:
        out.tif = GTC if out.type == LIMIT else IOC
    if out.type == LIMIT:
        if not has_price:
            return NULL
        out.price = whole_steps(
            price, tables.listed[out.symbol].tick, tables.listed[out.symbol].tick_scale, PRICE_TICKS_MAX
        )
        if out.price == 0:
            return NULL
    elif has_price or (out.tif != IOC and out.tif != FOK):
        return NULL
    if out.flags & POST_ONLY and (out.type != LIMIT or out.tif == IOC or out.tif == FOK):
        return NULL
    if (out.tif == GTT) != (out.extra != 0):
        return NULL
    out.quantity = whole_steps(
        quantity, tables.listed[out.symbol].lot, tables.listed[out.symbol].lot_scale, QUANTITY_LOTS_MAX
    )
    if out.quantity == 0:
        return NULL
    out.kind = NEW
    out.account = account
    return p + 1

cdef inline int read_one(
    const char* p, const char* end, const TableSet* tables, uint32_t caller, Command* out
) noexcept nogil:
    """A whole body with one order: CERTAIN or UNCERTAIN."""
    p = read_order(p, end, tables, caller, out)
    return CERTAIN if p != NULL and skip_blank(p, end) == end else UNCERTAIN

cdef inline Py_ssize_t read_batch(
    const char* p, const char* end, const TableSet* tables, uint32_t caller, Command* out, Py_ssize_t most
) noexcept nogil:
    """How many orders a body with a list of them has, all written to `out`; 0 when not certain of every one."""
    cdef Py_ssize_t count = 0
    p = skip_blank(p, end)
    if p >= end or p[0] != c'[':
        return 0
    while True:
        if count == most:
            return 0
        p = read_order(p + 1, end, tables, caller, &out[count])
        if p == NULL:
            return 0
        count += 1
        p = skip_blank(p, end)
        if p >= end:
            return 0
        if p[0] == c']':
            break
        if p[0] != c',':
            return 0
    return count if skip_blank(p + 1, end) == end else 0
