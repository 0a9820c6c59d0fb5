"""PostgreSQL started as root, as a user without a name and where namespaces are forbidden: by its launcher alone."""

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import psycopg
import pytest

from hftctl.paths import Layout
from hftctl.profile.load import load
from hftctl.targets.local import servers, userns
from hftctl.targets.local.binaries import POSTGRES, find
from hftctl.targets.local.postgres import conf
from hftctl.targets.local.userns import Way
from tests.hftctl.targets.local.conftest import PATIENCE_S
from tests.ports import free_ports

PASSWORD = "correct horse"

# Answers unshare(2) with EPERM in whatever it starts, as a container's seccomp profile does.
FORBID = """
import ctypes, os, platform, struct, sys
number = {"x86_64": 272, "aarch64": 97}[platform.machine()]
step = lambda code, true, false, value: struct.pack("HBBI", code, true, false, value)
program = step(0x20, 0, 0, 0) + step(0x15, 0, 1, number) + step(0x06, 0, 0, 0x00050001) + step(0x06, 0, 0, 0x7FFF0000)
libc = ctypes.CDLL(None, use_errno=True)
code = ctypes.create_string_buffer(program)
filter_ = struct.pack("HxxxxxxP", 4, ctypes.addressof(code))
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.prctl(22, 2, filter_, 0, 0) == 0, os.strerror(ctypes.get_errno())
os.execv(sys.argv[1], sys.argv[1:])
"""


class Cluster:
    def __init__(self, layout, before=()):
        self.port = free_ports(1)[0]
        self.layout, self.before = layout, before
        for folder in (layout.root, layout.run, layout.config, layout.secrets, layout.data):
            folder.mkdir(mode=0o700)
        (layout.secrets / "postgres_password").write_text(PASSWORD)
        values = load("local").values
        profile = {**values, "ports": {**values["ports"], "postgres": self.port}}
        self.spec = servers.postgres(profile, layout, find(POSTGRES))
        (layout.config / "postgres-0.json").write_text(json.dumps(self.spec["settings"]))
        self.process = None

    def start(self):
        argv = [*self.before, *self.spec["process"]["argv"]]
        self.process = subprocess.Popen(
            argv, cwd=self.layout.run, env={**os.environ, **self.spec["process"]["env"]},
            stderr=subprocess.PIPE, bufsize=0, start_new_session=True,
        )  # fmt: skip
        # Unbuffered: a second line that a buffer already holds would never wake the select.
        said = []
        while select.select([self.process.stderr], [], [], PATIENCE_S)[0]:
            line = self.process.stderr.readline().decode()
            said.append(line)
            if "ready to accept connections" in line:
                return
            assert line, "".join(said)
        raise AssertionError("".join(said))

    def ask(self, question, password=PASSWORD):
        with psycopg.connect(
            host="127.0.0.1",
            port=self.port,
            user="hft",
            password=password,
            dbname="postgres",
            require_auth="scram-sha-256",
        ) as connection:
            row = connection.execute(question).fetchone()
            return row[0] if row else None

    def stop(self, number=signal.SIGINT):
        if self.process is not None:
            os.kill(self.process.pid, number)
            self.process.wait(PATIENCE_S)
            self.process.stderr.close()
            self.process = None


@pytest.fixture
def cluster(tmp_path):
    cluster = Cluster(Layout(tmp_path / "paper"))
    yield cluster
    cluster.stop()


def test_first_start_makes_a_cluster_that_asks_for_the_password(cluster):
    cluster.start()
    assert cluster.ask("SHOW listen_addresses") == "127.0.0.1"
    assert cluster.ask("SHOW fsync") == "on"
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        cluster.ask("SELECT 1", password="guess")
    data = cluster.layout.postgres(0)
    assert data.stat().st_uid == os.geteuid(), "files stay ours"
    assert data.stat().st_mode & 0o077 == 0
    assert not list(cluster.layout.data.glob("*.password"))


def test_a_start_that_was_killed_half_way_is_made_again(cluster):
    part = cluster.layout.data / "postgres-0.part"
    part.mkdir()
    (part / "PG_VERSION").write_text("18\n")
    cluster.start()
    assert cluster.ask("SELECT 1") == 1
    assert not part.exists()


def test_a_lock_file_of_a_dead_server_does_not_stop_the_next(cluster):
    cluster.start()
    lock = cluster.layout.postgres(0) / "postmaster.pid"
    text = lock.read_text()
    cluster.stop()
    stranger = subprocess.Popen([sys.executable, "-S", "-c", "import signal; signal.pause()"])
    try:
        lock.write_text(
            text.replace(text.split("\n", 1)[0], str(stranger.pid), 1)
        )  # as after a reboot: its pid is another's
        cluster.start()
        assert cluster.ask("SELECT 1") == 1
    finally:
        stranger.kill()
        stranger.wait()


def test_settings_are_quoted():
    assert conf({"a": "it's", "b": 1}).splitlines()[1:] == ["a = 'it''s'", "b = '1'"]


def test_who_needs_a_namespace(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert userns.needed() is Way.NAMESPACE
    monkeypatch.setattr(os, "geteuid", lambda: 2**31 - 7)
    assert userns.needed() is Way.NAMESPACE


@pytest.mark.lab
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become nobody")
def test_where_namespaces_are_forbidden_root_becomes_nobody():
    # Not below pytest's folders: they are closed to others, and opening them would meet the tests beside this one.
    top = Path(tempfile.mkdtemp(prefix="hftctl-open-"))
    top.chmod(0o755)
    cluster = Cluster(Layout(top / "paper"), before=(sys.executable, "-c", FORBID))
    try:
        cluster.start()
        assert cluster.ask("SELECT 1") == 1
        status = Path(f"/proc/{cluster.process.pid}/status").read_text()
        assert f"Uid:\t{userns.NOBODY}\t{userns.NOBODY}" in status
        assert cluster.layout.postgres(0).stat().st_uid == userns.NOBODY
        assert cluster.layout.root.stat().st_mode & 0o777 == 0o711, "others pass through and see nothing"
    finally:
        cluster.stop()
        shutil.rmtree(top)


@pytest.mark.lab
@pytest.mark.skipif(os.geteuid() != 0, reason="only root starts PostgreSQL in a namespace of its own")
def test_root_changes_nothing_on_the_host(tmp_path):
    folders = [*tmp_path.parents, Path("/root")]
    before = [(folder.stat().st_mode, folder.stat().st_uid) for folder in folders], Path("/etc/passwd").read_text()
    cluster = Cluster(Layout(tmp_path / "paper"))
    try:
        cluster.start()
        assert cluster.ask("SELECT 1") == 1
    finally:
        cluster.stop()
    assert before == (
        [(folder.stat().st_mode, folder.stat().st_uid) for folder in folders],
        Path("/etc/passwd").read_text(),
    )


def test_a_copied_runtime_runs_where_it_stands(tmp_path):
    program = find(POSTGRES)
    if program.parts[-3] != "pginstall":
        return  # only the wheel's programs are ever copied: those of the system everybody may run
    copied = userns.copy_runtime(program, tmp_path)
    assert userns.copy_runtime(program, tmp_path) == copied, "once"
    for name in ("postgres", "initdb", "psql"):
        done = subprocess.run([copied.with_name(name), "--version"], capture_output=True, text=True, check=True)
        assert "PostgreSQL" in done.stdout
