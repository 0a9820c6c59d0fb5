"""What is said of a component that does not do its work yet."""

import json
import os
import socket
import threading
from types import SimpleNamespace

import pytest

from hftctl.paths import Layout
from hftctl.plan.actuator import Answer
from hftctl.targets.local import readiness, standing
from hftctl.targets.local.identity import identify
from hftctl.targets.local.process import Record, record_file


@pytest.fixture
def layout(tmp_path):
    layout = Layout(tmp_path / "paper")
    layout.run.mkdir(parents=True)
    layout.partition(0).mkdir(parents=True)
    record = Record("engine-0", identify(os.getpid()), "", {}, 1, 0)
    record_file(layout.run, "engine-0").write_text(json.dumps(record.json()))
    return layout


def test_an_engine_that_replays_says_how_far_it_is(layout):
    said = {"pid": os.getpid(), "replayed": 120_000, "of": 500_000}
    (layout.partition(0) / "replaying.json").write_text(json.dumps(said))
    answer = readiness.of(layout, "engine-0", {})
    assert (answer.answer, answer.progress) == (Answer.WAITING, 120_000)
    assert answer.message == "engine-0 is replaying 120000 of 500000 commands of its journal"


def test_what_a_killed_engine_left_says_nothing(layout):
    (layout.partition(0) / "replaying.json").write_text(json.dumps({"pid": 1, "replayed": 1, "of": 2}))
    answer = readiness.of(layout, "engine-0", {})
    assert (answer.answer, answer.progress) == (Answer.WAITING, 0)
    assert "its admin door does not answer yet" in answer.message


def test_of_a_gateway_that_says_nothing_nginx_is_not_blamed(layout, monkeypatch):
    monkeypatch.setattr(readiness, "ASK_TIMEOUT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as door:

        def serve():
            client, _ = door.accept()
            with client:
                client.recv(4096)
                client.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\n{"config":"x"}')
                while client.recv(4096):  # its question about health stays without an answer
                    continue

        thread = threading.Thread(target=serve)
        thread.start()
        address = f"127.0.0.1:{door.getsockname()[1]}"
        answer = readiness.of(layout, "nginx", {"endpoint": f"http://{address}", "edge": "x"})
        thread.join()
    said = f"nginx answers, but no gateway behind it said within 0.2 s how it is ({address}/health)"
    assert answer == readiness.Readiness(Answer.WAITING, said)


@pytest.mark.parametrize(("status", "answer"), [("failed", Answer.FAILED), ("restarting", Answer.WAITING)])
def test_what_dies_on_a_full_disk_could_not_say_so(layout, monkeypatch, status, answer):
    process = {"status": status, "code": 1, "reason": "exit status 1"}
    assert "disk" not in standing._not_running(layout, "engine-0", process).message
    monkeypatch.setattr(standing.shutil, "disk_usage", lambda _: SimpleNamespace(free=3 << 20))
    found = standing._not_running(layout, "engine-0", process)
    assert found.answer is answer
    assert f"the disk of {layout.root} is full, 3 MiB free" in found.message


def test_the_schema_of_a_release_that_recorded_it_otherwise_is_known(tmp_path):
    """As releases before schema gates wrote it; whoever upgrades asks for the status first."""
    layout = Layout(tmp_path / "paper")
    for file in (standing.spec_file(layout, "schema-0"), standing.schema_file(layout, "schema-0")):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text('{"settings": {}, "schema": [1, 6]}')
    assert standing.readiness(layout, "schema-0").answer == "ready"
