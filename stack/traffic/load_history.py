"""Every attempt of a load run as a line of JSON, for whoever checks afterwards what was promised.

    {"t_invoke_ns", "t_complete_ns", "op", "client_order_id" | "order_id", "body", "status", "response"}

`t_complete_ns` is null and `status` 0 where no answer came: the outcome is unknown. Times are of the monotonic clock, the
same for all workers of one machine. Workers append to one file, whole lines at a time.
"""

from __future__ import annotations

import os

from stack.traffic.load_orders import Request

BUFFER_BYTES = 1 << 16


class History:
    def __init__(self, path: str) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._lines = bytearray()

    def write(self, request: Request, invoked_ns: int, completed_ns: int | None, status: int, response: bytes) -> None:
        name = b"client_order_id" if request.op == "place" else b"order_id"
        self._lines += (
            b'{"t_invoke_ns":%d,"t_complete_ns":%s,"op":"%s","%s":"%s","body":%s,"status":%d,"response":%s}\n'
            % (
                invoked_ns,
                b"null" if completed_ns is None else b"%d" % completed_ns,
                request.op.encode(),
                name,
                request.name.encode(),
                request.body or b"null",
                status,
                response if response[:1] == b"{" else b"null",
            )
        )
        if len(self._lines) >= BUFFER_BYTES:
            self.flush()

    def flush(self) -> None:
        while self._lines:
            del self._lines[: os.write(self._fd, self._lines)]

    def close(self) -> None:
        self.flush()
        os.close(self._fd)
