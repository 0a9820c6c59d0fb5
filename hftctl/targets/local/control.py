"""Talking to the supervisor of a deployment, and starting it."""

from __future__ import annotations

import hashlib
import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hftctl.errors import Failed, NotFound
from hftctl.paths import Layout, package_folder
from hftctl.plan.change import Spec
from hftctl.targets.local.identity import Identity, alive
from hftctl.targets.local.process import Process
from hftctl.targets.local.supervisor import ANOTHER, PID_FILE, READY_FD_VARIABLE, SOCKET
from hftctl.targets.unix import connect

START_TIMEOUT_S = 15.0
ANSWER_TIMEOUT_S = 10.0
REMOVE_TIMEOUT_S = 120.0  # a component has its own time to end in peace; then the supervisor kills it


def ask(layout: Layout, message: Mapping[str, Any], *, timeout_s: float = ANSWER_TIMEOUT_S) -> dict[str, Any]:
    """Raises NotFound when no supervisor answers."""
    try:
        with connect(layout.run / SOCKET, timeout_s) as connection:
            connection.sendall(json.dumps(message).encode() + b"\n")
            data = bytearray()
            while not data.endswith(b"\n"):
                piece = connection.recv(65536)
                if not piece:
                    raise ConnectionResetError("it closed the connection")
                data += piece
    except OSError as error:
        reason = f"no answer in {timeout_s:g} s" if isinstance(error, TimeoutError) else error.strerror or str(error)
        raise NotFound(
            f"cannot reach the supervisor of '{layout.name}': {reason}", hint=f"hftctl start -p {layout.name}"
        ) from error
    answer: dict[str, Any] = json.loads(data)
    if "error" in answer:
        raise Failed(f"the supervisor of '{layout.name}' refused: {answer['error']}")
    return answer


def status(layout: Layout) -> dict[str, Any] | None:
    """None when no supervisor answers."""
    try:
        return ask(layout, {"do": "status"})
    except NotFound:
        return None


def supervisor_wanted() -> Spec:
    """Content of its code: a newer one takes over from the one that runs, without touching what that looks after."""
    files = sorted(Path(__file__).parent.glob("*.py"))
    return {"code": hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:16]}


def supervisor_spec(layout: Layout) -> Spec:
    return {"code": json.loads((layout.run / PID_FILE).read_bytes()).get("code", "")}


def ensure(layout: Layout, *, start: bool = True) -> None:
    """Start the supervisor unless one answers. It outlives us: own session, no pipe to us.

    Without `start` it looks after what lives and starts nothing that does not.
    """
    if status(layout) is not None:
        return
    ready, told = os.pipe()
    try:
        log = os.open(layout.logs / "supervisor.out", os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "hftctl.targets.local.supervisor", "--root", layout.root,
                 "--code", supervisor_wanted()["code"], *(() if start else ("--adopt-only",))],
                env={**os.environ, "PYTHONPATH": str(package_folder("hftctl").parent), READY_FD_VARIABLE: str(told)},
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=layout.root,
                start_new_session=True, pass_fds=(told,),
            )  # fmt: skip
        finally:
            os.close(log)
            os.close(told)
        deadline = time.monotonic() + START_TIMEOUT_S
        try:
            code = process.wait(START_TIMEOUT_S)  # it leaves its own child behind
        except subprocess.TimeoutExpired as error:
            raise Failed(
                f"the supervisor of '{layout.name}' (pid {process.pid}) is still starting after {START_TIMEOUT_S:g} s",
                hint=f"once the machine has time for it: hftctl start -p {layout.name}",
            ) from error
        if code == 0 and select.select([ready], [], [], START_TIMEOUT_S)[0] and os.read(ready, 1):
            return
        while code == ANOTHER and time.monotonic() < deadline:  # just starting, or leaving
            if status(layout) is not None:
                return
            time.sleep(0.05)
    finally:
        os.close(ready)
    if code == ANOTHER and (there := supervisor_identity(layout)) is not None:
        raise Failed(
            f"the supervisor of '{layout.name}' (pid {there.pid}) lives and does not answer",
            hint=f"when it was stopped: kill -CONT {there.pid}; else, for it holds nothing that its successor does not find: "
            f"kill -9 {there.pid}, then hftctl start -p {layout.name}",
        )
    raise Failed(
        f"the supervisor of '{layout.name}' did not start: {_last_line(layout.logs / 'supervisor.out')}",
        hint=f"see {layout.logs / 'supervisor.out'}",
    )


def _last_line(path: Path) -> str:
    lines = path.read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it said nothing"


def apply(layout: Layout, process: Process) -> None:
    ensure(layout)
    ask(layout, {"do": "apply", "process": process.json()})


def remove(layout: Layout, component: str) -> None:
    """Stops it; returns when it has gone."""
    ensure(layout)
    ask(layout, {"do": "remove", "component": component}, timeout_s=REMOVE_TIMEOUT_S)


def restart(layout: Layout, component: str) -> None:
    ensure(layout)
    ask(layout, {"do": "restart", "component": component})


def leave(layout: Layout) -> None:
    """End the supervisor, not what it looks after."""
    identity = supervisor_identity(layout)
    if identity is None:
        return
    handle = os.pidfd_open(identity.pid)
    try:
        ask(layout, {"do": "leave"})
        if not select.select([handle], [], [], ANSWER_TIMEOUT_S)[0]:
            raise Failed(f"the supervisor of '{layout.name}' (pid {identity.pid}) does not end")
    finally:
        os.close(handle)


def replace(layout: Layout, wanted: Spec, *, anyway: bool = False) -> None:
    """Have this code look after the deployment; `anyway`: by a new process, also when the one there is runs this code."""
    if status(layout) is not None and (anyway or supervisor_spec(layout) != wanted):
        leave(layout)
    ensure(layout)


def supervisor_identity(layout: Layout) -> Identity | None:
    """Of the supervisor that runs."""
    try:
        identity = Identity(**json.loads((layout.run / PID_FILE).read_bytes())["identity"])
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return identity if alive(identity) else None
