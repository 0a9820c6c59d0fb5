"""Whether health answers while as many orders come as the stack takes: the users' probes timed out just then."""

from __future__ import annotations

import http.client
import threading
import time
from dataclasses import dataclass

from tests.lab.docker.scene import Scene

CLIENTS = 40
EVERY_S = 0.1
GIVEN_UP_S = 10.0


@dataclass(frozen=True)
class Asked:
    """Each answer of `GET /health` under load, and the load."""

    seconds: list[float]
    bad: list[str]  # not 200, or no answer
    per_s: float  # orders

    @property
    def slowest_s(self) -> float:
        return max(self.seconds)


def under_load(scene: Scene, seconds: int) -> Asked:
    """Ask as a probe does, with a new connection each time, for as long as `hftctl load` runs."""
    found: list[float] = []
    bad: list[str] = []
    over = threading.Event()

    def ask() -> None:
        while not over.wait(EVERY_S):
            began = time.monotonic()
            client = http.client.HTTPConnection("127.0.0.1", scene.http, timeout=GIVEN_UP_S)
            try:
                client.request("GET", "/health")
                answer = client.getresponse()
                body = answer.read(1 << 20)
                if answer.status != 200:
                    bad.append(f"{answer.status} {body[:200]!r}")
            except (OSError, http.client.HTTPException) as error:
                bad.append(f"{type(error).__name__}: {error}")
            finally:
                client.close()
            found.append(time.monotonic() - began)

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        load = scene.hftctl("load", "-p", scene.name, "--clients", str(CLIENTS), "--duration", f"{seconds}s")
    finally:
        over.set()
        asking.join()
    return Asked(found, bad, float(load["achieved_per_s"]))
