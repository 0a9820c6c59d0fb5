"""A deployment of its own, driven as a user drives it: through the command line, in a state folder of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.ports import free_ports

ROOT = Path(__file__).parents[2]


class Stack:
    def __init__(self, name: str, home: Path, settings: str = "") -> None:
        self.name, self.home = name, home
        self.http, self.binary, postgres, redis = free_ports(4)
        self.profile = home / f"{name}.yaml"
        self.base = (
            f"# A throw-away deployment for tests.\nname: {name}\nextends: local\n"
            f"ports:\n  http: {self.http}\n  binary: {self.binary}\n  postgres: {postgres}\n  redis: {redis}\n{settings}"
        )
        self.profile.write_text(self.base)
        self.environment = os.environ | {"HFTCTL_HOME": str(home), "NO_COLOR": "1"}

    @classmethod
    def make(cls, name: str, settings: str = "") -> Stack:
        return cls(name, Path(tempfile.mkdtemp(prefix=f"hftctl-{name}-")), settings)

    @property
    def folder(self) -> Path:
        return self.home / self.name

    def start_command(self, *words: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", "hftctl", *words], cwd=ROOT, env=self.environment,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def command(self, *words: str, expect: tuple[int, ...] = (0,), timeout_s: float = 180) -> dict[str, Any]:
        done = subprocess.run(
            [sys.executable, "-m", "hftctl", *words, "-o", "json"], cwd=ROOT, env=self.environment,
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout_s, check=False,
        )  # fmt: skip
        if done.returncode not in expect:
            raise AssertionError(f"hftctl {' '.join(words)}: exit {done.returncode}\n{done.stdout}\n{done.stderr}")
        return json.loads(done.stdout) if done.stdout.strip() else {}

    def want(self, settings: str) -> None:
        """Change what the profile asks for; the next deploy has something to do."""
        self.profile.write_text(self.base + settings)

    def deploy(self) -> dict[str, Any]:
        return self.command("deploy", str(self.profile), "--yes")

    def repair(self) -> dict[str, Any]:
        """What an operator types after any trouble; never a lock by hand."""
        return self.command("start", "-p", self.name, "--yes", "--lock-wait", "60", expect=(0, 8))

    def status(self) -> dict[str, Any]:
        return self.command("status", "-p", self.name, expect=(0, 9))

    def pids(self) -> dict[str, int]:
        return {c["component"]: c["pid"] for c in self.status()["components"] if c.get("pid")}

    def destroy(self) -> None:
        self.command("destroy", "-p", self.name, "--yes", "--data", expect=(0, 13))
