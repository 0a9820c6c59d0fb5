"""Gateways of several containers wait in one folder: each is process 1, and none has the other's socket."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
pytestmark = [pytest.mark.lab, pytest.mark.skipif(os.geteuid() != 0, reason="other hosts' names need root")]
WAITS = """
import os, sys
from stack.gateway.serve import listen
listener, fresh = listen("gateway-1.sock")
print(os.getpid(), fresh, flush=True)
sys.stdin.readline()
client, _ = listener.accept()
client.sendall(os.uname().nodename.encode())
"""


def waiting(folder: Path, host: str) -> subprocess.Popen[str]:
    inside = 'hostname "$1" && exec "$2" -c "$3"'
    return subprocess.Popen(
        ["unshare", "--uts", "--pid", "--fork", "--kill-child", "sh", "-c", inside, "sh", host, sys.executable, WAITS],
        cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


def test_two_that_wait_for_one_place_have_a_socket_each(tmp_path: Path) -> None:
    hosts = ("0123456789ab", "ba9876543210")
    there = [waiting(tmp_path, host) for host in hosts]
    try:
        told = [one.stdout.readline().split() for one in there]
        assert [pid for pid, _ in told] == ["1", "1"]
        for (_, fresh), one, host in zip(told, there, hosts, strict=True):
            one.stdin.write("go\n")
            one.stdin.flush()
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(10.0)
                client.connect(str(tmp_path / fresh))
                assert client.recv(64).decode() == host
    finally:
        for one in there:
            one.kill()
            one.communicate()
