"""What happens around a stack on Docker while clients trade: a clear state, and recovery without a hand, measured.

cut_off            docker network disconnect of a gateway; `hftctl start` brings it back
paused             docker pause of the engine; the same
full               the file system of the engine's volume has no room; there is room again
docker_restarted   dockerd is asked to end and started, and killed (SIGKILL) and started
"""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.faults.history import Operation
from tests.lab.docker.evidence import Judged, judge
from tests.lab.docker.scene import Scene
from tests.lab.docker.watch import traded

VOLUME_MIB = 1024
HELD_S = 3.0  # how long a fault lasts after `status` has told it
READY_S_MAX = 60.0


@dataclass
class Outage:
    name: str
    told: str = ""  # by `hftctl status`
    told_s: float = 0.0
    way: str = ""  # how the fault ended
    recovered_s: float = 0.0  # from then until `status` said ready
    answers: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)


@contextmanager
def limited_volume(folder: Path, engine: Any, deployment: str) -> Iterator[Path]:
    """The volume of partition 0 on a small file system of its own, before there is a deployment. Needs root."""
    place = folder / f"volume-{deployment}"
    place.mkdir()
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={VOLUME_MIB}m,mode=0750,uid=1000,gid=1000", "hftctl-lab", place],
        check=True,
    )
    try:
        engine.docker(
            "volume", "create", "--label", f"hftctl.deployment={deployment}", "--driver", "local", "--opt", "type=none",
            "--opt", "o=bind", "--opt", f"device={place}", f"hftctl-{deployment}-partition-0",
        )  # fmt: skip
        yield place
    finally:
        subprocess.run(["umount", place], check=True)


def until(scene: Scene, seen: Callable[[dict[str, Any]], bool], seconds: float) -> tuple[dict[str, Any], float]:
    """The first `status` that is as it should be, or the last one; and how long that took."""
    began = time.monotonic()
    while True:
        status = scene.hftctl("status", "-p", scene.name, expect=(0, 9, 13))
        took_s = time.monotonic() - began
        if seen(status) or took_s > seconds:
            return status, took_s
        time.sleep(0.2)


def _told(scene: Scene, this: Outage, words: Sequence[str]) -> None:
    status, this.told_s = until(scene, lambda one: all(word in one["message"] for word in words), READY_S_MAX)
    this.told = status["message"]
    this.problems += [f"status lacks {word!r}: {this.told}" for word in words if word not in this.told]


def _recovered(scene: Scene, this: Outage, since: float) -> None:
    status, _ = until(scene, lambda one: one.get("state") == "ready", READY_S_MAX)
    this.recovered_s = time.monotonic() - since
    if status.get("state") != "ready":
        this.problems.append(f"after {this.recovered_s:.0f} s {status.get('state')}: {status['message']}")
    drift = scene.hftctl("drift", "-p", scene.name, expect=(0, 3))["findings"]
    this.problems += [f"{one['subject']} {one['message']}" for one in drift]


def _started(scene: Scene, this: Outage) -> None:
    """What `status` proposes, and nothing else."""
    since = time.monotonic()
    this.way = "hftctl start"
    scene.hftctl("start", "-p", scene.name, "--yes")
    _recovered(scene, this, since)


def cut_off(scene: Scene) -> Outage:
    this = Outage("docker network disconnect of gateway-1")
    scene.lab.engine.docker("network", "disconnect", f"hftctl-{scene.name}-data", scene.container("gateway-1"))
    _told(scene, this, ["gateway-1 was cut off from its network"])
    time.sleep(HELD_S)
    _started(scene, this)
    return this


def paused(scene: Scene) -> Outage:
    this = Outage("docker pause of engine-0")
    scene.lab.engine.docker("pause", scene.container("engine-0"))
    _told(scene, this, ["engine-0 is paused"])
    time.sleep(HELD_S)
    _started(scene, this)
    return this


def full(scene: Scene, place: Path) -> Outage:
    """Orders are refused before anything is taken; as soon as there is room, they are taken again."""
    this = Outage("no room in the engine's volume")
    filler = place / "filler"
    with filler.open("wb", buffering=0) as file:
        piece = bytes(1 << 20)
        try:
            while file.write(piece) == len(piece):
                pass
        except OSError:
            pass
    _told(scene, this, ["engine-0 refuses new orders"])
    time.sleep(HELD_S)
    since = time.monotonic()
    filler.unlink()
    this.way = "there is room again"
    _recovered(scene, this, since)
    return this


def docker_restarted(scene: Scene, how: signal.Signals) -> Outage:
    this = Outage(f"dockerd ended by {how.name} and started")
    scene.lab.engine.restart(how, lambda: _told(scene, this, ["cannot reach a Docker engine"]))
    this.way = "Docker is back"
    _recovered(scene, this, time.monotonic())
    return this


@dataclass
class Outages:
    seen: list[Outage]
    judged: Judged
    requests: int

    @property
    def good(self) -> bool:
        return self.judged.good and not any(one.problems for one in self.seen)


def outages(scene: Scene, place: Path, folder: Path, restarts: int, clients: int) -> Outages:
    """`restarts` of dockerd in each way."""
    faults: list[Callable[[], Outage]] = [
        lambda: cut_off(scene), lambda: paused(scene), lambda: full(scene, place),
        *[lambda: docker_restarted(scene, signal.SIGTERM), lambda: docker_restarted(scene, signal.SIGKILL)] * restarts,
    ]  # fmt: skip
    seen: list[tuple[Outage, int, int]] = []

    def met(fault: Callable[[], Outage]) -> dict[str, Any]:
        began = time.monotonic_ns()
        seen.append((fault(), began, time.monotonic_ns()))
        print(seen[-1][0], file=sys.stderr, flush=True)
        return {}

    changes = [(str(number), lambda fault=fault: met(fault)) for number, fault in enumerate(faults)]
    _, crowd = asyncio.run(traded(scene, changes, traders=clients))
    for one, began, ended in seen:
        one.answers = Counter(_answer(each) for each in crowd.history if began <= each.invoked_ns < ended)
    return Outages([one for one, _, _ in seen], judge(scene, folder), len(crowd.history))


def _answer(one: Operation) -> str:
    if one.completed_ns is None:
        return "no answer"
    return str(one.status) if one.status < 500 else f"{one.status} {one.response.get('code', '')}"


def report_of(seen: Outages, clients: int) -> list[str]:
    return [
        f"{len(seen.seen)} faults under {clients} clients, {seen.requests} requests. `told` is what `hftctl status` said, after how many "
        "seconds; `ended` what took the fault away, and nothing else was done; `ready` how many seconds later `status` said so, `drift` "
        f"without a finding. History of orders: {seen.judged}.", "",
        *[f"- {line}" for line in seen.judged.problems[:20]], "",
        "| fault | told | after s | ended | ready after s | clients were answered | problems |", "|---|---|---|---|---|---|---|",
        *[
            f"| {o.name} | {o.told.replace('|', '/')[:200]} | {o.told_s:.1f} | {o.way} | {o.recovered_s:.1f} | "
            f"{', '.join(f'{name}: {count}' for name, count in sorted(o.answers.items()))} | {'; '.join(o.problems)} |"
            for o in seen.seen
        ], "",
    ]  # fmt: skip
