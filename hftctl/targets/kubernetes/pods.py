"""Commands inside a component's pod: a person's, connections, and questions to an engine's admin door."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hftctl.errors import Failed, NotFound
from hftctl.targets.base import Surroundings
from hftctl.targets.compose.services import POSTGRES_PORT, PREPARE, PROBE, REDIS_PORT
from hftctl.targets.kubernetes import causes, names, readiness, services, tunnel
from hftctl.targets.kubernetes.api import Api, Object

PORTS = {
    "postgres": POSTGRES_PORT,
    "redis": REDIS_PORT,
    "engine": services.LINK_PORT,
    "gateway": services.GATEWAY_PORT,
    "nginx": services.HTTP_PORT,
}


def find(api: Api, deployment: str, component: str) -> Object:
    """The newest pod of a component that runs, one that is ready before others. Raises NotFound."""
    there = api.list("Pod", names.namespace(deployment), names.selector(deployment, component))
    running = [
        pod for pod in there if pod["status"].get("phase") == "Running" and not pod["metadata"].get("deletionTimestamp")
    ]
    if not running:
        raise NotFound(
            f"'{deployment}' has no running pod of {component}",
            hint=f"see its components: hftctl status -p {deployment}",
        )
    return max(running, key=lambda pod: (readiness.is_ready(pod), causes.seconds(pod["metadata"]["creationTimestamp"])))


def name(api: Api, deployment: str, component: str) -> str:
    return str(find(api, deployment, component)["metadata"]["name"])


def surroundings(api: Api, context: str, deployment: str, component: str) -> Surroundings:
    terminal = ["-t"] if sys.stdin.isatty() and sys.stdout.isatty() else []
    # PostgreSQL's own pod looks no names up, not even its own.
    prepare = (
        PREPARE.replace("PGHOST=postgres-0", "PGHOST=127.0.0.1") if names.kind(component) == "postgres" else PREPARE
    )
    before = ("kubectl", "--context", context, "exec", "-i", *terminal, "-n", names.namespace(deployment),
              name(api, deployment, component), "--", "sh", "-c", prepare, "sh")  # fmt: skip
    return Surroundings(Path.cwd(), dict(os.environ), before)


def connection(api: Api, deployment: str, component: str) -> Sequence[str]:
    port = PORTS.get(names.kind(component))
    if port is None:
        raise NotFound(f"{component} listens on no port", hint="orders go through nginx: hftctl forward nginx")
    module = "hftctl.targets.kubernetes.carry"
    return (
        sys.executable,
        "-P",
        "-m",
        module,
        names.namespace(deployment),
        name(api, deployment, component),
        str(port),
    )


def ask_engine(
    api: Api, deployment: str, partition: int, message: Mapping[str, Any], *, timeout_s: float
) -> Mapping[str, Any]:
    """Raises NotFound when nobody answers there."""
    subject = f"engine-{partition}"
    pod = name(api, deployment, subject)
    argv = [*PROBE, "ask", f"{subject}.admin.sock", json.dumps(message)]
    code, said = tunnel.run(api, names.namespace(deployment), pod, argv, timeout_s=max(timeout_s, 5.0))
    if code:
        raise NotFound(f"cannot reach {subject}: {said.splitlines()[-1] if said else f'exit status {code}'}")
    try:
        answer = json.loads(said)
    except ValueError as error:
        raise Failed(f"{subject} closed the connection without a whole answer") from error
    if not isinstance(answer, dict):
        raise Failed(f"{subject} answered {answer!r}, not an object")
    return answer
