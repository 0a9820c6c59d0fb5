"""The next process takes over on the same listening socket before the one that runs ends."""

import os
import signal
import threading

import pytest

from hftctl.targets.local import control
from hftctl.targets.local.identity import facts
from hftctl.targets.unix import connect
from tests.hftctl.targets.local.conftest import SERVER, WAIT, output

LISTENS = {"http": "part.sock"}
TELLS = 'import os\nif ready := os.environ.get("HFTCTL_READY_FD"): os.write(int(ready), b"1")\n'
DRAINS = 'import signal, time\nsignal.signal(signal.SIGTERM, lambda *_: print("drains", flush=True))\n'
# Ends between two connections only: what it accepted it answers.
WHOLE = """
import json, os, select, signal, socket
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
listener = socket.socket(fileno=json.loads(os.environ["HFTCTL_LISTEN_FDS"])["http"])
while signal.SIGTERM not in signal.sigpending():
    if select.select([listener], [], [], 0.02)[0]:
        connection, _ = listener.accept()
        connection.sendall(b"%d" % os.getpid())
        connection.close()
"""


@pytest.fixture
def serving(stage):
    """A server that is replaced start-first; its pid."""
    stage.apply(TELLS + SERVER, listens=LISTENS, start_first=True)
    stage.first = asked(stage)
    return stage


def asked(stage):
    with connect(stage.layout.run / "part.sock", 10) as connection:
        return int(connection.recv(64))


def replace(stage, program, **fields):
    stage.apply(program, listens=LISTENS, start_first=True, digest="second", **fields)


def settled(stage):
    stage.until(lambda: not stage.state()["replacing"], "nothing starts beside it any more")
    return stage.state()


def test_every_connection_is_answered_while_one_takes_over_from_the_other(stage):
    stage.apply(TELLS + WHOLE, listens=LISTENS, start_first=True)
    stage.first, serving = asked(stage), stage
    seen, stop = [], threading.Event()

    def ask():
        while not stop.is_set():
            seen.append(asked(serving))

    client = threading.Thread(target=ask)
    client.start()
    try:
        replace(serving, TELLS + WHOLE)
        second = serving.pid(other_than=serving.first)
        serving.until(lambda: facts(serving.first) is None, "the first one has ended")
        serving.until(lambda: seen and seen[-1] == second, "the second one answers")
    finally:
        stop.set()
        client.join()
    assert set(seen) == {serving.first, second}
    assert serving.record().identity.pid == second
    assert serving.record().digest == "second"
    assert serving.state()["restarts"] == 0


def test_it_does_not_take_over_before_it_says_so(serving):
    replace(serving, "import signal; print('starts', flush=True); signal.pause()")
    serving.until(lambda: "starts" in output(serving.layout), "it is there")
    assert serving.state()["replacing"]
    assert (asked(serving), serving.record().digest) == (serving.first, "first")


def test_one_that_dies_at_each_start_is_given_up_and_the_first_one_goes_on(serving):
    replace(serving, "import sys; print('no such table', file=sys.stderr); sys.exit(3)")
    state = settled(serving)
    assert (state["refused"], state["status"], state["pid"]) == (
        "the new one died (exit status 3)",
        "running",
        serving.first,
    )
    assert output(serving.layout).count("no such table") == 4
    assert asked(serving) == serving.first


def test_an_exit_status_for_good_is_believed_at_once(serving):
    replace(serving, "import sys; print('bad settings', flush=True); sys.exit(2)", for_good=(2,))
    assert settled(serving)["refused"] == "the new one died (exit status 2)"
    assert output(serving.layout).count("bad settings") == 1


def test_going_back_ends_what_was_starting(serving):
    replace(serving, "import os, signal; print('starts', os.getpid(), flush=True); signal.pause()")
    serving.until(lambda: "starts" in output(serving.layout), "it is there")
    beside = int(output(serving.layout).split()[-1])
    serving.apply(TELLS + SERVER, listens=LISTENS, start_first=True)
    serving.until(lambda: facts(beside) is None, "it has ended")
    assert (asked(serving), settled(serving)["refused"]) == (serving.first, "")


def test_a_program_that_cannot_tell_takes_over_with_its_first_worker(serving):
    worker = f"import subprocess, sys; subprocess.Popen([sys.executable, '-S', '-E', '-c', {WAIT!r}])\n"
    replace(serving, worker + SERVER, ready="workers")
    second = serving.pid(other_than=serving.first)
    serving.until(lambda: facts(serving.first) is None, "the first one has ended")
    assert asked(serving) == second


def test_a_program_gets_its_sockets_the_way_it_knows(stage):
    program = "import os, socket\nlistener = socket.socket(fileno=int(os.environ['NGINX'].split(';')[0]))\n"
    program += SERVER.split("\n", 3)[3]
    stage.apply(program, listens=LISTENS, listen_as="NGINX")
    assert asked(stage) == stage.pid()


def test_the_one_taken_over_from_has_its_time(serving):
    replace(serving, TELLS + DRAINS + SERVER)
    second = serving.pid(other_than=serving.first)
    serving.apply(TELLS + SERVER, listens=LISTENS, start_first=True, digest="third")
    third = serving.pid(other_than=second)
    serving.until(lambda: "drains" in output(serving.layout), "it was asked to end")
    assert facts(second) is not None, "and is not killed"
    assert serving.pid() == third
    os.kill(second, signal.SIGKILL)
    serving.until(lambda: facts(second) is None, "it has ended")
    assert serving.pid() == third, "its end is nobody's crash"


def test_a_supervisor_killed_amid_a_takeover_leaves_one_of_them(serving):
    replace(serving, "import os, signal; print('starts', os.getpid(), flush=True); signal.pause()")
    serving.until(lambda: "starts" in output(serving.layout), "it is there")
    beside = int(output(serving.layout).split()[-1])
    serving.kill_supervisor()
    control.ensure(serving.layout)
    serving.until(lambda: facts(beside) is None, "the other one has ended")
    assert asked(serving) == serving.first
    serving.apply(TELLS + SERVER, listens=LISTENS, start_first=True, digest="third")
    assert serving.pid(other_than=serving.first)


def test_removing_waits_for_those_that_were_taken_over_from(serving):
    replace(serving, TELLS + SERVER)
    second = serving.pid(other_than=serving.first)
    control.remove(serving.layout, "part")
    assert facts(serving.first) is None
    assert facts(second) is None
    assert not (serving.layout.run / "part.sock").exists()


def test_what_ended_for_good_is_not_started_again(stage):
    stage.apply("import sys; print('journal damaged', flush=True); sys.exit(10)", for_good=(2, 6, 10))
    stage.until(lambda: stage.state()["status"] == "failed", "it is failed")
    assert (stage.state()["code"], stage.state()["reason"]) == (10, "exit status 10")
    assert output(stage.layout).count("journal damaged") == 1
    stage.apply(WAIT, digest="mended")
    assert stage.pid()
