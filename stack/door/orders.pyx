"""The HTTP door for orders: POST /orders and POST /orders/batch, parsed and answered without an object per order.

nginx forwards these two routes to a socket of this process. A request that the parser is certain of becomes a command, is
submitted, and is answered once it is durable. Whatever else comes (unusual JSON, bad values, an unknown key, another route)
is answered with `X-Accel-Redirect: @gateway` before anything is submitted; nginx then hands the same request to the gateway,
whose model is the specification. So no text of an input error stands here, and refusals of the engine carry the texts of
`stack.gateway.replies`, encoded once at start.

One request of a connection is open at a time; what a client sends meanwhile waits in a bounded buffer. A client that goes
away leaves its order standing. When the engine stops or its journal fails, nobody knows here what became of an open order:
the connection is closed without an answer, nginx sends the order again to whoever listens next, and its id settles it.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memmove

from engine.layout cimport EV_REFUSED, Command
from stack.door.clock cimport monotonic_ns
from stack.door.codec cimport NOBODY, DoorTables, add_bytes, add_order, http_answer, number_of
from stack.door.face cimport Intake, Reply, Target
from stack.door.head cimport BATCH, ONE_ORDER, OTHER_ROUTE, PARTIAL, UNCLEAR, WHOLE, Head, read_head
from stack.door.parse cimport BATCH_MAX, CERTAIN, read_batch, read_one
from stack.door.reply cimport Text, reserve

from engine.records import Event as EventRecord
from stack.wire.frames import Outcome

cdef enum:
    HEAD_BYTES_MAX = 65536
    BODY_BYTES_MAX = 1048576
    WAITING_BYTES_MAX = HEAD_BYTES_MAX + BODY_BYTES_MAX    # of a client that sends ahead
    CALLERS_MAX = 4096

cdef uint32_t DONE = Outcome.DONE, CONFLICT = Outcome.CONFLICT, BUSY = Outcome.BUSY, STOPPED = Outcome.STOPPED
cdef uint32_t FULL = Outcome.FULL
cdef bytes TO_GATEWAY = b"HTTP/1.1 200 OK\r\nX-Accel-Redirect: @gateway\r\nContent-Length: 0\r\n\r\n"


cdef class Door:
    """What all connections share."""

    cdef object source          # has the partition's `number` and newest `tables`
    cdef Intake intake
    cdef object keys
    cdef dict callers           # Authorization header -> account number; only of callers that are known
    cdef DoorTables tables
    cdef int number
    cdef readonly set connections
    cdef list refusals          # by reason: (whole answer, element of a batch)
    cdef tuple busy, conflict, full   # the same
    cdef Text body              # scratch: the body of the answer that is being written
    cdef Command* commands      # scratch: the batch that is being read
    cdef public object server, sweeper
    cdef bint stopping
    cdef readonly unsigned long long taken, deferred   # requests

    def __cinit__(self):
        self.commands = <Command*>malloc(BATCH_MAX * sizeof(Command))
        if self.commands == NULL:
            raise MemoryError

    def __init__(self, source, Intake intake, keys, refused):
        """`keys` is None exactly where authentication is off. `refused` words refusals: stack.gateway.refusals."""
        self.source = source
        self.intake = intake
        self.number = source.number
        self.keys = keys
        self.callers = {}
        self.connections = set()
        self.tables = DoorTables(source.tables)
        self.refusals = [
            refused(Outcome.DONE, EventRecord(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, EV_REFUSED, reason=reason).pack())
            for reason in range(256)
        ]
        self.busy, self.conflict = refused(Outcome.BUSY, b""), refused(Outcome.CONFLICT, b"")
        self.full = refused(Outcome.FULL, b"")

    def connection(self):
        """Of a client that has come: an asyncio protocol."""
        return Connection(self)

    def __dealloc__(self):
        free(self.commands)
        free(self.body.data)

    def reload_keys(self):
        """Read the API keys again; raises KeysError and keeps the old ones."""
        if self.keys is not None:
            self.keys.reload()
            self.callers.clear()

    def stop(self):
        """Take no more requests: idle connections close now, the others with their answer."""
        self.stopping = True
        if self.server is not None:
            self.server.close()
            self.sweeper.stop()
        for connection in list(self.connections):
            (<Connection>connection).stop()

    cdef DoorTables current_tables(self):
        source = self.source.tables
        if source is not self.tables.source:
            self.tables = DoorTables(source)
            self.callers.clear()
        return self.tables

    cdef int caller(self, const Head* head) except -2:
        if self.keys is None:
            return 0
        if head.authorization == NULL:
            return NOBODY
        cdef bytes header = PyBytes_FromStringAndSize(head.authorization, head.authorization_length)
        number = self.callers.get(header)
        if number is None:
            caller = self.keys.caller(header)
            if caller is None:
                return NOBODY
            number = number_of(self.tables, caller.account)
            if len(self.callers) >= CALLERS_MAX:
                self.callers.clear()
            self.callers[header] = number
        return number


cdef class Connection(Target):
    """One client's connection, nginx's most often: an asyncio protocol, and the target of its orders' replies."""

    cdef Door door
    cdef object transport
    cdef object write
    cdef Text rest              # what came and was not taken yet
    cdef size_t needed          # bytes that `rest` must hold before it is worth looking again
    cdef size_t to_skip         # bytes of a body that nobody wants
    cdef bint parsing, closing, blocked, paused
    cdef bint open              # a request has no answer yet
    cdef bint batch             # it is one
    cdef int swept_over         # sweeps in a row
    cdef uint64_t arrived_ns    # when the bytes came that are being read

    def __init__(self, Door door):
        self.door = door

    def __dealloc__(self):
        free(self.rest.data)

    # ---- the protocol

    def connection_made(self, transport):
        self.transport = transport
        self.write = transport.write
        self.door.connections.add(self)
        if self.door.stopping:
            transport.close()

    def connection_lost(self, _error):
        self.door.connections.discard(self)
        self.transport = self.write = None
        self.rest.length = 0

    def eof_received(self):
        self.closing = True
        return self.open

    def pause_writing(self):
        self.blocked = True

    def resume_writing(self):
        self.blocked = False
        self.go_on()

    def data_received(self, bytes data):
        cdef const char* p = PyBytes_AS_STRING(data)
        cdef size_t length = PyBytes_GET_SIZE(data), used
        self.arrived_ns = monotonic_ns()
        if self.to_skip:
            used = min(length, self.to_skip)
            self.to_skip -= used
            p += used
            length -= used
        if self.rest.length == 0 and not self.open and not self.blocked:
            used = self.take(p, length)
            p += used
            length -= used
        if length and self.write is not None:
            if not reserve(&self.rest, length):
                raise MemoryError
            memcpy(self.rest.data + self.rest.length, p, length)
            self.rest.length += length
            if self.open or self.blocked:
                if self.rest.length > WAITING_BYTES_MAX and not self.paused:
                    self.paused = True
                    self.transport.pause_reading()
            else:
                self.go_on()

    def stop(self):
        self.closing = True
        if not self.open and self.transport is not None:
            self.transport.close()

    def sweep(self):
        """How many sweeps in a row it has waited for its client."""
        cdef bint waits = not self.open and (self.blocked or self.rest.length or self.to_skip)
        self.swept_over = self.swept_over + 1 if waits else 0
        return self.swept_over

    # ---- requests

    cdef int go_on(self) except -1:
        """Take what waits in `rest`."""
        cdef size_t used
        if self.parsing or self.open or self.blocked or self.write is None:
            return 0
        if self.rest.length >= self.needed and self.rest.length:
            used = self.take(self.rest.data, self.rest.length)
            if used and self.rest.length:   # length is 0 when the connection was lost meanwhile
                self.rest.length -= used
                memmove(self.rest.data, self.rest.data + used, self.rest.length)
            if self.rest.length == 0 and self.rest.capacity > HEAD_BYTES_MAX:
                free(self.rest.data)    # a large batch came; the next need not
                self.rest.data = NULL
                self.rest.capacity = 0
        if self.paused and self.rest.length <= WAITING_BYTES_MAX and self.write is not None:
            self.paused = False
            self.transport.resume_reading()
        return 0

    cdef size_t take(self, const char* p, size_t length) except? 0:
        """Requests from these bytes until one is open or the bytes end; how many bytes were used."""
        cdef size_t used = 0, size
        cdef Head head
        cdef int found
        self.needed = 0
        self.parsing = True
        try:
            while used < length and not self.open and not self.blocked and not self.closing:
                found = read_head(p + used, length - used, &head)
                if found == UNCLEAR or (found == PARTIAL and length - used > HEAD_BYTES_MAX):
                    self.closing = True
                    self.defer()
                    return length
                if found == PARTIAL:
                    break
                size = head.length + head.body
                if head.body > BODY_BYTES_MAX:
                    self.defer()
                    self.to_skip = size - min(size, length - used)
                    used += size - self.to_skip
                    continue
                if length - used < size:
                    self.needed = size
                    break
                self.closing = self.closing or head.close
                self.request(&head, p + used + head.length)
                used += size
        finally:
            self.parsing = False
        if self.write is None or (self.closing and not self.open):
            return length
        return used

    cdef int request(self, const Head* head, const char* body) except -1:
        """Submit what this request asks for, or hand it to the gateway."""
        cdef Door door = self.door
        cdef Command* commands = door.commands
        cdef const char* end = body + head.body
        cdef DoorTables tables
        cdef Py_ssize_t count = 0, i
        cdef int caller
        self.swept_over = 0
        if head.route == OTHER_ROUTE:
            return self.defer()
        tables = door.current_tables()
        caller = door.caller(head)
        if caller == NOBODY:
            return self.defer()
        if head.route == ONE_ORDER:
            if read_one(body, end, &tables.set, caller, commands) == CERTAIN:
                count = 1
        else:
            count = read_batch(body, end, &tables.set, caller, commands, BATCH_MAX)
        if count == 0:
            return self.defer()
        door.taken += 1
        self.batch = head.route == BATCH
        self.open = True
        # Nothing keeps the scratch: what this brings about may read the next request into it.
        door.intake.submit_many(commands, <uint32_t>count, self, 0, self.arrived_ns)
        return 0

    cdef int defer(self) except -1:
        self.door.deferred += 1
        self.answer(TO_GATEWAY)
        return 0

    # ---- replies

    cdef int told(self, uint64_t token, const Reply* replies, uint32_t count) except -1:
        cdef uint32_t i
        for i in range(count):
            if replies[i].outcome == STOPPED:
                return self.lost(token)
        self.open = False
        if self.write is None:
            return 0
        return self.answer(self.batch_answer(replies, count) if self.batch else self.order_answer(replies))

    cdef int lost(self, uint64_t token) except -1:
        """Nobody knows what became of it: see the module's text."""
        if not self.door.stopping:
            self.door.stop()
        self.open = False
        self.abort()
        return 0

    cpdef int abort(self) except -1:
        if self.transport is not None:
            self.transport.abort()
        return 0

    cdef bytes order_answer(self, const Reply* reply):
        cdef Door door = self.door
        if reply.outcome == BUSY:
            return door.busy[0]
        if reply.outcome == FULL:
            return door.full[0]
        if reply.outcome == CONFLICT:
            return door.conflict[0]
        if reply.events.kind == EV_REFUSED:
            return door.refusals[reply.events.reason][0]
        door.body.length = 0
        add_order(&door.body, reply.events, reply.count, door.number, door.current_tables())
        return http_answer(b"HTTP/1.1 201 Created" if reply.outcome == DONE else b"HTTP/1.1 200 OK", &door.body)

    cdef bytes batch_answer(self, const Reply* replies, uint32_t count):
        cdef Door door = self.door
        cdef Text* text = &door.body
        cdef DoorTables tables = door.current_tables()
        cdef const Reply* reply
        cdef uint32_t i
        text.length = 0
        for i in range(count):
            reply = &replies[i]
            add_bytes(text, b"," if i else b"[")
            if reply.outcome == BUSY:
                add_bytes(text, door.busy[1])
            elif reply.outcome == FULL:
                add_bytes(text, door.full[1])
            elif reply.outcome == CONFLICT:
                add_bytes(text, door.conflict[1])
            elif reply.events.kind == EV_REFUSED:
                add_bytes(text, door.refusals[reply.events.reason][1])
            else:
                add_bytes(text, b'{"status":201,"order":' if reply.outcome == DONE else b'{"status":200,"order":')
                add_order(text, reply.events, reply.count, door.number, tables)
                add_bytes(text, b"}")
        add_bytes(text, b"]")
        return http_answer(b"HTTP/1.1 200 OK", text)

    cdef int answer(self, bytes answer) except -1:
        self.write(answer)
        if self.closing:
            self.transport.close()
        elif self.rest.length:
            self.go_on()
        return 0
