"""A public door that does on purpose what a load must be able to tell: lose connections, refuse, stall, answer late."""

from __future__ import annotations

import json
import socketserver
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Any

INSTRUMENTS = [
    {"symbol": "AAPL", "tick_size": "0.01", "lot_size": "1", "currency": "USD", "state": "open"},
    {"symbol": "ESH4", "tick_size": "0.25", "lot_size": "1", "currency": "USD", "state": "halted"},
]
DROP = 0  # close the connection without an answer

Judge = Callable[[int, dict[str, Any]], int]


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 64

    def __init__(self, judge: Judge) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.judge = judge  # (how often this id came before, its body) -> status
        self.seen: Counter[str] = Counter()
        self.bodies: dict[str, set[bytes]] = {}
        self.cancelled: list[str] = []
        self.fills_at_once = False  # every cancel comes too late
        self.mass_cancels: list[str] = []
        self.keys: set[str | None] = set()
        self.guard = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one packet
    server: Server

    def do_GET(self) -> None:
        if self.path.startswith("/instruments"):
            self._answer(200, {"instruments": INSTRUMENTS})
        elif self.path.startswith("/orders?account=nobody"):
            self._answer(
                422, {"code": "unknown_account", "message": "account nobody is not defined", "field": "account"}
            )
        elif self.path.startswith("/orders"):
            self._answer(200, {"orders": []})
        else:
            self._answer(404, {"code": "not_found", "message": "no", "field": None})

    def do_DELETE(self) -> None:
        server = self.server
        if self.path.startswith("/orders/"):
            server.cancelled.append(self.path.removeprefix("/orders/"))
            if server.fills_at_once:
                self._answer(409, {"code": "order_closed", "message": "the order is filled", "field": None})
            else:
                self._answer(200, {"status": "cancelled"})
        else:
            server.mass_cancels.append(self.path)
            self._answer(200, {"account": "load", "cancelled": 7, "repeated": False})

    def do_POST(self) -> None:
        server = self.server
        body = self.rfile.read(int(self.headers["Content-Length"]))
        document = json.loads(body)
        name = document["client_order_id"]
        with server.guard:
            server.keys.add(self.headers["Authorization"])
            before = server.seen[name]
            server.seen[name] += 1
            server.bodies.setdefault(name, set()).add(body)
        status = server.judge(before, document)
        if status == DROP:
            self.close_connection = True
            return
        if status >= 400:
            self._answer(status, {"code": f"made_{status}", "message": "on purpose", "field": None})
        else:
            self._answer(status, {"order_id": f"0-{len(server.seen)}", "client_order_id": name, "status": "open"})

    def _answer(self, status: int, document: dict[str, Any]) -> None:
        data = json.dumps(document, separators=(",", ":")).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        return


@contextmanager
def serving(judge: Judge = lambda _before, _body: 201) -> Iterator[Server]:
    server = Server(judge)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def stalling(seconds: float) -> Judge:
    """Everything that comes within `seconds` of the tenth order waits until they are over."""
    count = 0
    until = 0.0

    def judge(_before: int, _body: dict[str, Any]) -> int:
        nonlocal count, until
        count += 1
        if count == 10:
            until = time.monotonic() + seconds
        time.sleep(max(0.0, until - time.monotonic()))
        return 201

    return judge
