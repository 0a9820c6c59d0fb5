# A partition's C face: see stack/door/face.pxd for what it promises.
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from engine.client_ids cimport IdKey
from engine.layout cimport Command, Event
from stack.door.face cimport Intake, Reply, Target
from stack.door.stages cimport Stages
from stack.matcher.sequencer_cython cimport Events, Sequencer

cdef enum:
    DECISIONS_US = 4096

cdef struct Ask:                # one command of a batch
    uint8_t outcome, shape
    uint32_t account            # who asked; 0: an operator
    uint64_t order              # the sequence of the order that the shape needs
    uint64_t first              # of its events, among those of its group
    uint32_t count, own         # events; and how many of them are of the command's own order
    uint32_t part               # which group of the batch
    IdKey key

cdef class Batch:
    cdef PartitionIntake intake
    cdef Target target
    cdef uint64_t token
    cdef Ask* asks              # &one, or owned
    cdef Ask one
    cdef uint32_t count
    cdef uint64_t arrived_ns    # 0: its stages are not measured
    cdef uint64_t started_ns, decided_ns
    cdef Events events          # of the last group in which the batch has commands
    cdef list earlier           # of the groups before; None unless a segment began in the middle of the batch
    cdef int turn_away(self) except -1
    cdef int next_group(self, Events events) except -1
    cdef int fill(self, Reply* replies, list kept, object log) except -1
    cdef const Event* own_events(self, const Ask* ask, const Event* events)

cdef class PartitionIntake(Intake):
    cdef readonly object partition
    cdef Sequencer sequencer
    cdef uint64_t waiting_max, client_ids_max
    cdef int refused            # for want of disk space: a room.Refused, looked up for each batch
    cdef object rate            # a RateLimit, or None
    cdef uint64_t decisions[DECISIONS_US]   # how many took so many microseconds, rounded up
    cdef object slow_decision   # told of one that took longer
    cdef Reply* replies         # scratch
    cdef uint32_t replies_capacity
    cdef Events shown           # scratch: events without those of other orders
    cdef readonly Stages stages
    cdef uint32_t measure_every, unmeasured     # batches; 0: never
    cdef public uint64_t durable_ns             # when the groups that are being released became durable
    cdef list releasing         # targets that want to hear of the release's end
    cdef uint32_t decide(self, Batch batch, const Command* commands) except? 0
    cdef int decide_one(self, Batch batch, Ask* ask, const Command* command, uint64_t now_ns) except -1
    cdef int64_t find(self, const Ask* ask, const Command* command) except? -1
    cdef int count_decision(self, uint64_t took_ns) except -1
    cdef Reply* room(self, uint32_t count) except NULL
