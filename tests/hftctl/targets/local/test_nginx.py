"""A real nginx with the rendered configuration, in front of two small servers on Unix sockets."""

import http.client
import json
import os
import socket
import subprocess
import threading
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingUnixStreamServer

import pytest

from hftctl.paths import Layout
from hftctl.profile.load import load
from hftctl.targets.local import nginx
from hftctl.targets.local.binaries import NGINX, Binary, resolve
from hftctl.targets.local.services import gateway_socket, order_socket
from tests.ports import free_ports

MIB = 1 << 20


class Behind(BaseHTTPRequestHandler):
    """Says who it is and what it got; `/orders` of the engine does what the body asks for."""

    protocol_version = "HTTP/1.1"

    def _answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.seen.append((self.command, self.path, body))
        if self.server.name == "engine" and body.startswith(b"hand on"):
            self.send_response(200)
            self.send_header("X-Accel-Redirect", "@gateway")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if body.startswith(b"die"):
            self.close_connection = True
            return
        text = json.dumps(
            {"who": self.server.name, "method": self.command, "path": self.path, "bytes": len(body)}
        ).encode()
        self.send_response(201)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)
        if body.startswith(b"close after"):
            self.close_connection = True

    do_GET = do_POST = do_PATCH = do_DELETE = _answer

    def log_message(self, *_):
        """Silence: pytest shows what matters."""


class Server(ThreadingUnixStreamServer):
    daemon_threads = True

    def __init__(self, path, name):
        self.name, self.seen = name, []
        super().__init__(str(path), Behind)
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def get_request(self):
        connection, _ = super().get_request()
        return connection, ("unix", 0)


@pytest.fixture(scope="module", params=[True, False], ids=["layout-engine", "layout-gateway"])
def edge(request, tmp_path_factory):
    layout = Layout(tmp_path_factory.mktemp("edge"))
    for folder in (layout.run, layout.config, layout.logs):
        folder.mkdir()
    values = load("local").values
    profile = {**values, "ports": {**values["ports"], "http": free_ports(1)[0]}}
    spec = nginx.spec(profile, layout, resolve(NGINX), door=request.param, processors=2)
    (layout.config / "nginx.conf").write_text("\n".join(spec["files"]["nginx.conf"]))
    before = Path.cwd()
    os.chdir(layout.run)  # names of Unix sockets are short
    servers = {"gateway": Server(gateway_socket(1), "gateway")}
    if request.param:
        servers["engine"] = Server(order_socket(0), "engine")
    os.chdir(before)
    process = subprocess.Popen(spec["process"]["argv"], cwd=layout.run)
    edge = Edge(profile["ports"]["http"], spec, servers, request.param)
    edge.wait(process)
    yield edge
    process.terminate()
    process.wait()
    for server in servers.values():
        server.shutdown()
        server.server_close()


class Edge:
    def __init__(self, port, spec, servers, door):
        self.port, self.spec, self.servers, self.door = port, spec, servers, door

    def wait(self, process):
        while process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            except ConnectionRefusedError:
                continue
            return
        raise AssertionError("nginx did not start")

    def ask(self, method, path, body=None, headers=()):
        client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            client.request(method, path, body=body, headers=dict(headers))
            answer = client.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            client.close()

    def raw(self, data):
        with socket.create_connection(("127.0.0.1", self.port), 10) as connection:
            connection.sendall(data)
            with connection.makefile("rb") as file:
                said = file.read()
        head, _, body = said.partition(b"\r\n\r\n")
        return int(head.split()[1]), json.loads(body)


def test_orders_go_to_who_owns_the_door_and_the_rest_to_the_gateway(edge):
    owner = "engine" if edge.door else "gateway"
    for path in ("/orders", "/orders/batch", "/orders?x=1"):
        assert edge.ask("POST", path, b"{}")[1]["who"] == owner
    for method, path in (
        ("GET", "/orders"),
        ("DELETE", "/orders"),
        ("PATCH", "/orders/0-1"),
        ("POST", "/halt"),
        ("GET", "/book/AAPL"),
    ):
        assert edge.ask(method, path)[1]["who"] == "gateway"


def test_what_is_not_posted_reaches_the_gateway_whole(edge):
    for path in ("/orders?symbol=AAPL&limit=5", "/orders/batch?x=1"):
        assert edge.ask("DELETE", path, b"a body")[1] == {
            "who": "gateway",
            "method": "DELETE",
            "path": path,
            "bytes": 6,
        }
        assert edge.servers["gateway"].seen[-1] == ("DELETE", path, b"a body")


def test_what_the_engine_hands_on_reaches_the_gateway_whole(edge):
    if not edge.door:
        return
    body = b"hand on" + os.urandom(MIB - 7)
    status, said = edge.ask("POST", "/orders", body)
    assert (status, said) == (201, {"who": "gateway", "method": "POST", "path": "/orders", "bytes": MIB})
    assert edge.servers["gateway"].seen[-1] == ("POST", "/orders", body)


def test_an_idle_connection_that_was_closed_behind_is_no_error(edge):
    for _ in range(20):
        assert edge.ask("POST", "/orders", b"close after")[0] == 201
        assert edge.ask("POST", "/orders", b"{}")[0] == 201


def test_a_lost_answer_is_unknown(edge):
    status, said = edge.ask("POST", "/orders", b"die")
    assert status == 504
    assert said["outcome"] == "unknown"
    assert set(said) == {"code", "message", "field", "outcome"}


def test_bodies_up_to_one_mib_pass_and_no_more(edge):
    assert edge.ask("POST", "/orders", b"x" * MIB)[1]["bytes"] == MIB
    status, said = edge.ask("POST", "/orders", b"x" * (MIB + 1))
    assert (status, said["code"], said["field"]) == (413, "body_too_large", None)


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GARBAGE\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET /%s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" % (b"a" * 20_000), 414),
        (b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX: %s\r\n\r\n" % (b"a" * 20_000), 431),
        (b"POST /orders HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\nConnection: close\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\nConnection: close\r\n\r\n", 501),
        (b"GET / HTTP/9.9\r\nHost: a\r\nConnection: close\r\n\r\n", 505),
        (b"TRACE / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 405),
    ],
)
def test_errors_of_nginx_itself_are_json(edge, request_bytes, status):
    found, said = edge.raw(request_bytes)
    assert found == status
    assert set(said) == {"code", "message", "field"}


def test_nginx_says_which_configuration_it_runs(edge):
    assert edge.ask("GET", nginx.EDGE) == (200, {"status": "ok", "config": edge.spec["edge"]})


def test_a_changed_configuration_has_another_digest(tmp_path):
    profile = load("local").values
    first = nginx.spec(profile, Layout(tmp_path), Binary(Path("/nginx"), "1.28.0"), door=True, processors=2)
    second = nginx.spec(
        {**profile, "gateways": 2}, Layout(tmp_path), Binary(Path("/nginx"), "1.28.0"), door=True, processors=2
    )
    assert first["edge"] != second["edge"]
    assert first["process"] == second["process"], "so that it is a reload"


def test_addresses_for_clients():
    profile = {"ports": {"http": 8080}}
    assert nginx.endpoint({**profile, "bind": "0.0.0.0"}) == "http://127.0.0.1:8080"
    assert nginx.endpoint({**profile, "bind": "::1"}) == "http://[::1]:8080"
