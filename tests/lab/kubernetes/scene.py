"""A deployment on the lab's cluster, and hftctl as a person types it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hftctl.profile.load import load
from hftctl.release import Release, schema_range
from hftctl.targets.compose import images
from tests.lab.cluster.fixture import Cluster

ROOT = Path(__file__).parents[3]


@dataclass(frozen=True)
class Lab:
    cluster: Cluster
    images: Mapping[str, Any]
    home: Path

    def release(self, name: str, **changes: Any) -> Release:
        values = {**load("orbstack").values, "name": name, "images": self.images, **changes}
        values["kubernetes"] = {**values["kubernetes"], "shares_docker": False}
        return Release(name, "kubernetes", "development", values, images.references(values), schema_range())


@dataclass
class Scene:
    lab: Lab
    folder: Path
    name: str

    @property
    def namespace(self) -> str:
        return f"hftctl-{self.name}"

    def hftctl(self, *words: str, expect: tuple[int, ...] = (0,), **env: str) -> dict[str, Any]:
        done = subprocess.run(
            self.argv(*words),
            cwd=ROOT,
            env=self.env,
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        assert done.returncode in expect, (
            f"hftctl {' '.join(words)}: exit {done.returncode}\n{done.stderr[-3000:]}\n{done.stdout[:1500]}"
        )
        document: dict[str, Any] = json.loads(done.stdout)
        return document

    def argv(self, *words: str) -> list[str]:
        return [sys.executable, "-P", "-m", "hftctl", *words, "-o", "json"]

    @property
    def env(self) -> dict[str, str]:
        return {**os.environ, "KUBECONFIG": str(self.lab.cluster.kubeconfig), "HFTCTL_HOME": str(self.lab.home)}

    def want(self, settings: str = "") -> Path:
        """The profile, with these settings."""
        profile = self.folder / f"{self.name}.yaml"
        named = "".join(f"  {key}: {json.dumps(value)}\n" for key, value in self.lab.images.items())
        profile.write_text(
            f"extends: orbstack\nname: {self.name}\nkubernetes:\n  shares_docker: false\nimages:\n{named}{settings}"
        )
        return profile

    def deploy(self, settings: str = "", *words: str, expect: tuple[int, ...] = (0,), **env: str) -> dict[str, Any]:
        return self.hftctl("deploy", str(self.want(settings)), "--yes", *words, expect=expect, **env)

    def get(self, *words: str) -> dict[str, Any]:
        return self.lab.cluster.kubectl.get("-n", self.namespace, *words)
