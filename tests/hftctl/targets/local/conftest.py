"""A real supervisor over small real processes in a temporary deployment folder."""

import json
import os
import select
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from hftctl.paths import Layout
from hftctl.targets.local import control
from hftctl.targets.local.identity import facts
from hftctl.targets.local.process import Process, read_record

PATIENCE_S = 20.0

# Answers each connection on the inherited socket with its pid.
SERVER = """
import json, os, socket
listener = socket.socket(fileno=json.loads(os.environ["HFTCTL_LISTEN_FDS"])["http"])
while True:
    connection, _ = listener.accept()
    connection.sendall(b"%d" % os.getpid())
    connection.close()
"""
WAIT = "import signal; print('here', flush=True); signal.pause()"


@dataclass
class Stage:
    layout: Layout

    def process(self, program, *, component="part", **fields):
        return Process(
            component=component,
            argv=(sys.executable, "-S", "-E", "-c", program),
            stop=(("SIGTERM", 5.0),),
            digest=fields.pop("digest", "first"),
            **fields,
        )

    def apply(self, program, **fields):
        control.apply(self.layout, self.process(program, **fields))

    def state(self, component="part"):
        return control.status(self.layout)["processes"].get(component)

    def until(self, condition, what):
        deadline = time.monotonic() + PATIENCE_S
        while not (found := condition()):
            assert time.monotonic() < deadline, f"{what}: {control.status(self.layout)}"
            time.sleep(0.01)
        return found

    def pid(self, component="part", *, other_than=None):
        """Of the process that runs, once it is not the one given."""

        def found():
            state = self.state(component)
            running = state is not None and state["status"] == "running" and state["pid"]
            return state["pid"] if running and state["pid"] != other_than else None

        return self.until(found, f"{component} runs")

    def record(self, component="part"):
        return read_record(self.layout.run, component)

    def freeze(self, pid):
        os.kill(pid, signal.SIGSTOP)
        self.until(lambda: facts(pid).state == "T", "it is frozen")

    def kill_supervisor(self):
        pid = control.supervisor_identity(self.layout).pid
        handle = os.pidfd_open(pid)
        os.kill(pid, signal.SIGKILL)
        select.select([handle], [], [], PATIENCE_S)
        os.close(handle)
        return pid


@pytest.fixture
def stage(tmp_path):
    layout = Layout(tmp_path / "paper")
    for folder in (layout.run, layout.logs):
        folder.mkdir(parents=True)
    control.ensure(layout)
    yield Stage(layout)
    control.ensure(layout, start=False)
    for component in control.status(layout)["processes"]:
        control.remove(layout, component)
    control.leave(layout)


def output(layout, component="part"):
    return Path(layout.logs / f"{component}.out").read_text()


def processes_file(layout):
    return json.loads((layout.run / "processes.json").read_text())
