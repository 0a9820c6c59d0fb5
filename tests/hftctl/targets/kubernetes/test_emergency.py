"""A halt while the API server is away: by what was kept, through the public door, one answer per partition."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
import yaml

from hftctl.errors import NotFound
from hftctl.operations import halt
from hftctl.targets.kubernetes import cluster, emergency
from hftctl.targets.kubernetes.driver import KubernetesTarget
from tests.ports import free_ports

ANSWER = {"halted": True, "partitions": [{"partition": n, "halted": True, "sequence": 40 + n} for n in range(2)]}


@pytest.fixture
def away(tmp_path, monkeypatch):
    """A kubeconfig of an API server that does not answer, and a deployment that once was made there."""
    monkeypatch.setenv("HFTCTL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    (port,) = free_ports(1)
    named = {
        "clusters": {"server": f"http://127.0.0.1:{port}"},
        "users": {},
        "contexts": {"cluster": "lab", "user": "lab"},
    }
    document = {key: [{"name": "lab", key[:-1]: value}] for key, value in named.items()}
    (tmp_path / "config").write_text(yaml.safe_dump({"current-context": "lab", **document}))
    cluster.pin("paper", cluster.Pin("uid", "", "http://127.0.0.1:1", "lab"))


@pytest.fixture
def door():
    """Answers as gateways do, and keeps what was asked."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            asked.append((self.path, self.headers["Authorization"], json.loads(body)))
            text = json.dumps(ANSWER).encode()
            self.send_response_only(200)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_halt_goes_in_at_the_door(away, door):
    endpoint, asked = door
    emergency.keep("paper", emergency.Kept(endpoint, "the-operators-key", 2))
    told = halt.halt("paper", why="feed is wrong")
    assert told.error is None
    assert [(one.partition, one.done, one.how, one.message) for one in told.partitions] == [
        (0, True, "http", "sequence 40"),
        (1, True, "http", "sequence 41"),
    ]
    [(path, key, body)] = asked
    assert (path, body) == ("/halt", {"why": "feed is wrong"})
    assert key == "Bearer the-operators-key"


def test_what_is_kept_is_for_its_owner_alone(away, tmp_path):
    emergency.keep("paper", emergency.Kept("http://10.0.0.1:8080", "the-operators-key", 1))
    [file] = (tmp_path / "home" / "clusters").glob("*.emergency")
    assert file.stat().st_mode & 0o777 == 0o600
    assert cluster.pinned() == ["paper"]


def test_nothing_was_kept_and_that_is_said(away):
    with pytest.raises(NotFound, match="does not answer"):
        halt.halt("paper", why="feed is wrong")
    with pytest.raises(NotFound, match="does not answer"):
        KubernetesTarget("paper").observe()
