# Which rules a command needs, and what a NEW may carry under which: engine/rules.py says why.
from libc.stdint cimport uint32_t
from engine.layout cimport CANCEL_NEWEST, CANCEL_OLDEST, Command, DAY, FOK, GTT, NEW, POST_ONLY
from engine.types cimport Core

cdef inline void set_rules(Core* core, uint32_t rules) noexcept nogil:
    core.rules = rules
    core.order_flags = POST_ONLY if rules < 2 else POST_ONLY | CANCEL_NEWEST | CANCEL_OLDEST
    core.times_in_force = FOK if rules < 3 else GTT

cdef inline uint32_t rules_needed(const Command* c) noexcept nogil:
    if c.kind != NEW:
        return 1
    if c.tif == DAY or c.tif == GTT:
        return 3
    return 2 if c.flags & (CANCEL_NEWEST | CANCEL_OLDEST) else 1
