"""One connection to a gateway: uvicorn's protocol, with orders taken out that need none of it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from stack.gateway.errors import ApiError

if TYPE_CHECKING:
    from stack.gateway.quick import Quick

BEHIND_BYTES_MAX = 1 << 20  # of a client that sends ahead, before it is read no further


def protocol(quick: Quick | None) -> type[HttpToolsProtocol]:
    """The class of a gateway's connections; `quick` is None where nothing is compiled."""
    return type("Protocol", (_Plain,), {}) if quick is None else type("Protocol", (_Quick,), {"quick": quick})


class _Plain(HttpToolsProtocol):
    def send_400_response(self, _message: str) -> None:
        """To what is no HTTP: the shape of every other error, where uvicorn would write plain text."""
        body = json.dumps(ApiError("bad_request", "this is no HTTP request that can be read").body()).encode()
        self.transport.write(
            b"HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\n"
            b"Content-Length: %d\r\nConnection: close\r\n\r\n%s" % (len(body), body)
        )
        self.transport.close()


class _Quick(_Plain):
    """A request is taken out only between two of uvicorn's, and while it is open the connection is not read into uvicorn."""

    quick: Quick
    _between = True  # uvicorn's parser is inside no request
    _waits = False  # for the answer to a request that was taken out
    _behind = b""  # what came meanwhile
    _ends = False  # close once it is answered

    def on_message_begin(self) -> None:
        self._between = False
        super().on_message_begin()

    def on_message_complete(self) -> None:
        self._between = True
        super().on_message_complete()

    def data_received(self, data: bytes) -> None:
        if self._waits:
            self._behind += data
            if len(self._behind) > BEHIND_BYTES_MAX:
                self.transport.pause_reading()
        elif data.startswith(b"POST /orders") and self._idle():
            self._waits = True
            if self.quick.take(self, data):
                self._unset_keepalive_if_required()
            else:
                self._waits = False
                super().data_received(data)
        else:
            super().data_received(data)

    def _idle(self) -> bool:
        over = self.cycle is None or self.cycle.response_complete
        return self._between and over and not self.pipeline and not self.flow.write_paused

    def answered(self, answer: bytes) -> None:
        self._waits = False
        if self.transport.is_closing():
            return
        self.transport.write(answer)
        if self._ends:
            self.transport.close()
        elif self._behind:
            data, self._behind = self._behind, b""
            self.transport.resume_reading()
            self.data_received(data)

    def shutdown(self) -> None:
        if self._waits:
            self._ends = True
        else:
            super().shutdown()
