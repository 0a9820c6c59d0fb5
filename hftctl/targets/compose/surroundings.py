"""Commands inside a component's container: a person's, connections, and questions to an engine's admin door."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hftctl.errors import Failed, NotFound
from hftctl.targets import relay
from hftctl.targets.base import Surroundings
from hftctl.targets.compose import names
from hftctl.targets.compose.containers import Containers, Found
from hftctl.targets.compose.services import HTTP_PORT, POSTGRES_PORT, PREPARE, PROBE, PYTHON, REDIS_PORT

PORTS = {"postgres": POSTGRES_PORT, "redis": REDIS_PORT, "nginx": HTTP_PORT}


def of(containers: Containers, deployment: str, component: str) -> Surroundings:
    found = _running(containers, deployment, component)
    terminal = ["-t"] if sys.stdin.isatty() and sys.stdout.isatty() else []
    before = ("docker", "exec", "-i", *terminal, found.id, "sh", "-c", PREPARE, "sh")
    return Surroundings(Path.cwd(), dict(os.environ), before)


def connection(containers: Containers, deployment: str, component: str, image: str) -> Sequence[str]:
    """By a container of ours in the component's own network: where the engine is another machine, and its image has no Python."""
    port = PORTS.get(names.kind(component))
    if port is None:
        raise NotFound(f"{component} listens on no port: engine, gateways and persister meet at Unix sockets",
                       hint="orders go through nginx: hftctl forward nginx")  # fmt: skip
    found = _running(containers, deployment, component)
    return (
        "docker", "run", "--rm", "-i", "--network", f"container:{found.id}", "--user", "1000:1000", "--read-only", "--cap-drop", "ALL",
        "--security-opt", "no-new-privileges", "--memory", "64m", "--pids-limit", "8", "--no-healthcheck", "--log-driver", "none",
        "--label", f"{names.ROLE}=forward", "--entrypoint", PYTHON[0], image, *PYTHON[1:], "-c", Path(relay.__file__).read_text(),
        "127.0.0.1", str(port),
    )  # fmt: skip


def _running(containers: Containers, deployment: str, component: str) -> Found:
    found = containers.serving().get(component)
    if found is None or found.state != "running":
        raise NotFound(
            f"'{deployment}' has no running container of {component}",
            hint=f"see its components: hftctl status -p {deployment}",
        )
    return found


def ask_engine(containers: Containers, partition: int, message: Mapping[str, Any]) -> Mapping[str, Any]:
    """Raises NotFound when nobody answers there."""
    subject = f"engine-{partition}"
    found = containers.serving().get(subject)
    if found is None or found.state != "running":
        state = f"is {found.state}" if found is not None else "does not run"
        raise NotFound(f"cannot reach {subject}: its container {state}")
    try:
        code, said = containers.run_in(found.id, [*PROBE, "ask", f"{subject}.admin.sock", json.dumps(message)])
    except Failed as error:
        raise NotFound(f"cannot reach {subject}: {error.message}") from error
    if code:
        raise NotFound(f"cannot reach {subject}: {said.splitlines()[-1] if said else f'exit status {code}'}")
    try:
        answer = json.loads(said)
    except ValueError as error:
        raise Failed(f"{subject} closed the connection without a whole answer") from error
    if not isinstance(answer, dict):
        raise Failed(f"{subject} answered {answer!r}, not an object")
    return answer
