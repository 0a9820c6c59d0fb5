"""The engine's refusals as the gateway's own code words them, encoded once, so that every door answers with the same bytes."""

from __future__ import annotations

from http import HTTPStatus

import msgspec

from stack.gateway.errors import ApiError
from stack.gateway.replies import placed
from stack.wire.frames import Outcome
from stack.wire.link import Reply
from stack.wire.tables import Tables


def worded(error: ApiError) -> tuple[bytes, bytes]:
    """The whole HTTP answer to an order that failed like this, and its element of a batch's answer."""
    body = msgspec.json.encode(error.body())
    more = "".join(f"{name}: {value}\r\n" for name, value in error.headers().items())
    head = (
        f"HTTP/1.1 {error.status} {HTTPStatus(error.status).phrase}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n{more}\r\n"
    )
    return head.encode() + body, b'{"status":%d,"error":%s}' % (error.status, body)


def refused(outcome: Outcome, events: bytes) -> tuple[bytes, bytes]:
    """The same of an order that got this reply."""
    try:
        placed(Reply(outcome, events), 0, Tables())
    except ApiError as error:
        return worded(error)
    raise ValueError(f"{outcome!r} is no refusal")
