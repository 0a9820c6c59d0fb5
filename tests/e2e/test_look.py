"""What an operator looks at, on a stack that runs: commands beside components, and what happened to them."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hftctl.operations.events import events
from tests.forwarding import forwarded, said

pytestmark = pytest.mark.stack

ROOT = Path(__file__).parent.parent.parent


def hftctl(*words, **options):
    return subprocess.run(
        [sys.executable, "-m", "hftctl", *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        **{"cwd": ROOT, "env": {**os.environ, "PYTHONPATH": str(ROOT)}, **options},
    )


def beside(stack, component, *command, **options):
    return hftctl("exec", "-p", stack.name, component, "--", *command, **options)


def test_psql_needs_no_password_and_none_is_on_a_command_line(stack):
    done = beside(stack, "postgres", "psql", "-Atc", "SELECT count(*) FROM checkpoint")
    assert (done.returncode, done.stdout) == (0, "1\n"), done
    shown = beside(stack, "postgres", "sh", "-c", "tr '\\0' ' ' < /proc/$$/cmdline; env; cat $PGPASSFILE")
    *before, line = shown.stdout.splitlines()
    password = line.rpartition(":")[2]
    assert len(password) > 20
    assert password not in "".join(before)
    assert (Path(stack.target.layout.secrets) / "pgpass").stat().st_mode & 0o077 == 0


def test_valkey_and_python_are_as_the_component_has_them(stack):
    code = (
        "import os, redis; r = redis.Redis(host=os.environ['VALKEY_HOST'], port=int(os.environ['VALKEY_PORT']),"
        " password=os.environ['REDISCLI_AUTH']); print(r.ping())"
    )
    assert beside(stack, "redis", "python", "-c", code).stdout == "True\n"
    done = beside(stack, "engine", "python", "-c", "import os, stack.matcher; print(os.getcwd())")
    assert done.stdout.strip() == str(stack.target.layout.run.resolve()), done


def test_input_exit_code_and_signals_are_the_commands_own(stack):
    assert beside(stack, "engine", "cat", input="through").stdout == "through"
    assert beside(stack, "engine", "sh", "-c", "exit 37").returncode == 37
    assert beside(stack, "engine", "sh", "-c", "kill -TERM $$").returncode == -signal.SIGTERM
    piped = beside(stack, "engine", "sh", "-c", "yes | head -1")
    assert (piped.stdout, piped.stderr) == ("y\n", ""), "SIGPIPE is as everywhere"
    missing = beside(stack, "redis", "no-such-program")
    assert (missing.returncode, "no program is called so" in missing.stderr) == (13, True)


def test_a_crash_and_who_ran_what_are_events_and_survive_the_supervisor(stack):
    dead = stack.kill("gateway-1")
    stack.until(lambda: stack.pids()["gateway-1"] not in {None, dead}, "it is back")
    stack.until_ready()
    beside(stack, "engine", "true")
    stack.kill("supervisor")
    stack.start()
    found = list(events(stack.name, targets=lambda _t, _d: stack.target).events)
    [died] = [event for event in found if event.event == "died" and event.fields["pid"] == dead]
    assert (died.component, died.fields["reason"]) == ("gateway-1", "signal 9 (SIGKILL)")
    after = [(event.component, event.event) for event in found[found.index(died) + 1 :]]
    assert ("gateway-1", "started") in after
    assert ("engine-0", "exec") in after
    assert ("supervisor", "started") in after
    assert ("gateway-1", "found") in after, "by the new supervisor"
    only = hftctl("events", "-p", stack.name, "gateway", "--since", "10m")
    assert f"pid {dead} died: signal 9 (SIGKILL) (supervisor)" in only.stdout
    assert "postgres" not in only.stdout


def test_a_forwarded_port_leads_to_the_component_and_is_an_event(stack):
    with forwarded(stack.name, "redis", {}) as port:
        assert said(port, b"PING\r\n", b"\r\n").startswith(b"-NOAUTH")
    with forwarded(stack.name, "nginx", {}) as port:
        for _ in range(2):  # each connection is one of its own
            assert b'"status"' in said(port, b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n", b"}")
    found = list(events(stack.name, targets=lambda _t, _d: stack.target).events)
    assert [one.component for one in found if one.event == "forward"][-2:] == ["redis", "nginx"]
    none = hftctl("forward", "gateway-1", "-p", stack.name)
    assert (none.returncode, "hftctl forward nginx" in none.stderr) == (13, True)
