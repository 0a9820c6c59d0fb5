"""A batch of commands as the link brings it, and its replies as the link carries them away: whole bytes, in and out."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from engine.layout cimport COMMAND_BYTES, EVENT_BYTES, Command
from stack.door.clock cimport monotonic_ns
from stack.door.face cimport Intake, Reply, Target

from stack.wire.frames import REPLY

cdef packed struct ReplyHead:   # stack.wire.frames.REPLY
    uint32_t token
    uint8_t outcome
    uint8_t spare[3]
    uint32_t events
    uint32_t none

if REPLY.size != sizeof(ReplyHead):
    raise ImportError(f"a reply's head has {REPLY.size} bytes on the wire, {sizeof(ReplyHead)} here")


cdef class Packed(Target):
    cdef bytes commands     # their tokens are needed for the replies
    cdef object owner

    cdef int told(self, uint64_t token, const Reply* replies, uint32_t count) except -1:
        cdef const Command* commands = <const Command*>PyBytes_AS_STRING(self.commands)
        cdef size_t length = 0
        cdef uint32_t i
        cdef ReplyHead* head
        for i in range(count):
            length += sizeof(ReplyHead) + <size_t>replies[i].count * EVENT_BYTES
        cdef bytes payload = PyBytes_FromStringAndSize(NULL, length)
        cdef char* p = PyBytes_AS_STRING(payload)
        for i in range(count):
            head = <ReplyHead*>p
            head.token, head.outcome, head.events, head.none = commands[i].token, <uint8_t>replies[i].outcome, replies[i].count, 0
            memset(head.spare, 0, sizeof(head.spare))
            p += sizeof(ReplyHead)
            memcpy(p, replies[i].events, <size_t>replies[i].count * EVENT_BYTES)
            p += <size_t>replies[i].count * EVENT_BYTES
        self.owner.replies(token, count, payload)
        return 0

    cdef int lost(self, uint64_t token) except -1:
        self.owner.lost(token)
        return 0


def submit(Intake intake, bytes commands, owner, uint64_t token):
    """NEW, CANCEL and REPLACE, with the client's tokens in their last four bytes.

    `owner.replies(token, count, payload of a REPLIES frame)` or `owner.lost(token)` is called once.
    """
    cdef Packed packed = Packed.__new__(Packed)
    if PyBytes_GET_SIZE(commands) % COMMAND_BYTES:
        raise ValueError(f"{PyBytes_GET_SIZE(commands)} bytes are no whole number of commands of {COMMAND_BYTES} bytes")
    packed.commands, packed.owner = commands, owner
    intake.submit_many(<const Command*>PyBytes_AS_STRING(commands), <uint32_t>(PyBytes_GET_SIZE(commands) // COMMAND_BYTES),
                       packed, token, monotonic_ns())
