# The C face between doors and whoever takes their commands: no Python object is made for a command.
#
# A door makes Commands of what a client sent, submits them as one batch, and is told once, when all of it is durable. All of
# it belongs to one event loop and its thread.
from libc.stdint cimport uint32_t, uint64_t

from engine.layout cimport Command, Event

cdef struct Reply:          # to one command; `events` are whole and lie one behind the other, see REPLIES in stack/wire/frames.py
    const Event* events     # they stay where they are until `told` returns; NULL when there are none
    uint32_t count
    uint32_t outcome        # a stack.wire.frames.Outcome

cdef class Target:
    """Who submits batches. Exactly one of `told` and `lost` is called for each batch, once."""
    # Replies in the order of the commands. What it raises is logged and ends nothing.
    cdef int told(self, uint64_t token, const Reply* replies, uint32_t count) except -1
    # The journal failed while the batch was being written: nobody knows whether any of it is durable.
    cdef int lost(self, uint64_t token) except -1
    # After all replies of a release were given, for whoever asked with Intake.after_release: the moment to write them.
    cdef int released(self) except -1

cdef class Intake:
    # NEW, CANCEL and REPLACE; the tokens inside the commands are ignored, nothing is kept of `commands`. When no command of
    # the batch has to wait for the disk (all of them BUSY or STOPPED), `told` is called from inside; else in a later step.
    # `token` comes back as it is. `arrived_ns`: CLOCK_MONOTONIC of when the bytes came; 0: it is not measured.
    cdef int submit_many(self, const Command* commands, uint32_t count, Target target, uint64_t token,
                         uint64_t arrived_ns) except -1
    # To be asked for inside `told`; asked several times in one release, it is called once.
    cdef int after_release(self, Target target) except -1
