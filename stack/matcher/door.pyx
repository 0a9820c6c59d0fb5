"""The HTTP door of the engine's own process: POST /orders and POST /orders/batch, parsed and answered here.

nginx forwards these two routes to a socket of this process. A request that the parser is certain of becomes a command, is
submitted, and is answered once it is durable. Whatever else comes (unusual JSON, bad values, an unknown key, another route)
is answered with `X-Accel-Redirect: @gateway` before anything is submitted; nginx then hands the same request to the gateway,
whose model is the specification. So no text of an input error stands here, and refusals of the engine carry the texts of
`stack.gateway.replies`, encoded once at start.

One request of a connection is open at a time; what a client sends meanwhile waits in a bounded buffer. A client that goes
away leaves its order standing. When the engine stops or its journal fails, nobody knows here what became of an open order:
the connection is closed without an answer, nginx sends the order again to whoever listens next, and its id settles it.
"""

import logging

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memmove

from engine.layout cimport EV_REFUSED, Command, Event
from stack.matcher.door_codec cimport NOBODY, DoorTables, add_bytes, add_order, http_answer, number_of
from stack.matcher.door_http cimport BATCH, ONE_ORDER, OTHER_ROUTE, PARTIAL, UNCLEAR, WHOLE, Head, read_head
from stack.matcher.door_parse cimport BATCH_MAX, CERTAIN, read_batch, read_one
from stack.matcher.door_reply cimport Text, reserve

from engine.records import Event as EventRecord
from stack.keys import Keys
from stack.matcher.door_refusals import refused
from stack.matcher.door_sweep import Sweeper
from stack.matcher.listeners import BACKLOG
from stack.wire.frames import Outcome

logger = logging.getLogger(__name__)

cdef enum:
    HEAD_BYTES_MAX = 65536
    BODY_BYTES_MAX = 1048576
    WAITING_BYTES_MAX = HEAD_BYTES_MAX + BODY_BYTES_MAX    # of a client that sends ahead
    CALLERS_MAX = 4096

cdef int DONE = Outcome.DONE, CONFLICT = Outcome.CONFLICT, BUSY = Outcome.BUSY
cdef bytes TO_GATEWAY = b"HTTP/1.1 200 OK\r\nX-Accel-Redirect: @gateway\r\nContent-Length: 0\r\n\r\n"


cdef class Door:
    """What all connections share."""

    cdef object partition
    cdef object submit
    cdef object keys
    cdef dict callers           # Authorization header -> account number; only of callers that are known
    cdef DoorTables tables
    cdef int number
    cdef set connections
    cdef list refusals          # by reason: (whole answer, element of a batch)
    cdef tuple busy, conflict   # the same
    cdef Text body              # scratch: the body of the answer that is being written
    cdef Command* commands      # scratch: the batch that is being read
    cdef readonly object server, sweeper
    cdef bint stopping
    cdef readonly unsigned long long taken, deferred   # requests

    def __cinit__(self):
        self.commands = <Command*>malloc(BATCH_MAX * sizeof(Command))
        if self.commands == NULL:
            raise MemoryError

    def __init__(self, partition, keys):
        """`keys` is None exactly where authentication is off."""
        self.partition = partition
        self.submit = partition.submit
        self.number = partition.number
        self.keys = keys
        self.callers = {}
        self.connections = set()
        self.tables = DoorTables(partition.tables)
        self.refusals = [
            refused(Outcome.DONE, EventRecord(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, EV_REFUSED, reason=reason).pack())
            for reason in range(256)
        ]
        self.busy, self.conflict = refused(Outcome.BUSY, b""), refused(Outcome.CONFLICT, b"")

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
        if self.partition.tables is not self.tables.source:
            self.tables = DoorTables(self.partition.tables)
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


