# Writing events. There is always room: core.pxd makes room for the worst case before a command acts.
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset
from engine.client_ids cimport text_length
from engine.layout cimport CANCEL, Command, EV_CANCELLED, EV_REFUSED, EVENT_BYTES, Event, REPLACE
from engine.types cimport Core, Order

cdef inline Event* emit(Core* core, uint8_t kind) noexcept nogil:
    """A new event, everything zero but its cause and kind."""
    cdef Event* event = &core.events[core.events_used]
    memset(event, 0, EVENT_BYTES)
    event.sequence = core.sequence
    event.time_ns = core.time_ns
    event.index = core.event_index
    event.kind = kind
    core.events_used += 1
    core.event_index += 1
    core.ordinal += 1
    return event

cdef inline Event* report(Core* core, Order* order, uint8_t kind, int64_t price, int64_t quantity,
                          int64_t leaves) noexcept nogil:
    """An event of one order, chained to that order's previous one."""
    cdef Event* event = emit(core, kind)
    event.order = order.sequence
    event.previous = order.last_event
    event.price = price
    event.quantity = quantity
    event.leaves = leaves
    event.account = order.account
    event.symbol = order.symbol
    event.side = order.side
    event.type = order.type
    event.tif = order.tif
    event.flags = order.flags
    order.last_event = core.ordinal
    return event

cdef inline void report_cancelled(Core* core, Order* order, uint8_t reason) noexcept nogil:
    report(core, order, EV_CANCELLED, order.price, order.leaves, 0).reason = reason

cdef inline void copy_text(Event* event, const Command* command) noexcept nogil:
    memcpy(event.text, command.text, text_length(command))

cdef inline void refuse(Core* core, const Command* command, uint8_t reason) noexcept nogil:
    cdef Event* event = emit(core, EV_REFUSED)
    if command.kind == CANCEL or command.kind == REPLACE:
        event.order = <uint64_t>command.target
    event.price = command.price
    event.quantity = command.quantity
    event.account = command.account
    event.symbol = command.symbol
    event.side = command.side
    event.type = command.type
    event.tif = command.tif
    event.flags = command.flags
    event.reason = reason
    copy_text(event, command)
