"""The Compose target in its long form; writes a report.

    python -m tests.lab.docker.long [--deploys 20] [--clients 40] [--kills 0] [--health-seconds 60] [--report FILE]

Deploys in a row under clients, some of them bad releases; then hftctl killed around every write to the journal of a deploy, a
scale and a rollback (`--kills N` stops after the first N boundaries of each; 0: all).
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hftctl.operations.build import build_image
from hftctl.profile.load import load
from tests.faults.history import check
from tests.lab.docker.engine import engine
from tests.lab.docker.evidence import of
from tests.lab.docker.health import CLIENTS, under_load
from tests.lab.docker.images import CA_BUNDLE, PIP_CONFIG, make
from tests.lab.docker.kills import killed
from tests.lab.docker.linters import checkov, hadolint
from tests.lab.docker.scene import ROOT, Lab, Scene
from tests.lab.docker.watch import failures, traded

SETTINGS = "gateways: 2\nrollout:\n  timeout_s: 180\n"
BAD = {
    "refuses to start": ("engine:\n  max_live_orders: 4096\n", "max_live_orders"),
    "crashes at start": (
        "engine:\n  implementation: cython\n  segment_bytes: 1048576\n  client_ids_max: 268435456\n",
        "engine-0",
    ),
}


def deploys(scene: Scene, count: int, clients: int, folder: Path) -> list[str]:
    """Every fifth release is bad, and reverts."""

    def good(number: int) -> Callable[[], dict[str, Any]]:
        level = ("info", "warning", "debug")[number % 3]
        return lambda: scene.deploy(SETTINGS + f"log_level: {level}\nmax_latency_us: {200 + number}\n")

    def bad(settings: str, cause: str) -> Callable[[], dict[str, Any]]:
        def run() -> dict[str, Any]:
            error = scene.deploy(SETTINGS + settings, expect=(1,))
            assert cause in error["message"].splitlines()[0], error["message"]
            rollout: dict[str, Any] = error["rollout"]
            return rollout

        return run

    kinds = list(BAD.items())
    changes = []
    for number in range(1, count + 1):
        if number % 5 == 0:
            name, (settings, cause) = kinds[number // 5 % len(kinds)]
            changes.append((f"{number}: bad, {name}", bad(settings, cause)))
        else:
            changes.append((f"{number}", good(number)))
    started = time.monotonic()
    results, crowd = asyncio.run(traded(scene, changes, traders=clients))
    took_s = time.monotonic() - started
    failed = failures(crowd)
    evidence = of(scene, folder)
    verdict = check(crowd.history, evidence.truth, incomplete=evidence.incomplete)
    ends = [result["result"] for result in results.values()]
    pauses = [ms for result in results.values() for name, ms in result["pauses"].items() if name.startswith("engine")]
    lines = [
        f"## {count} deploys in a row under {clients} clients", "",
        f"{took_s:.0f} s, {len(crowd.history)} requests, **{len(failed)} failed**; {ends.count('ready')} ready, {ends.count('reverted')} "
        f"reverted by themselves. History of orders: **{verdict.name}** {verdict.counts}; {evidence.rows} rows compared, "
        f"{len(evidence.problems)} differ.", "",
        f"The engine was away for {min(pauses, default=0):.0f} to {max(pauses, default=0):.0f} ms; what came meanwhile waited.", "",
        *[f"- {line}" for line in [*failed[:20], *verdict.broken[:20], *evidence.problems[:20]]], "",
        "| release | ended | took s | cause |", "|---|---|---|---|",
        *[f"| {name} | {one['result']} | {one['duration_s']:.1f} | {one.get('cause', '')[:160]} |" for name, one in results.items()],
        "",
    ]  # fmt: skip
    return lines


def kills(scene: Scene, most: int) -> list[str]:
    rows, worst_s = [], 0.0
    verbs: dict[str, Callable[[int], list[str]]] = {
        "deploy": lambda n: _changed(scene, n),
        "scale": lambda n: ["scale", f"gateway={1 + n % 2}", "-p", scene.name, "--yes"],
        "rollback": lambda _n: ["rollback", "-p", scene.name, "--yes"],
    }
    turn = 0
    for verb, words in verbs.items():
        number, done, good = 1, 0, 0
        while not most or number <= most:
            reached = False
            for when in ("before", "after"):
                turn += 1
                seen = killed(scene, number, when, *words(turn))
                reached |= seen.reached
                if seen.reached:
                    done += 1
                    good += seen.whole
                    worst_s = max(worst_s, seen.next_s)
            if not reached:
                break
            number += 1
        rows.append(f"| {verb} | {done} | {good} |")
    return [
        "## kill -9 of hftctl around every write to the journal", "",
        f"The next `hftctl rollout continue` took at most {worst_s:.1f} s, its wait for the lock included; nobody unlocked anything.", "",
        "| verb | kills | ended at exactly one revision |", "|---|---|---|", *rows, "",
    ]  # fmt: skip


def _changed(scene: Scene, turn: int) -> list[str]:
    scene.want(SETTINGS + f"max_latency_us: {300 + turn}\n")
    return ["deploy", str(scene.profile), "--yes"]


def health(lab: Lab, folder: Path, seconds: int) -> list[str]:
    """With the limits of both profiles."""
    rows = []
    for name in ("compose", "stage1"):
        scene = lab.scene(folder, f"health-{name}", "rollout:\n  timeout_s: 180\n", extends=name)
        try:
            scene.deploy()
            asked = under_load(scene, seconds)
        finally:
            scene.destroy()
        rows.append(
            f"| {name} | {asked.per_s:,.0f} | {len(asked.seconds)} | {len(asked.bad)} | {asked.slowest_s * 1000:.0f} |"
        )
    return [
        f"## GET /health for {seconds} s at full load, {CLIENTS} clients", "",
        "| profile | orders/s | asked | not answered by 200 | slowest ms |", "|---|---|---|---|---|", *rows, "",
    ]  # fmt: skip


def lint() -> list[str]:
    file = ROOT / "stack/images/Dockerfile"
    found = {"hadolint": hadolint(file), "checkov": checkov(file)}
    return ["## Linters", "", *[f"- {name}: {text.strip() or 'no finding'}" for name, text in found.items()], ""]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--deploys", type=int, default=20)
    parser.add_argument("--clients", type=int, default=40)
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--health-seconds", type=int, default=60)
    parser.add_argument("--report", type=Path)
    options = parser.parse_args()
    with engine() as started, tempfile.TemporaryDirectory(prefix="hftctl-long-") as folder:
        os.environ |= {**started.env, "HFTCTL_HOME": folder}
        images = make(started)
        wanted = {**load("compose").values["images"], "base": images.base}
        built = build_image(wanted, ca_bundle=CA_BUNDLE, pip_config=PIP_CONFIG)
        lab = Lab(started, images, built)
        scene = lab.scene(Path(folder), "long", SETTINGS)
        try:
            first = scene.deploy()
            commit = subprocess.run(
                ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True
            )
            text = [
                "# The stack on Docker", "",
                f"`{' '.join(['python -m tests.lab.docker.long', *sys.argv[1:]])}`, commit {commit.stdout.strip()}, "
                f"{time.strftime('%Y-%m-%d', time.gmtime())}, {os.cpu_count()} cores that others used too.", "",
                f"First deploy, images present: ready and proved in {first['duration_s']:.1f} s. Image of our services: "
                f"{built.size_bytes / 1e6:.0f} MB.", "",
                *(deploys(scene, options.deploys, options.clients, Path(folder)) if options.deploys else []),
                *kills(scene, options.kills), *lint(),
            ]  # fmt: skip
        finally:
            scene.destroy()
        text += health(lab, Path(folder), options.health_seconds) if options.health_seconds else []
    if options.report:
        options.report.write_text("\n".join(text))
    print("\n".join(text))
    return 0


if __name__ == "__main__":
    sys.exit(main())
