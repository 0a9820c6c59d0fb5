"""The Compose target in its long form; writes a report.

    python -m tests.lab.docker.long [--parts outages,kills,...] [--deploys 20] [--clients 40] [--every 1] [--restarts 3]
        [--health-seconds 60] [--report FILE]

Deploys in a row under clients, three of them bad releases; hftctl killed at every write to the journal of a deploy, a scale and a
rollback (`--every N`: at every nth); and what happens around a stack: networks, pauses, full disks, restarts of Docker.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hftctl.operations.build import build_image
from hftctl.profile.load import load
from tests.faults.conditions import Conditions
from tests.lab.docker import bad, boundaries, deploys, outages, report
from tests.lab.docker.engine import engine
from tests.lab.docker.evidence import judge
from tests.lab.docker.health import CLIENTS, under_load
from tests.lab.docker.images import CA_BUNDLE, PIP_CONFIG, make
from tests.lab.docker.linters import checkov, hadolint
from tests.lab.docker.scene import ROOT, Lab
from tests.lab.docker.watch import traded

SETTINGS = "gateways: 2\nrollout:\n  timeout_s: 180\n"
FEW_CLIENTS, PAUSE_S = 8, 0.05
HEALTH_S_MAX = 1.0
Found = tuple[list[str], bool]  # lines of the report, and whether all was well


def changed(lab: Lab, folder: Path, count: int, clients: int) -> Found:
    bad.make_images(lab)
    scene = lab.scene(folder, "deploys", SETTINGS)
    try:
        first = scene.deploy()
        seen = deploys.deploys(scene, count, clients, folder)
    finally:
        scene.destroy()
    lines = [f"First deploy, images present: ready and proved in {first['duration_s']:.1f} s. Image of our services: "
             f"{lab.built.size_bytes / 1e6:.0f} MB.", ""]  # fmt: skip
    return [*lines, *deploys.report_of(seen, clients)], seen.good


def killed(lab: Lab, folder: Path, every: int) -> Found:
    scene = lab.scene(folder, "kills", SETTINGS)
    seen: list[boundaries.Kill] = []

    def sweep() -> dict[str, Any]:
        seen.extend(boundaries.sweep(scene, every, lambda kill: print(kill, file=sys.stderr, flush=True)))
        return {}

    began = time.monotonic()
    try:
        scene.deploy()
        asyncio.run(traded(scene, [("kills", sweep)], traders=FEW_CLIENTS, pause_s=PAUSE_S))
        judged = judge(scene, folder)
    finally:
        scene.destroy()
    good = judged.good and not any(kill.problems for kill in seen)
    return boundaries.report_of(seen, judged, time.monotonic() - began), good


def around(lab: Lab, folder: Path, restarts: int) -> Found:
    scene = lab.scene(folder, "outages", SETTINGS)
    with outages.limited_volume(folder, lab.engine, scene.name) as place:
        try:
            scene.deploy()
            seen = outages.outages(scene, place, folder, restarts, FEW_CLIENTS)
        finally:
            scene.destroy()
    return outages.report_of(seen, FEW_CLIENTS), seen.good


def health(lab: Lab, folder: Path, seconds: int) -> Found:
    """With the limits of both profiles."""
    rows, good = [], True
    for name in ("compose", "stage1"):
        scene = lab.scene(folder, f"health-{name}", "rollout:\n  timeout_s: 180\n", extends=name)
        try:
            scene.deploy()
            asked = under_load(scene, seconds)
        finally:
            scene.destroy()
        good &= not asked.bad and asked.slowest_s < HEALTH_S_MAX
        rows.append(
            f"| {name} | {asked.per_s:,.0f} | {len(asked.seconds)} | {len(asked.bad)} | {asked.slowest_s * 1000:.0f} |"
        )
    return [
        f"For {seconds} s with each profile, {CLIENTS} clients.", "",
        "| profile | orders/s | asked | not answered by 200 | slowest ms |", "|---|---|---|---|---|", *rows, "",
    ], good  # fmt: skip


def linted() -> Found:
    file = ROOT / "stack/images/Dockerfile"
    found = {"hadolint": hadolint(file), "checkov": checkov(file)}
    lines = [*[f"- {name}: {text.strip() or 'no finding'}" for name, text in found.items()], ""]
    return lines, not any(text.strip() for text in found.values())


PARTS = {
    "outages": "What happens around it",
    "kills": "kill -9 of hftctl at every journal boundary",
    "deploys": "Deploys in a row under clients",
    "health": "GET /health at full load",
    "linters": "Linters",
}


def _tried(part: Callable[[], Found]) -> Found:
    """One that breaks off is told, and does not take the others along."""
    try:
        return part()
    except Exception:
        said = traceback.format_exc()
        print(said, file=sys.stderr, flush=True)
        return ["It broke off.", "", "```", *said.strip().splitlines(), "```", ""], False


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parts", default=",".join(PARTS))
    parser.add_argument("--deploys", type=int, default=20)
    parser.add_argument("--clients", type=int, default=40)
    parser.add_argument(
        "--every", type=int, default=1, help="of each verb's boundaries the first, every nth, and the last"
    )
    parser.add_argument("--restarts", type=int, default=3, help="of dockerd, in each of two ways")
    parser.add_argument("--health-seconds", type=int, default=60)
    parser.add_argument("--report", type=Path)
    options = parser.parse_args()
    command = " ".join(["python -m tests.lab.docker.long", *sys.argv[1:]])
    well: list[bool] = []
    with engine() as started, tempfile.TemporaryDirectory(prefix="hftctl-long-") as home:
        os.environ |= {**started.env, "HFTCTL_HOME": home}
        images, folder = make(started), Path(home)
        wanted = {**load("compose").values["images"], "base": images.base}
        lab = Lab(started, images, build_image(wanted, ca_bundle=CA_BUNDLE, pip_config=PIP_CONFIG))
        made: dict[str, Callable[[], Found]] = {
            "outages": lambda: around(lab, folder, options.restarts),
            "kills": lambda: killed(lab, folder, options.every),
            "deploys": lambda: changed(lab, folder, options.deploys, options.clients),
            "health": lambda: health(lab, folder, options.health_seconds),
            "linters": linted,
        }
        for name in options.parts.split(","):
            conditions = Conditions()
            lines, good = _tried(made[name])
            well.append(good)
            print("\n".join(lines), flush=True)
            if options.report:
                report.write(options.report, PARTS, name, report.Part(lines, good, conditions.line(), command))
    return 0 if all(well) else 10


if __name__ == "__main__":
    sys.exit(main())
