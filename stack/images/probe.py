"""Asks the service that is process 1 of this container how it is, or hands an engine a message. Standard library only.

    probe.py health              one sentence; exit 0 when it works, 1 when not yet
    probe.py ask SOCKET JSON     one line of JSON to an engine's admin door, its answer back

What process 1 is stands in its command line: `-m stack.gateway --config ../config/gateway-1.json`.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import struct
import sys
import time
from pathlib import Path
from typing import Any

TIMEOUT_S = 2.0
STATE_OLD_S = 15.0  # a persister tells its state every second


def main() -> int:
    if sys.argv[1] == "ask":
        sys.stdout.write(ask(sys.argv[2], sys.argv[3]))
        return 0
    words = Path("/proc/1/cmdline").read_text().split("\0")
    settings = json.loads(Path(words[words.index("--config") + 1]).read_bytes())
    module = words[words.index("-m") + 1]
    name = settings["component"]
    try:
        ready, said = {"stack.matcher": engine, "stack.gateway": gateway, "stack.persister": persister}[module](
            settings
        )
    except OSError as error:
        ready, said = False, f"does not answer yet: {error.strerror or error}"
    print(f"{name} {said}")
    return 0 if ready else 1


def engine(settings: dict[str, Any]) -> tuple[bool, str]:
    with contextlib.suppress(FileNotFoundError, ValueError):
        found = json.loads(Path(settings["data_dir"], "replaying.json").read_bytes())
        return False, f"is replaying {found['replayed']} of {found['of']} commands of its journal"
    status = json.loads(ask(settings["admin_socket"], '{"command": "status"}'))
    if status.get("stopped"):
        return False, "takes no commands: its journal failed, or it is stopping"
    halted = ", halted by an operator" if status.get("halted") else ""
    return True, f"takes commands, sequence {status.get('sequence')}{halted}"


def gateway(settings: dict[str, Any]) -> tuple[bool, str]:
    with connect(settings["socket"]) as connection:
        if not ours(connection):
            return False, "waits to take over from the gateway before it"
        # By hand: loading http.client takes twice as long as all the rest, in ten containers at once.
        connection.sendall(b"GET /health/ready HTTP/1.0\r\nHost: localhost\r\n\r\n")
        head, _, body = b"".join(iter(lambda: connection.recv(65536), b"")).partition(b"\r\n\r\n")
    status = head.partition(b"\r\n")[0].split()[1:2]
    if status == [b"200"]:
        return True, "takes orders"
    try:
        said = json.loads(body)["message"]
    except (ValueError, KeyError, TypeError):
        said = f"HTTP {status[0].decode() if status else 'without a status'}"
    return False, f"is not ready: {said}"


def persister(settings: dict[str, Any]) -> tuple[bool, str]:
    try:
        state = json.loads(Path(settings["state_file"]).read_bytes())
    except (FileNotFoundError, ValueError):
        return False, "has not told its state yet"
    told_s = state["time_ns"] / 1e9
    if told_s < started_s():
        return False, "has not told its state yet"  # that is of the one before it
    if state["failing"]:
        return False, "; ".join(f"{one['what']} does not work: {one['why']}" for one in state["failing"])
    if state["written_sequence"] is None:
        return False, "has not written its first checkpoint yet"
    if time.time() - told_s > STATE_OLD_S:
        return False, "has told nothing for a while"
    behind = f"; {state['lag_events']} events wait" if state["lag_events"] else ""
    return True, f"runs, PostgreSQL has everything up to sequence {state['written_sequence']}{behind}"


def started_s() -> float:
    """When process 1 of this container began, in seconds of the wall clock."""
    ticks = int(Path("/proc/1/stat").read_text().rpartition(")")[2].split()[19])
    uptime_s = float(Path("/proc/uptime").read_text().split()[0])
    return time.time() - uptime_s + ticks / os.sysconf("SC_CLK_TCK")


def ask(path: str, message: str) -> str:
    with connect(path) as connection:
        connection.sendall(message.encode() + b"\n")
        data = b""
        while not data.endswith(b"\n") and (piece := connection.recv(65536)):
            data += piece
    return data.decode()


def connect(path: str) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(TIMEOUT_S)
    connection.connect(path)
    return connection


def ours(connection: socket.socket) -> bool:
    """Whether who listens is of this container: the kernel shows a process of another one as pid 0."""
    pid, _, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return bool(pid)


if __name__ == "__main__":
    sys.exit(main())
