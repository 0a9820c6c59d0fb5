"""Programs from modules: built once for each content of go.mod, go.sum and recipe, kept in the cache of the lab.

    python -m tests.lab.cluster.build         builds what is missing, prints where it is

Go itself is unpacked from Debian's packages, as Docker is: the same compiler everywhere, and nothing is installed.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import resource
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from tests.lab.cluster.layout import HERE
from tests.lab.docker.packages import CACHE, unpacked

GO = ("golang-1.24-go", "golang-1.24-src")
GO_HOME = "usr/lib/go-1.24"
RELEASE = re.search(r"^require k8s\.io/kubernetes (v\S+)", (HERE / "go.mod").read_text(), re.MULTILINE)[1]  # type: ignore[index]
VERSION = "k8s.io/component-base/version"
CLIENT = "k8s.io/client-go/pkg/version"


@dataclass(frozen=True)
class Recipe:
    """Packages of one module that are built together, each a program by the last part of its name."""

    name: str
    folder: Path
    calls: tuple[tuple[str, ...], ...]
    link: str = "-s -w"

    @property
    def key(self) -> str:
        content = repr((self.calls, self.link, GO)).encode()
        ours = [folder for packages in self.calls for folder in packages if folder.startswith("./")]
        for pattern in ("go.mod", "go.sum", *(f"{folder}/*.go" for folder in ours)):
            content += b"".join(path.read_bytes() for path in sorted(self.folder.glob(pattern)))
        return hashlib.sha256(content).hexdigest()[:12]

    @property
    def kept(self) -> Path:
        return CACHE / f"{self.name}-{self.key}"


def _kubernetes_link() -> str:
    major, minor, _ = RELEASE.removeprefix("v").split(".", 2)
    values = {"gitVersion": RELEASE, "gitMajor": major, "gitMinor": minor, "gitTreeState": "archive"}
    told = [f"-X {package}.{name}={value}" for package in (VERSION, CLIENT) for name, value in values.items()]
    return " ".join(["-s -w", *told])


KUBERNETES = Recipe(
    "kubernetes",
    HERE,
    (
        tuple(
            f"k8s.io/kubernetes/cmd/{name}"
            for name in (
                "kube-apiserver",
                "kube-controller-manager",
                "kube-scheduler",
                "kubelet",
                "kube-proxy",
                "kubectl",
            )
        ),
    ),
    _kubernetes_link(),
)
ADDONS = Recipe(
    "addons",
    HERE / "addons",
    (
        (
            "./coredns",
            "./kube-router",
            "github.com/yannh/kubeconform/cmd/kubeconform",
            "github.com/zegl/kube-score/cmd/kube-score",
            "sigs.k8s.io/kwok/cmd/kwok",
            "sigs.k8s.io/metrics-server/cmd/metrics-server",
        ),
        # On its own: it writes the name of its logger with a capital letter, and the others do not.
        ("github.com/rancher/local-path-provisioner",),
    ),
)


def built(recipe: Recipe) -> Path:
    """The folder with its programs."""
    if recipe.kept.exists():
        return recipe.kept
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "go.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not recipe.kept.exists():
            _build(recipe)
    return recipe.kept


def _build(recipe: Recipe) -> None:
    home = unpacked(GO) / GO_HOME
    part = recipe.kept.with_suffix(".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    env = {
        **os.environ, "GOROOT": str(home), "GOTOOLCHAIN": "local", "GOWORK": "off", "CGO_ENABLED": "0",
        "GOFLAGS": "-mod=readonly -buildvcs=false -trimpath",
    }  # fmt: skip
    began = time.monotonic()
    print(f"building {recipe.name}, once: {' '.join(map(' '.join, recipe.calls))}", file=sys.stderr, flush=True)
    for packages in recipe.calls:
        subprocess.run(
            ["nice", "-n", "10", home / "bin/go", "build", "-p", "2", "-ldflags", recipe.link, "-o", f"{part}/", *packages],
            cwd=recipe.folder, env=env, check=True, stdin=subprocess.DEVNULL, stdout=sys.stderr,
        )  # fmt: skip
    part.rename(recipe.kept)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = used.ru_utime + used.ru_stime
    print(
        f"built {recipe.name} in {time.monotonic() - began:.0f} s, {cpu_s:.0f} s of a CPU", file=sys.stderr, flush=True
    )


if __name__ == "__main__":
    for one in (KUBERNETES, ADDONS):
        print(built(one))
