"""Keeps objects as an API server does, and does nothing about them: versions, uids, preconditions, times of writes, and a clock of its own.

For what no test on a real cluster can show in reasonable time: leases that expire, writes that meet, answers that are refusals.
"""

from __future__ import annotations

import copy
import itertools
import json
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from kubernetes import client

from hftctl.targets.kubernetes.api import Api


class Refusal(Exception):
    def __init__(self, code: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.code, self.reason = code, reason


class Objects:
    def __init__(self) -> None:
        self.there: dict[str, dict[str, Any]] = {}
        self.ahead_s = 0.0  # of the real clock
        self.refusals: list[Refusal] = []  # the next answers, whatever is asked
        self.requests: list[str] = []
        self._versions = itertools.count(1)
        self._turn = threading.Lock()

    def now(self) -> float:
        return time.time() + self.ahead_s

    def answer(self, method: str, target: str, body: Any) -> Any:
        with self._turn:
            path, query = urlsplit(target).path, parse_qs(urlsplit(target).query)
            self.requests.append(f"{method} {path}")
            if self.refusals:
                raise self.refusals.pop(0)
            return getattr(self, f"_{method.lower()}")(path, query, body)

    def _get(self, path: str, query: dict[str, list[str]], _body: Any) -> Any:
        if path in self.there:
            return self.there[path]
        if path.rsplit("/", 1)[-1] in PLURALS:
            wanted = [one.partition("=") for one in query.get("labelSelector", [""])[0].split(",") if one]
            found = [
                one for name, one in self.there.items() if name.rpartition("/")[0] == path and matches(one, wanted)
            ]
            return {
                "items": [{key: value for key, value in one.items() if key != "kind"} for one in found],
                "metadata": {},
            }
        raise Refusal(404, "NotFound", f"{path} not found")

    def _post(self, path: str, _query: dict[str, list[str]], body: Any) -> Any:
        name = f"{path}/{body['metadata']['name']}"
        if name in self.there:
            raise Refusal(409, "AlreadyExists", f"{name} already exists")
        return self._stored(name, body, str(uuid.uuid4()))

    def _put(self, path: str, _query: dict[str, list[str]], body: Any) -> Any:
        there = self._get(path, {}, None)
        if there["metadata"]["resourceVersion"] != body["metadata"]["resourceVersion"]:
            raise Refusal(409, "Conflict", "the object has been modified")
        return self._stored(path, body, there["metadata"]["uid"])

    def _patch(self, path: str, _query: dict[str, list[str]], body: Any) -> Any:
        uid = self.there[path]["metadata"]["uid"] if path in self.there else str(uuid.uuid4())
        return self._stored(path, body, uid)

    def _delete(self, path: str, _query: dict[str, list[str]], body: Any) -> Any:
        meta = self._get(path, {}, None)["metadata"]
        for key, value in body["preconditions"].items():
            if meta[key] != value:
                raise Refusal(409, "Conflict", f"the {key} in the precondition does not match")
        return self.there.pop(path)

    def _stored(self, path: str, body: Any, uid: str) -> Any:
        made = copy.deepcopy(body)
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.now()))
        made["metadata"] |= {
            "uid": uid,
            "resourceVersion": str(next(self._versions)),
            "managedFields": [{"manager": "hftctl", "time": stamp}],
        }
        self.there[path] = made
        return made


PLURALS = ("namespaces", "leases", "secrets", "configmaps")


def matches(one: Any, wanted: list[tuple[str, str, str]]) -> bool:
    labels = one["metadata"].get("labels", {})
    return all(labels.get(key) == value if equal else key in labels for key, equal, value in wanted)


@contextmanager
def api_server() -> Iterator[tuple[Objects, Api]]:
    objects = Objects()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _handle(self) -> None:
            data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            try:
                code, answer = 200, objects.answer(self.command, self.path, json.loads(data) if data else None)
            except Refusal as refusal:
                code = refusal.code
                answer = {"kind": "Status", "reason": refusal.reason, "message": str(refusal)}
            text = json.dumps(answer).encode()
            self.send_response_only(code)
            self.send_header("Date", formatdate(objects.now(), usegmt=True))
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _handle

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    settings = client.Configuration()
    settings.host = f"http://127.0.0.1:{server.server_port}"
    used = client.ApiClient(settings)
    try:
        yield objects, Api(used)
    finally:
        used.rest_client.pool_manager.clear()
        server.shutdown()
        thread.join()
        server.server_close()