cdef class Connection:
    """One client's connection, nginx's most often: an asyncio protocol, and the target of the partition's replies."""

    cdef Door door
    cdef object transport
    cdef object write
    cdef Text rest              # what came and was not taken yet
    cdef size_t needed          # bytes that `rest` must hold before it is worth looking again
    cdef size_t to_skip         # bytes of a body that nobody wants
    cdef bint parsing, closing, blocked, paused
    cdef int open               # replies that have not come yet
    cdef int swept_over         # sweeps in a row
    cdef bint batch
    cdef bint lost_one          # a reply will never come
    cdef list events            # of a batch, by token
    cdef bytearray outcomes     # of a batch, by token

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
        return self.open > 0

    def pause_writing(self):
        self.blocked = True

    def resume_writing(self):
        self.blocked = False
        self.go_on()

    def data_received(self, bytes data):
        cdef const char* p = PyBytes_AS_STRING(data)
        cdef size_t length = PyBytes_GET_SIZE(data), used
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
        self.lost_one = False
        self.batch = head.route == BATCH
        self.open = <int>count
        if not self.batch:
            door.submit(PyBytes_FromStringAndSize(<char*>commands, sizeof(Command)), self, 0)
            return 0
        self.events = [None] * count
        self.outcomes = bytearray(count)
        # The scratch is read before anything that is submitted can bring another request.
        texts = [PyBytes_FromStringAndSize(<char*>&commands[i], sizeof(Command)) for i in range(count)]
        for i in range(count):
            door.submit(texts[i], self, i)
        return 0

    cdef int defer(self) except -1:
        self.door.deferred += 1
        self.answer(TO_GATEWAY)
        return 0

    # ---- replies, called by the partition

    def reply(self, int token, int outcome, bytes events):
        if outcome > BUSY:
            self.lost(token)
            return
        if self.batch:
            self.events[token] = events
            self.outcomes[token] = outcome
        self.open -= 1
        if self.open:
            return
        if self.lost_one:
            self.abort()
        elif self.write is None:
            self.events = None
        elif self.batch:
            self.answer(self.batch_answer())
        else:
            self.answer(self.order_answer(outcome, events))

    def lost(self, int token):
        """Nobody knows what became of it: see the module's text."""
        if not self.door.stopping:
            self.door.stop()
        self.lost_one = True
        self.open -= 1
        if not self.open:
            self.abort()

    cpdef int abort(self) except -1:
        self.events = None
        if self.transport is not None:
            self.transport.abort()
        return 0

    cdef bytes order_answer(self, int outcome, bytes events):
        cdef Door door = self.door
        cdef const Event* first = <const Event*>PyBytes_AS_STRING(events)
        if outcome == BUSY:
            return door.busy[0]
        if outcome == CONFLICT:
            return door.conflict[0]
        if first.kind == EV_REFUSED:
            return door.refusals[first.reason][0]
        door.body.length = 0
        add_order(&door.body, events, door.number, door.current_tables())
        return http_answer(b"HTTP/1.1 201 Created" if outcome == DONE else b"HTTP/1.1 200 OK", &door.body)

    cdef bytes batch_answer(self):
        cdef Door door = self.door
        cdef Text* text = &door.body
        cdef DoorTables tables = door.current_tables()
        cdef Py_ssize_t i
        cdef bytes events
        cdef const Event* first
        cdef int outcome
        text.length = 0
        for i in range(len(self.events)):
            outcome = self.outcomes[i]
            events = self.events[i]
            first = <const Event*>PyBytes_AS_STRING(events)
            add_bytes(text, b"," if i else b"[")
            if outcome == BUSY:
                add_bytes(text, door.busy[1])
            elif outcome == CONFLICT:
                add_bytes(text, door.conflict[1])
            elif first.kind == EV_REFUSED:
                add_bytes(text, door.refusals[first.reason][1])
            else:
                add_bytes(text, b'{"status":201,"order":' if outcome == DONE else b'{"status":200,"order":')
                add_order(text, events, door.number, tables)
                add_bytes(text, b"}")
        add_bytes(text, b"]")
        self.events = None
        return http_answer(b"HTTP/1.1 200 OK", text)

    cdef int answer(self, bytes answer) except -1:
        self.write(answer)
        if self.closing:
            self.transport.close()
        elif self.rest.length:
            self.go_on()
        return 0


async def serve(loop, partition, settings, listener):
    """Open the door on a listening socket. Raises OSError and KeysError."""
    keys = Keys(settings.api_keys_file) if settings.authentication == "api_key" else None
    door = Door(partition, keys)
    # Not create_unix_server: from Python 3.13 on it removes the path, on which a supervisor keeps listening.
    door.server = await loop.create_server(lambda: Connection(door), sock=listener, backlog=BACKLOG)
    door.sweeper = Sweeper(loop, door.connections)
    logger.info("taking orders on %s", listener.getsockname())
    return door
