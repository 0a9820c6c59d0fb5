"""How long a deploy onto Docker takes: from nothing with the images there, with nothing to do; and a rebuild without a change.

    python -m benchmarks.deploy_compose [--runs 5] [--json]

Three figures, because these are the waits that remain once the images are there. The Docker engine is the lab's own, started
before; a clean deploy begins without volumes, so it makes a database cluster too. Needs root and what `make docker-lab` needs.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
from pathlib import Path

from benchmarks.deploy import seconds
from hftctl.operations.build import build_image
from hftctl.profile.load import load
from stack.traffic.load_machine import machine, sync_probe
from tests.lab.docker.engine import engine
from tests.lab.docker.images import make, trusted
from tests.lab.docker.packages import CACHE
from tests.lab.docker.scene import Lab, Scene

TARGETS_S = {"clean": 25.0, "nothing_to_do": 2.0, "rebuild": 3.0}


def one_round(scene: Scene, took: dict[str, list[float]]) -> int:
    """How many images the rebuild built."""
    results = []
    try:
        took["clean"].append(seconds(lambda: results.append(scene.deploy())))
        took["nothing_to_do"].append(seconds(lambda: results.append(scene.deploy())))
        words = ("build", "--only", "images", "--for", str(scene.profile))
        took["rebuild"].append(seconds(lambda: results.append(scene.hftctl(*words))))
    finally:
        scene.destroy()
    ends = [results[0]["result"], results[0]["proofs"][0]["order"]["status"], results[1]["result"]]
    if ends != ["ready", "filled", "unchanged"]:
        raise RuntimeError(f"the deploys ended with {ends}")
    return sum(image["built"] for image in results[2]["images"])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    took: dict[str, list[float]] = {name: [] for name in TARGETS_S}
    builds = 0
    with engine() as started, tempfile.TemporaryDirectory(prefix="hftctl-bench-") as folder:
        os.environ |= {**started.env, "HFTCTL_HOME": folder}
        images = make(started)
        wanted = {**load("compose").values["images"], "base": images.base}
        built = build_image(wanted, **trusted(Path(folder)))
        scene = Lab(started, images, built, wanted).scene(Path(folder), "bench")
        for _ in range(options.runs):
            builds += one_round(scene, took)
        sync = sync_probe(CACHE)
    medians = {name: round(statistics.median(values), 3) for name, values in took.items()}
    met = builds == 0 and all(medians[name] < target for name, target in TARGETS_S.items())
    report = {
        "benchmark": "deploy_compose", "runs": options.runs, "median_s": medians, "target_s": TARGETS_S, "builds": builds, "met": met,
        "all_s": {name: [round(value, 3) for value in values] for name, values in took.items()},
        "gateways": load("compose").values["gateways"], "image_bytes": built.size_bytes, "machine": machine(), "disk_sync": sync,
    }  # fmt: skip
    if options.json:
        print(json.dumps(report, indent=2))
    else:
        for name, target in TARGETS_S.items():
            print(
                f"{name:15} {medians[name]:8.3f} s   target {target} s   {'met' if medians[name] < target else 'MISSED'}"
            )
        print(f"{'builds':15} {builds:8}     target 0      {'MISSED' if builds else 'met'}")
        print(json.dumps(report["machine"] | report["disk_sync"]))
    return 0 if met else 11


if __name__ == "__main__":
    sys.exit(main())
