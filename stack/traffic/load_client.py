"""One keep-alive connection of a load run: one request open at a time, HTTP/1.1 read by hand.

An answer needs a Content-Length; whatever else comes ends the connection, and the request's outcome is unknown.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

HEAD_BYTES_MAX = 1 << 16


class Client(asyncio.Protocol):
    transport: asyncio.Transport | None = None

    def __init__(
        self, answered: Callable[[Client, int, bytes, bytes], None], lost: Callable[[Client, str], None]
    ) -> None:
        """`answered(client, status, head, body)` for each answer; `lost(client, why)` once, at the end."""
        self._answered = answered
        self._lost = lost
        self._rest = b""
        self._why = "closed by the server"
        self.asked = False  # a request is open
        self.closing = False  # the server closes after this answer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]

    def connection_lost(self, error: Exception | None) -> None:
        self.transport = None
        self._lost(self, type(error).__name__ if error else self._why)

    def ask(self, data: bytes) -> None:
        assert self.transport is not None  # noqa: S101  only free clients are asked
        self.asked = True
        self.transport.write(data)

    def give_up(self, why: str) -> None:
        self._why = why
        if self.transport is not None:
            self.transport.abort()

    def data_received(self, data: bytes) -> None:
        if self._rest:
            data = self._rest + data
            self._rest = b""
        end = data.find(b"\r\n\r\n")
        if end < 0:
            if len(data) > HEAD_BYTES_MAX:
                self.give_up("an endless head")
            self._rest = data
            return
        head = data[:end].lower()
        length = content_length(head)
        if length is None or not head.startswith(b"http/1.1 ") or not self.asked:
            self.give_up("no answer that we can read")
            return
        total = end + 4 + length
        if len(data) < total:
            self._rest = data
            return
        if len(data) > total:
            self.give_up("more than was asked for")
            return
        self.asked = False
        self.closing = b"\r\nconnection: close" in head
        self._answered(self, int(head[9:12]), head, data[end + 4 :])
        if self.closing and self.transport is not None:
            self.transport.close()


def content_length(head: bytes) -> int | None:
    """Of a lower-case head."""
    at = head.find(b"\r\ncontent-length:")
    if at < 0:
        return None
    end = head.find(b"\r\n", at + 17)
    text = head[at + 17 : end if end >= 0 else len(head)].strip()
    return int(text) if text.isdigit() and len(text) < 10 else None


def retry_after_s(head: bytes) -> float:
    at = head.find(b"\r\nretry-after:")
    if at < 0:
        return 0.0
    text = head[at + 14 :].partition(b"\r\n")[0].strip()
    return float(text) if text.isdigit() and len(text) < 4 else 0.0
