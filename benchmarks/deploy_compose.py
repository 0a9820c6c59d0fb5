"""How long a deploy onto Docker takes: from nothing with the images there, with nothing to do; and a rebuild without a change.

    python -m benchmarks.deploy_compose [--runs 5] [--json]

Three figures, because these are the waits that remain once the images are there. The Docker engine is the lab's own, started
before; a clean deploy begins without volumes, so it makes a database cluster too. Needs root and what `make docker-lab` needs.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from benchmarks.harness import report, waits
from benchmarks.harness.waits import seconds
from hftctl.operations.build import build_image
from hftctl.profile.load import load
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
    options = waits.options(__doc__.splitlines()[0]).parse_args()
    took: dict[str, list[float]] = {name: [] for name in TARGETS_S}
    builds = 0
    with engine() as started, tempfile.TemporaryDirectory(prefix="hftctl-bench-") as folder:
        os.environ |= {**started.env, "HFTCTL_HOME": folder}
        images = make(started)
        values = load("compose").values
        wanted = {**values["images"], "base": images.base}
        built = build_image(wanted, **trusted(Path(folder)))
        scene = Lab(started, images, built, wanted).scene(Path(folder), "bench")
        for _ in range(options.runs):
            builds += one_round(scene, took)
        beside = {"gateways": values["gateways"], "image_bytes": built.size_bytes, **report.beside(CACHE)}
    return waits.finish("deploy_compose", took, TARGETS_S, beside, as_json=options.json, none_of={"builds": builds})


if __name__ == "__main__":
    sys.exit(main())
