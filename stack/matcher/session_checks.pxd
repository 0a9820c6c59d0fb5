# What a command from outside must look like before the engine sees it, for C. session_commands.py is the specification.
from libc.stdint cimport uint32_t, uint8_t

from engine.layout cimport CANCEL, GTT, MASS_CANCEL, NEW, REPLACE, TEXT_BYTES, Command

cdef enum:
    ID_MAX = 36
    FORBIDDEN = 5       # as stack.wire.frames.Outcome has them; compared at import
    INVALID = 6
    TAKEN = 255         # by the engine; no Outcome has this number

cdef inline bint is_of_id(uint8_t c) noexcept nogil:
    return (c >= 48 and c <= 58 or c >= 65 and c <= 90 or c >= 97 and c <= 122      # 0-9 and the colon, A-Z, a-z
            or c == 45 or c == 46 or c == 95)                                       # - . _

cdef inline bint text_is_good(const Command* command) noexcept nogil:
    """An id, and zeros behind it."""
    cdef int i, length = command.text_length
    if length == 0 or length > ID_MAX:
        return False
    for i in range(length):
        if not is_of_id(command.text[i]):
            return False
    for i in range(length, TEXT_BYTES):
        if command.text[i]:
            return False
    return True

cdef inline bint text_is_none(const Command* command) noexcept nogil:
    cdef int i
    cdef uint8_t seen = command.text_length
    for i in range(TEXT_BYTES):
        seen |= command.text[i]
    return seen == 0

cdef inline int look_at(const Command* command, uint32_t own, bint operator, uint32_t* account) noexcept nogil:
    """TAKEN with the account it is for, or the outcome."""
    cdef uint8_t kind = command.kind
    cdef uint8_t shape = command.side | command.type | command.tif | command.flags
    if command.spare or command.extra and not (kind == NEW and command.tif == GTT):
        return INVALID
    if kind == NEW:
        if command.target or not text_is_good(command):
            return INVALID
    elif kind == CANCEL:
        if shape or command.symbol or command.price or command.quantity or not text_is_none(command):
            return INVALID
    elif kind == REPLACE:
        if shape or command.symbol or not text_is_good(command):
            return INVALID
    elif kind == MASS_CANCEL:
        if shape or command.price or command.quantity or command.target or not text_is_none(command):
            return INVALID
    else:
        return INVALID
    account[0] = command.account
    if command.account == 0 and not (operator and kind == CANCEL):
        account[0] = own
        if own == 0:
            return INVALID
    if own and own != account[0] and not (operator and kind != NEW):
        return FORBIDDEN
    return TAKEN
