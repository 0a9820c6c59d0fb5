"""kubectl, of the release that the cluster runs, on whatever cluster a kubeconfig names."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.lab.cluster.build import KUBERNETES, built

ASK_AGAIN_S = 0.2


@dataclass(frozen=True)
class Kubectl:
    config: Path

    @property
    def env(self) -> dict[str, str]:
        return {**os.environ, "KUBECONFIG": str(self.config)}

    def __call__(self, *words: str, check: bool = True, given: str | None = None) -> subprocess.CompletedProcess[str]:
        done = subprocess.run([built(KUBERNETES) / "kubectl", *words], env=self.env, input=given, capture_output=True,
                              text=True, check=False, stdin=None if given else subprocess.DEVNULL)  # fmt: skip
        if check and done.returncode:
            raise RuntimeError(f"kubectl {' '.join(words)}: exit {done.returncode}: {done.stderr.strip()[-2000:]}")
        return done

    def get(self, *words: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self("get", *words, "-o", "json").stdout)
        return found

    def apply(self, manifest: str, *words: str) -> None:
        """Server-side, as ours; what somebody else set is taken over."""
        self("apply", "--server-side", "--force-conflicts", "-f", "-", *words, given=manifest)


def until(condition: Callable[[], Any], seconds: float, what: Callable[[], str]) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise RuntimeError(f"not so after {seconds:g} s: {what()}")
        time.sleep(ASK_AGAIN_S)
    return found
