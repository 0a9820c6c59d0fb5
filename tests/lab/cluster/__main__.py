"""A real Kubernetes cluster on this machine: python -m tests.lab.cluster up|down|status|load. Needs root.

up [--nodes N] [--kwok N]   starts what does not run, prints KUBECONFIG=...; nodes of kwok have no machine
load IMAGE|TAR...           images into every node: from the Docker engine of the environment, or from an archive
status                      which processes run; ends with 9 when one does not, with 13 when there is no cluster
down                        ends it and removes all that it left
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

from tests.lab.cluster import cluster
from tests.lab.cluster.layout import KUBECONFIG


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.lab.cluster", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    verbs = parser.add_subparsers(dest="verb", required=True)
    up = verbs.add_parser("up")
    up.add_argument("--nodes", type=int, default=1)
    up.add_argument("--kwok", type=int)
    verbs.add_parser("load").add_argument("images", nargs="+", metavar="IMAGE|TAR")
    verbs.add_parser("status")
    verbs.add_parser("down")
    words = parser.parse_args()
    if os.geteuid():
        print("a cluster needs root: it makes namespaces, mounts and cgroups", file=sys.stderr)
        return 13
    match words.verb:
        case "up":
            print(f"KUBECONFIG={cluster.up(words.nodes, words.kwok)}")
        case "load":
            for image in words.images:
                _load(image)
        case "down":
            cluster.down()
        case "status":
            return _status()
    return 0


def _load(image: str) -> None:
    if Path(image).is_file():
        cluster.load(Path(image))
        return
    with tempfile.TemporaryDirectory(prefix="hftctl-image-") as folder:
        cluster.save(image, Path(folder, "image.tar"))
        cluster.load(Path(folder, "image.tar"))


def _status() -> int:
    if not (parts := cluster.status()):
        print("there is no cluster")
        return 13
    for part in parts:
        print(f"{part.node:8} {part.name:24} {part.pid or 'does not run'}")
    print(f"KUBECONFIG={KUBECONFIG}")
    return 0 if all(part.pid for part in parts) else 9


if __name__ == "__main__":
    sys.exit(main())
