import json
import os
import signal
import socket
import subprocess
import sys
import threading
from dataclasses import asdict
from pathlib import Path

import pytest

from hftctl.errors import Failed, NotFound
from hftctl.targets.local import control
from hftctl.targets.local.identity import facts, identify
from hftctl.targets.unix import connect
from tests.hftctl.targets.local.conftest import SERVER, WAIT, output, processes_file
from tests.ports import free_ports

LISTENS = {"http": "part.sock"}


def served_by(stage):
    with connect(stage.layout.run / "part.sock", 10) as connection:
        return int(connection.recv(64))


def test_a_killed_component_is_back_at_once(stage):
    stage.apply(WAIT)
    first = stage.pid()
    os.kill(first, signal.SIGKILL)
    second = stage.pid(other_than=first)
    assert facts(first) is None
    assert stage.state()["restarts"] == 1
    assert "SIGKILL" in stage.state()["reason"]
    assert stage.record().identity.pid == second


def test_what_dies_again_and_again_is_failed_with_the_reason(stage):
    stage.apply("import sys; print('no journal', file=sys.stderr); sys.exit(3)")
    stage.until(lambda: stage.state()["status"] == "failed", "it is failed")
    assert stage.state()["reason"] == "exit status 3"
    assert output(stage.layout).count("no journal") == 5


def test_a_program_that_cannot_be_started_says_why(stage):
    process = stage.process(WAIT)
    control.apply(stage.layout, type(process)(**{**process.__dict__, "argv": ("/no/such/program",)}))
    stage.until(lambda: stage.state()["reason"], "there is a reason")
    assert "/no/such/program" in stage.state()["reason"]


def test_what_runs_is_not_started_twice_because_its_record_cannot_be_written(stage):
    in_the_way = stage.layout.run / "part.json"
    in_the_way.mkdir()  # as a full disk would, this refuses the file
    stage.apply(WAIT)
    pid = stage.pid()
    stage.until(lambda: "here" in output(stage.layout), "it has started")
    assert (stage.pid(), stage.state()["restarts"], stage.state()["reason"]) == (pid, 0, "")
    assert output(stage.layout).count("here") == 1
    in_the_way.rmdir()
    stage.until(lambda: stage.record() is not None, "the record is written as soon as it can be")
    assert stage.record().identity.pid == pid


def test_a_list_that_cannot_be_written_ends_nobody_and_is_written_later(stage):
    in_the_way = stage.layout.run / "processes.json"
    in_the_way.mkdir()
    supervisor = control.supervisor_identity(stage.layout)
    stage.apply(WAIT)
    stage.apply(WAIT, component="gone")
    control.remove(stage.layout, "gone")
    assert control.supervisor_identity(stage.layout) == supervisor
    in_the_way.rmdir()
    stage.until(in_the_way.is_file, "the list is written as soon as it can be")
    assert [process["component"] for process in processes_file(stage.layout)] == ["part"]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # that process is nobody's to wait for
def test_a_supervisor_that_needs_long_to_start_is_told_in_a_sentence(stage, monkeypatch):
    stage.kill_supervisor()
    monkeypatch.setattr(control, "START_TIMEOUT_S", 0.001)
    with pytest.raises(Failed, match=r"still starting after 0\.001 s"):
        control.ensure(stage.layout)


def test_a_supervisor_that_does_not_answer_is_named_with_what_to_do(stage, monkeypatch):
    pid = control.supervisor_identity(stage.layout).pid
    stage.freeze(pid)
    monkeypatch.setattr(control, "status", lambda layout: None)
    monkeypatch.setattr(control, "START_TIMEOUT_S", 3.0)
    with pytest.raises(Failed, match=rf"pid {pid}\) lives and does not answer") as told:
        control.ensure(stage.layout)
    os.kill(pid, signal.SIGCONT)
    assert f"kill -CONT {pid}" in told.value.hint


