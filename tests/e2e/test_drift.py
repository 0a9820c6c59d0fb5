"""Each hand edit on a running stack is found, alone, with a command that repairs it."""

import os
import subprocess
import sys

import psycopg
import pytest
import redis

from hftctl.operations.drift import drift
from hftctl.targets.local import credentials

pytestmark = pytest.mark.stack


def found(stack):
    return [(one.subject, one.what) for one in drift(stack.name, targets=lambda _t, _d: stack.target).findings]


def only(stack):
    [one] = drift(stack.name, targets=lambda _t, _d: stack.target).findings
    return one


def test_what_was_just_deployed_has_no_drift(stack):
    assert found(stack) == []


def test_an_edited_file_is_shown_and_start_writes_it_back(stack):
    path = stack.target.layout.config / "nginx.conf"
    before = path.read_text()
    path.write_text(before.replace("client_max_body_size 1m;", "client_max_body_size 9m;"))
    one = only(stack)
    assert (one.subject, one.what, one.repair) == ("nginx", "file", f"hftctl start -p {stack.name}")
    assert [line.strip() for line in one.diff if line[0] in "+-"] == [
        "-    client_max_body_size 1m;",
        "+    client_max_body_size 9m;",
    ]
    assert stack.start().result == "ready"
    assert (path.read_text(), found(stack)) == (before, [])


def test_a_setting_inside_postgresql_is_found(stack):
    with psycopg.connect(**stack.target.postgres(0), autocommit=True) as server:
        server.execute("ALTER SYSTEM SET work_mem = '1MB'")
        try:
            one = only(stack)
            assert (one.subject, one.what) == ("postgres-0", "setting")
            assert "work_mem = 1MB" in one.message
            assert "ALTER SYSTEM RESET work_mem" in one.repair
        finally:
            server.execute("ALTER SYSTEM RESET work_mem")
    assert found(stack) == []


def test_a_dropped_view_and_a_column_too_many_are_found_and_the_commands_repair_them(stack):
    with psycopg.connect(**stack.target.postgres(0), autocommit=True) as server:
        view = server.execute(
            "SELECT c.relname FROM pg_class c WHERE relkind = 'v' AND relnamespace = 'public'::regnamespace AND NOT EXISTS"
            " (SELECT FROM pg_depend d JOIN pg_rewrite r ON r.oid = d.objid"
            "   WHERE d.refobjid = c.oid AND r.ev_class <> c.oid) ORDER BY 1"
        ).fetchone()[0]
        server.execute(f"DROP VIEW {view}")
        server.execute("ALTER TABLE accounts ADD COLUMN extra integer")
    report = drift(stack.name, targets=lambda _t, _d: stack.target).findings
    assert {one.message for one in report} == {
        f"view {view} is gone",
        "column accounts.extra was added by hand",
    }
    for one in report:
        words = [sys.executable, "-m", *one_command(one.repair)]
        subprocess.run(words, check=True, env=os.environ, capture_output=True)
    assert found(stack) == []


def one_command(line):
    import shlex

    return shlex.split(line)


def test_a_setting_inside_valkey_is_found(stack):
    password = credentials.read(stack.target.layout, "redis_password")
    with redis.Redis(port=stack.profile["ports"]["redis"], password=password) as server:
        server.config_set("maxmemory-policy", "noeviction")
        try:
            one = only(stack)
            assert (one.subject, one.what) == ("redis", "setting")
            assert "maxmemory-policy to 'noeviction', applied was 'allkeys-lru'" in one.message
        finally:
            server.config_set("maxmemory-policy", "allkeys-lru")
    assert found(stack) == []


def test_a_secret_that_others_may_read_is_found(stack):
    path = stack.target.layout.secrets / "postgres_password"
    path.chmod(0o644)
    one = only(stack)
    assert (one.subject, one.what, one.repair) == ("secrets", "rights", f"chmod 600 {path}")
    path.chmod(0o600)
    assert found(stack) == []


def test_a_socket_that_was_removed_and_a_process_of_nobody_are_found(stack):
    place = stack.target.layout.run
    socket = place / "gateway-1.sock"
    socket.rename(place / "aside")
    assert found(stack) == [("gateway-1", "door")]
    (place / "aside").rename(socket)
    stray = subprocess.Popen([sys.executable, "-c", "input()", "stack.matcher"], cwd=place, stdin=subprocess.PIPE)
    try:
        one = only(stack)
        assert (one.what, one.repair) == ("process", f"kill {stray.pid}")
    finally:
        stray.kill()
        stray.wait()
        stray.stdin.close()
    assert found(stack) == []
