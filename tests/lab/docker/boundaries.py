"""kill -9 of hftctl around every write to the journal of rollouts, and what the next command makes of it.

Nobody unlocks anything: how long the lock outlives its holder is measured by taking it. Then `rollout continue`, `rollout abort` or the
same command again, in turn, must lead to exactly the old or the new revision.
"""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from hftctl.errors import LockHeld
from hftctl.targets.compose.driver import ComposeTarget
from tests.lab.docker.killed import SEEN
from tests.lab.docker.scene import ROOT, Scene

VERBS = ("deploy", "scale", "rollback")
FREE_S_MAX = 20.0
NEVER_S = 300.0
RATES = itertools.count(1)  # never the same twice: what stands after a kill may be the old release or the new one
WAYS = itertools.cycle(["continue", "abort", "again"])


@dataclass
class Kill:
    """What became of one run that was killed."""

    verb: str
    point: str
    way: str
    told: str = ""  # what `rollout status` called it
    free_s: float = 0.0  # from the death until the lock could be taken
    result: str = ""
    took_s: float = 0.0
    problems: list[str] = field(default_factory=list)


def words_of(scene: Scene, verb: str) -> list[str]:
    """A command that has something to do now: the same things each time, whatever the kill before it left."""
    named = ["-p", scene.name, "--yes"]
    match verb:
        case "deploy":
            _want(scene)
            return ["deploy", str(scene.profile), "--yes"]
        case "scale":
            there = {one["component"] for one in scene.hftctl("status", "-p", scene.name)["components"]}
            return ["scale", f"gateway={1 if 'gateway-2' in there else 2}", *named]
    for _ in range(2):  # the revision before is then as many gateways, and differs in one setting
        _want(scene)
        scene.hftctl("deploy", str(scene.profile), "--yes")
    return ["rollback", *named]


def _want(scene: Scene) -> None:
    scene.want(f"{scene.settings}latency_profiling:\n  sample_rate: {1 - next(RATES) / 10_000}\n")