def test_applying_the_same_keeps_the_process_and_another_replaces_it(stage):
    stage.apply(WAIT)
    first = stage.pid()
    stage.apply(WAIT)
    assert stage.pid() == first
    stage.apply(WAIT, digest="second")
    second = stage.pid(other_than=first)
    assert second != first
    assert stage.record().digest == "second"
    assert stage.state()["restarts"] == 0, "a restart that was asked for is no crash"


def test_a_reload_keeps_the_process(stage):
    program = "import signal; signal.signal(signal.SIGHUP, lambda *_: print('read again', flush=True)); print('up', flush=True)\n"
    program += "while True: signal.pause()"
    stage.apply(program, reload="SIGHUP")
    stage.until(lambda: "up" in output(stage.layout), "it is up")
    pid = stage.pid()
    stage.apply(program, reload="SIGHUP", digest="second")
    stage.until(lambda: "read again" in output(stage.layout), "it reads again")
    assert stage.pid() == pid
    assert stage.record().digest == "second"


def test_a_connection_waits_over_a_restart(stage):
    stage.apply(SERVER, listens=LISTENS)
    first = served_by(stage)
    stage.freeze(first)  # so that the connection is in the backlog when it dies
    with connect(stage.layout.run / "part.sock", 10) as waiting:
        os.kill(first, signal.SIGKILL)
        assert int(waiting.recv(64)) == stage.pid(other_than=first)


def answered(port):
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        return int(connection.recv(64))


def test_a_tcp_connection_waits_over_a_restart_and_over_the_supervisor_s_death(stage):
    port = free_ports(1)[0]
    stage.apply(SERVER, listens={"http": f"127.0.0.1:{port}"})
    first = answered(port)
    stage.kill_supervisor()
    control.ensure(stage.layout)
    stage.freeze(first)
    with socket.create_connection(("127.0.0.1", port), 10) as waiting:
        os.kill(first, signal.SIGKILL)
        assert int(waiting.recv(64)) == stage.pid(other_than=first)


def test_a_moved_tcp_listener_leaves_its_old_port(stage):
    before, after = free_ports(2)
    stage.apply(SERVER, listens={"http": f"127.0.0.1:{before}"})
    first = answered(before)
    stage.apply(SERVER, listens={"http": f"127.0.0.1:{after}"}, digest="second")
    second = stage.pid(other_than=first)
    assert answered(after) == second
    with pytest.raises(ConnectionRefusedError):
        answered(before)


def test_a_tcp_port_in_use_is_named(stage):
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        address = f"127.0.0.1:{stranger.getsockname()[1]}"
        stage.apply(SERVER, listens={"http": address})
        stage.until(lambda: stage.state()["reason"], "there is a reason")
        assert f"Address already in use ({address})" in stage.state()["reason"]


def test_components_outlive_the_supervisor_and_the_next_one_finds_them(stage):
    stage.apply(SERVER, listens=LISTENS)
    first = served_by(stage)
    stage.kill_supervisor()
    assert served_by(stage) == first, "it serves without a supervisor"
    control.ensure(stage.layout)
    assert stage.pid() == first
    stage.freeze(first)
    with connect(stage.layout.run / "part.sock", 10) as waiting:  # the socket was taken over with it
        os.kill(first, signal.SIGKILL)
        assert int(waiting.recv(64)) == stage.pid(other_than=first)


def test_what_died_while_nobody_looked_is_started(stage):
    stage.apply(SERVER, listens=LISTENS)
    first = served_by(stage)
    stage.kill_supervisor()
    os.kill(first, signal.SIGKILL)
    control.ensure(stage.layout)
    stage.pid(other_than=first)
    assert served_by(stage) != first


def test_a_process_whose_record_was_never_written_is_found(stage):
    stage.apply(SERVER, listens=LISTENS)
    first = served_by(stage)
    stage.kill_supervisor()
    (stage.layout.run / "part.json").unlink()
    control.ensure(stage.layout)
    assert stage.pid() == first
    assert served_by(stage) == first


