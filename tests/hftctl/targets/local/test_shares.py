"""How a real nginx divides requests among gateways: those in turn, those that stand by, and canaries by weight."""

import http.client
import os
import socket
import subprocess
from collections import Counter
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

from hftctl.profile.load import load
from hftctl.targets.local import nginx
from hftctl.targets.local.binaries import NGINX, resolve
from tests.hftctl.targets.local.test_nginx import Edge, Server
from tests.ports import free_ports

GATEWAYS = ("gateway-1", "gateway-2", "gateway-3")


class Gateway(Server):
    """One that can end as a process does, with all its connections."""

    def get_request(self):
        connection, address = super().get_request()
        self.__dict__.setdefault("connections", []).append(connection)
        return connection, address

    def end(self):
        self.shutdown()
        self.server_close()
        for connection in self.__dict__.get("connections", []):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class Door:
    """A running nginx, what stands behind it, and a client that keeps its connection."""

    def __init__(self, folder, port, servers):
        self.folder, self.port, self.servers = folder, port, servers
        self.client = http.client.HTTPConnection("127.0.0.1", port, timeout=10)

    def asked(self, count):
        """Who answered."""
        found = Counter()
        for _ in range(count):
            self.client.request("GET", "/x")
            answer = self.client.getresponse()
            text = answer.read().decode()
            assert answer.status == 201, text
            found[next(name for name in self.servers if f'"{name}"' in text)] += 1
        return found

    def end(self, name):
        self.servers[name].end()
        (self.folder / f"{name}.sock").unlink()


@contextmanager
def door(folder, names, *, processors, shares=(), **changes):
    values = load("local").values
    port = free_ports(1)[0]
    profile = {**values, "gateways": len(GATEWAYS), **changes}
    lines, _ = nginx.conf(
        profile, nginx.Place(error_log="stderr", listen=f"127.0.0.1:{port}", user="root" if os.geteuid() == 0 else ""),
        door=False, keeps=False, processors=processors, shares=shares,
    )  # fmt: skip
    (folder / "nginx.conf").write_text("\n".join(lines))
    before = Path.cwd()
    os.chdir(folder)
    servers = {name: Gateway(f"{name}.sock", name) for name in names}
    os.chdir(before)
    process = subprocess.Popen(
        [resolve(NGINX).path, "-p", f"{folder}/", "-c", "nginx.conf", "-e", "stderr"], cwd=folder
    )
    try:
        Edge(port, {}, servers, False).wait(process)
        made = Door(folder, port, servers)
        with closing(made.client):
            yield made
    finally:
        process.terminate()
        process.wait()
        for server in servers.values():
            server.end()


@pytest.mark.parametrize(("processors", "taking"), [(1, 2), (2, 2), (4, 2), (64, 3)])
def test_no_more_gateways_take_requests_than_half_of_the_processors(tmp_path, processors, taking):
    with door(tmp_path, GATEWAYS, processors=processors) as found:
        assert set(found.asked(60)) == set(GATEWAYS[:taking])


def test_a_profile_may_let_all_of_them_take_requests(tmp_path):
    with door(tmp_path, GATEWAYS, processors=2, gateways_in_turn=3) as found:
        assert set(found.asked(60)) == set(GATEWAYS)


def test_those_that_stand_by_take_over_and_no_request_fails(tmp_path):
    with door(tmp_path, GATEWAYS, processors=2) as found:
        assert set(found.asked(20)) == {"gateway-1", "gateway-2"}
        found.end("gateway-1")
        assert set(found.asked(50)) == {"gateway-2"}
        found.end("gateway-2")
        assert set(found.asked(200)) == {"gateway-3"}


@pytest.mark.parametrize("percent", [5, 25, 50])
def test_canary_and_baseline_get_exactly_their_share(tmp_path, percent):
    shares = [
        nginx.Share(("baseline-1.sock",), percent),
        nginx.Share(("canary-1.sock",), percent),
        nginx.Share(tuple(f"{name}.sock" for name in GATEWAYS), 100 - 2 * percent),
    ]
    with door(tmp_path, ("baseline-1", "canary-1", *GATEWAYS), processors=8, shares=shares) as found:
        seen = found.asked(1000)
        assert abs(seen["canary-1"] - 10 * percent) <= 10
        assert abs(seen["baseline-1"] - 10 * percent) <= 10


def test_a_canary_that_ends_fails_no_request(tmp_path):
    shares = [
        nginx.Share(("baseline-1.sock",), 50),
        nginx.Share(("canary-1.sock",), 50),
        nginx.Share(tuple(f"{name}.sock" for name in GATEWAYS), 0),
    ]
    with door(tmp_path, ("baseline-1", "canary-1", *GATEWAYS), processors=8, shares=shares) as found:
        found.asked(50)
        found.end("canary-1")
        assert found.asked(100) == {"baseline-1": 100}
        found.end("baseline-1")
        assert set(found.asked(100)) <= set(GATEWAYS)