def run(scene: Scene, point: str, words: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.lab.docker.killed", point, *words, "-o", "json"],
        cwd=ROOT, env={**os.environ, **scene.lab.engine.env, "HFTCTL_HOME": scene.home},
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def points(scene: Scene, verb: str) -> list[str]:
    """Those that differ: between an entry written and the next intent nothing happens, so one of the two is enough."""
    process = run(scene, "list", words_of(scene, verb))
    said = process.communicate(timeout=NEVER_S)[1]
    assert process.returncode == 0, said
    passed = [line.removeprefix(SEEN) for line in said.splitlines() if line.startswith(SEEN)]
    return [point for point in passed if not (point.startswith("before") and point.endswith("intent"))]


def lock_free_s(scene: Scene) -> float:
    """How long it took to get the lock. Raises LockHeld."""
    target, began = ComposeTarget(scene.name), time.monotonic()
    try:
        with target.lock("a measurement of how soon it is free", wait_s=FREE_S_MAX):
            return time.monotonic() - began
    finally:
        target.api.close()


def strike(scene: Scene, verb: str, point: str, way: str) -> Kill:
    this, began = Kill(verb, point, way), time.monotonic()
    words = words_of(scene, verb)
    before = revision(scene)
    process = run(scene, point.split(maxsplit=1)[0], words)
    said = process.communicate(timeout=NEVER_S)[1]
    if process.returncode != -signal.SIGKILL:
        this.problems.append(f"it was not killed: exit {process.returncode} {said[-300:]}")
    _free(scene, this)
    told = scene.hftctl("rollout", "status", "-p", scene.name, expect=(0, 9))
    this.told = told["state"]
    settled = point == "before:0 begin" or (point.startswith("after") and point.endswith(" end"))
    if (this.told == "interrupted") == settled or told["holder"]:
        this.problems.append(f"rollout status says {told['message']} {told['holder']}")
    if way == "again":
        this.result = scene.hftctl(*words)["result"]
    else:
        this.result = scene.hftctl("rollout", way, "-p", scene.name, "--yes")["result"]
    this.problems += not_whole(scene, {before, before + 1, before + 2} if way == "again" else {before, before + 1})
    this.took_s = time.monotonic() - began
    return this


def _free(scene: Scene, this: Kill) -> None:
    try:
        this.free_s = lock_free_s(scene)
    except LockHeld as error:
        this.free_s = FREE_S_MAX
        this.problems.append(error.message)


def revision(scene: Scene) -> int:
    number: int = scene.hftctl("status", "-p", scene.name, expect=(0, 9))["revision"]["number"]
    return number


def not_whole(scene: Scene, allowed: set[int]) -> list[str]:
    """Anything that is not exactly what the last revision wants, in containers, settings, networks or records."""
    status = scene.hftctl("status", "-p", scene.name, expect=(0, 9))
    problems = [] if status["state"] == "ready" else [f"{status['state']}: {status['message']}"]
    if status["revision"]["number"] not in allowed:
        problems.append(f"revision {status['revision']['number']}, not one of {sorted(allowed)}")
    drift = scene.hftctl("drift", "-p", scene.name, expect=(0, 3))["findings"]
    problems += [f"{one['subject']} {one['message']}" for one in drift]
    left = scene.lab.engine.docker("ps", "-a", "--format", "{{.Names}}").stdout.split()
    mine = scene.container("")
    return problems + [f"{name} was left" for name in left if name.startswith(mine) and _amid(name)]


def _amid(name: str) -> bool:
    return name.endswith((".next", ".old")) or "-lock" in name or "-writer-" in name


def frozen(scene: Scene) -> Kill:
    """Its holder stands still and closes nothing: the lock is free all the same, and who comes back to life writes nothing."""
    this, began = Kill("deploy", "frozen:1, after the first intent", "continue"), time.monotonic()
    before = revision(scene)
    process = run(scene, "frozen:1", words_of(scene, "deploy"))
    _, status = os.waitpid(process.pid, os.WUNTRACED)
    if not os.WIFSTOPPED(status):
        process.returncode = os.waitstatus_to_exitcode(status)
        this.problems.append(f"it was not frozen: {process.communicate()[1][-300:]}")
        return this
    try:
        _free(scene, this)
        this.told = scene.hftctl("rollout", "status", "-p", scene.name, expect=(0, 9))["state"]
        this.result = scene.hftctl("rollout", "continue", "-p", scene.name, "--yes")["result"]
        this.problems += not_whole(scene, {before, before + 1})
    finally:
        os.kill(process.pid, signal.SIGCONT)
    document, said = process.communicate(timeout=NEVER_S)
    if process.returncode == 0 or "which holds the lock" not in document + said:
        this.problems.append(f"it went on without the lock: exit {process.returncode} {document[-300:]} {said[-300:]}")
    this.problems += not_whole(scene, {before, before + 1})
    this.took_s = time.monotonic() - began
    return this


def sweep(scene: Scene, every: int, told: Callable[[Kill], None]) -> list[Kill]:
    """Of each verb the first point, every nth from it, and the last; then a holder that stands still."""
    kills: list[Kill] = []
    for verb in VERBS:
        passed = points(scene, verb)
        for index, point in enumerate(passed):
            if index % every == 0 or index == len(passed) - 1:
                kills.append(strike(scene, verb, point, next(WAYS)))
                told(kills[-1])
    kills.append(frozen(scene))
    told(kills[-1])
    return kills


def report_of(kills: list[Kill], judged: object, took_s: float) -> list[str]:
    killed, still = kills[:-1], kills[-1]
    return [
        f"{len(killed)} kills of a deploy, a scale and a rollback in {took_s:.0f} s, under clients that traded all the time. Each "
        "point is the nth write of the command to its journal (or its record of the revision), before or after it; then the way back "
        "named in the row. Whole means: `status` ready, `drift` without a finding, no container left half replaced.", "",
        f"**{sum(bool(kill.problems) for kill in kills)} problems.** After a kill the lock could be taken within "
        f"{min(kill.free_s for kill in killed):.1f} to **{max(kill.free_s for kill in killed):.1f} s**, the making of our own "
        f"included; of a holder that stands still (SIGSTOP) within {still.free_s:.1f} s, and when it went on it wrote nothing. "
        f"Nobody unlocked anything. History of orders: {judged}.", "",
        "| verb | ended | rollout status | lock free s | then | result | took s | problems |", "|---|---|---|---|---|---|---|---|",
        *[
            f"| {k.verb} | {k.point} | {k.told} | {k.free_s:.1f} | {k.way} | {k.result} | {k.took_s:.1f} | {'; '.join(k.problems)} |"
            for k in kills
        ], "",
    ]  # fmt: skip