@pytest.mark.parametrize("differs", ["start_ticks", "boot"])
def test_a_pid_that_is_used_again_is_somebody_else(stage, differs):
    stage.apply(WAIT)
    first = stage.pid()
    stage.kill_supervisor()
    os.kill(first, signal.SIGKILL)
    stranger = subprocess.Popen([sys.executable, "-S", "-E", "-c", "import signal; signal.pause()"])
    try:
        record = json.loads((stage.layout.run / "part.json").read_text())
        now = identify(stranger.pid)
        other = {"start_ticks": now.start_ticks - 1, "boot": "before the last one"}
        record["identity"] = {**asdict(now), differs: other[differs]}
        (stage.layout.run / "part.json").write_text(json.dumps(record))
        assert not stage.record().alive
        control.ensure(stage.layout)
        assert stage.pid() not in {first, stranger.pid}
        assert stranger.poll() is None, "and is left alone"
    finally:
        stranger.kill()
        stranger.wait()


def test_the_whole_group_ends_before_a_restart(stage):
    program = f"import subprocess, sys, signal; print(subprocess.Popen([sys.executable, '-c', {WAIT!r}]).pid, flush=True); signal.pause()"
    stage.apply(program)
    stage.until(lambda: "here" in output(stage.layout), "the worker is up")
    worker = int(output(stage.layout).split()[0])
    first = stage.pid()
    os.kill(first, signal.SIGKILL)
    stage.pid(other_than=first)
    assert facts(worker) is None


def test_removing_ends_it_for_good(stage):
    stage.apply(SERVER, listens=LISTENS)
    pid = served_by(stage)
    control.remove(stage.layout, "part")
    assert facts(pid) is None
    assert stage.state() is None
    assert not (stage.layout.run / "part.sock").exists()
    assert processes_file(stage.layout) == []
    control.remove(stage.layout, "part")


def test_who_connects_to_one_that_is_removed_is_refused_while_it_answers_its_last_requests(stage):
    stage.apply(SERVER, listens=LISTENS)
    pid = served_by(stage)
    stage.freeze(pid)
    removal = threading.Thread(target=control.remove, args=(stage.layout, "part"))
    removal.start()
    stage.until(lambda: stage.state()["status"] == "stopping", "it is asked to end")
    assert facts(pid) is not None
    with pytest.raises(OSError, match=r"No such file|refused"):
        connect(stage.layout.run / "part.sock", 10)
    os.kill(pid, signal.SIGCONT)
    removal.join()
    assert stage.state() is None


def test_who_does_not_end_when_asked_is_killed(stage):
    program = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True)\nwhile True: signal.pause()"
    process = stage.process(program)
    control.apply(stage.layout, type(process)(**{**process.__dict__, "stop": (("SIGTERM", 0.2),)}))
    stage.until(lambda: Path(stage.layout.logs / "part.out").exists() and "deaf" in output(stage.layout), "it is up")
    pid = stage.pid()
    control.remove(stage.layout, "part")
    assert facts(pid) is None


def test_there_is_one_supervisor(stage):
    argv = [sys.executable, "-m", "hftctl.targets.local.supervisor", "--root", stage.layout.root]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 7
    assert "another supervisor" in done.stderr


def test_a_supervisor_that_leaves_harms_nobody(stage):
    stage.apply(WAIT)
    pid = stage.pid()
    control.leave(stage.layout)
    assert facts(pid) is not None
    with pytest.raises(NotFound, match="cannot reach the supervisor"):
        control.ask(stage.layout, {"do": "status"})
    control.ensure(stage.layout)
    assert stage.pid() == pid


@pytest.mark.parametrize(
    "line", [b"not json\n", b"[]\n", b'{"do": "fly"}\n', b'{"do": "restart", "component": "nobody"}\n']
)
def test_nonsense_is_refused_and_nothing_else_happens(stage, line):
    stage.apply(WAIT)
    pid = stage.pid()
    with connect(stage.layout.run / "supervisor.sock", 5) as connection:
        connection.sendall(line)
        assert b"error" in connection.recv(4096)
    with connect(stage.layout.run / "supervisor.sock", 5) as connection:
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(10) == b""
    assert stage.pid() == pid
