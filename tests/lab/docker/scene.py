"""A deployment on the lab's Docker engine, and hftctl as a person types it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hftctl.operations.build import ImageResult
from tests.faults.history import Operation
from tests.lab.docker.engine import Engine
from tests.lab.docker.images import Images
from tests.ports import free_ports

ROOT = Path(__file__).parents[3]


def until(condition: Callable[[], Any], seconds: float = 60.0) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not so after {seconds:g} s"
        time.sleep(0.5)
    return found


@dataclass
class Lab:
    engine: Engine
    images: Images
    built: ImageResult
    wanted: Mapping[str, Any] = field(default_factory=dict)  # the section `images` of a profile that it was built with

    def scene(self, folder: Path, name: str, settings: str = "", *, extends: str = "compose") -> Scene:
        return Scene(self, folder, name, free_ports(1)[0], settings, extends)


@dataclass
class Scene:
    """One deployment."""

    lab: Lab
    folder: Path
    name: str
    http: int
    settings: str = ""
    extends: str = "compose"
    home: str = field(default_factory=lambda: os.environ["HFTCTL_HOME"])
    # Of every client there was: an order in the journal that nobody of them sent is one too many.
    history: list[Operation] = field(default_factory=list)
    crowds: int = 0

    @property
    def profile(self) -> Path:
        return self.folder / f"{self.name}.yaml"

    def want(self, settings: str) -> None:
        """Write the profile, with these settings."""
        text = f"extends: {self.extends}\nname: {self.name}\nports:\n  http: {self.http}\n{self.lab.images.profile}{settings}"
        self.profile.write_text(text)

    def deploy(self, settings: str = "", *words: str, expect: tuple[int, ...] = (0,)) -> dict[str, Any]:
        self.want(settings or self.settings)
        return self.hftctl("deploy", str(self.profile), "--yes", *words, expect=expect)

    def hftctl(self, *words: str, expect: tuple[int, ...] = (0,), **env: str) -> dict[str, Any]:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "hftctl", *words, "-o", "json"],
            cwd=ROOT, env={**os.environ, **self.lab.engine.env, "HFTCTL_HOME": self.home, **env},
            capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert done.returncode in expect, (
            f"hftctl {' '.join(words)}: exit {done.returncode}\n{done.stderr[-3000:]}\n{done.stdout[:1500]}"
        )
        document: dict[str, Any] = json.loads(done.stdout)
        return document

    def container(self, subject: str) -> str:
        return f"hftctl-{self.name}-{subject}"

    def inspect(self, subject: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.lab.engine.docker("inspect", self.container(subject)).stdout)[0]
        return found

    def destroy(self) -> None:
        self.hftctl("destroy", "-p", self.name, "--data", "--yes", expect=(0, 13))
