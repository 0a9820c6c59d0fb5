# The head of one HTTP/1.1 request, as nginx forwards it.
#
# The pointers of a Head point into the bytes that were read. `read_head` takes framing only from one plain Content-Length;
# everything else about framing is UNCLEAR, and the connection is closed once it is answered. So is what another reader might
# split otherwise: a line end without \r, a control character, a folded line, a blank in a name ("Content-Length : 5").
from libc.stdint cimport uint8_t
from libc.string cimport memchr, memcmp

cdef extern from "string.h" nogil:
    void* memmem(const void* where, size_t length, const void* what, size_t what_length)

cdef extern from "strings.h" nogil:
    int strncasecmp(const char* one, const char* other, size_t length)

cdef enum:
    PARTIAL = 0         # the blank line has not come yet
    WHOLE = 1
    UNCLEAR = 2         # where the request ends cannot be said

cdef enum:
    OTHER_ROUTE = 0
    ONE_ORDER = 1
    BATCH = 2

cdef struct Head:
    int route
    bint close              # the client wants the connection closed after the answer
    size_t length           # bytes, the blank line included
    size_t body             # bytes that follow
    const char* authorization
    size_t authorization_length

cdef inline bint has_bare_line_end(const char* p, size_t length) noexcept nogil:
    cdef const char* end = p + length
    cdef const char* at = <const char*>memchr(p, c'\n', length)
    while at != NULL:
        if at == p or (at - 1)[0] != c'\r':
            return True
        at = <const char*>memchr(at + 1, c'\n', end - at - 1)
    return False

cdef inline bint is_plain_text(const char* p, const char* end) noexcept nogil:
    """No control character but tabs."""
    while p < end:
        if <uint8_t>p[0] < 0x20 and p[0] != c'\t' or <uint8_t>p[0] == 0x7f:
            return False
        p += 1
    return True

cdef inline bint is_plain_name(const char* p, const char* end) noexcept nogil:
    """Of a header: not empty, no blank, nothing beyond ASCII."""
    if p == end:
        return False
    while p < end:
        if <uint8_t>p[0] <= 0x20 or <uint8_t>p[0] > 0x7e:
            return False
        p += 1
    return True

cdef inline int read_head(const char* p, size_t length, Head* out) noexcept nogil:
    cdef const char* end = <const char*>memmem(p, length, b"\r\n\r\n", 4)
    cdef const char* line
    cdef const char* next_line
    cdef const char* value
    cdef size_t name, size
    cdef bint has_length = False
    if end == NULL:
        return UNCLEAR if has_bare_line_end(p, length) else PARTIAL
    out.route = OTHER_ROUTE
    out.close = False
    out.length = end + 4 - p
    out.body = 0
    out.authorization = NULL
    out.authorization_length = 0
    end += 2    # every line, the last one too, now ends with \r\n before `end`
    line = <const char*>memmem(p, end - p, b"\r\n", 2)
    size = line - p
    if size < 10 or memcmp(line - 9, b" HTTP/1.1", 9) != 0 or not is_plain_text(p, line):
        return UNCLEAR
    if size == 21 and memcmp(p, b"POST /orders", 12) == 0:
        out.route = ONE_ORDER
    elif size == 27 and memcmp(p, b"POST /orders/batch", 18) == 0:
        out.route = BATCH
    line += 2
    while line < end:
        next_line = <const char*>memmem(line, end - line, b"\r\n", 2)
        value = <const char*>memchr(line, c':', next_line - line)
        if value == NULL or not is_plain_name(line, value) or not is_plain_text(value, next_line):
            return UNCLEAR
        name = value - line
        value += 1
        while value < next_line and value[0] == c' ':
            value += 1
        size = next_line - value
        while size and value[size - 1] == c' ':
            size -= 1
        if name == 14 and strncasecmp(line, b"content-length", 14) == 0:
            if has_length or not read_length(value, size, &out.body):
                return UNCLEAR
            has_length = True
        elif name == 17 and strncasecmp(line, b"transfer-encoding", 17) == 0:
            return UNCLEAR
        elif name == 13 and strncasecmp(line, b"authorization", 13) == 0:
            if out.authorization != NULL:
                out.route = OTHER_ROUTE
            out.authorization = value
            out.authorization_length = size
        elif name == 10 and strncasecmp(line, b"connection", 10) == 0:
            if size == 5 and strncasecmp(value, b"close", 5) == 0:
                out.close = True
        line = next_line + 2
    return WHOLE

cdef inline bint read_length(const char* p, size_t size, size_t* out) noexcept nogil:
    cdef size_t i, number = 0
    if size == 0 or size > 15:
        return False
    for i in range(size):
        if <uint8_t>p[i] < c'0' or <uint8_t>p[i] > c'9':
            return False
        number = number * 10 + <size_t>(p[i] - c'0')
    out[0] = number
    return True
