"""Namespaces that stand for a machine: network, mounts, processes and a host name. One process holds them; its end is theirs.

Whatever is started, mounted or routed there is gone with it: containers, their shims, links, rules of a firewall, volumes.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.lab.cluster.layout import HERE, STATE
from tests.lab.cluster.process import Daemon

# A kubelet sets these for the whole machine; here it sets a copy, for itself.
KERNEL_VALUES = (
    "vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops", "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
)  # fmt: skip


@dataclass(frozen=True)
class Space:
    name: str

    @property
    def folder(self) -> Path:
        return STATE / self.name

    @property
    def holder(self) -> Daemon:
        return Daemon("space", self.folder)

    @property
    def pid(self) -> int | None:
        return self.holder.pid

    def start(self) -> None:
        if not self.pid:
            self.holder.start(
                [
                    "unshare",
                    "--net",
                    "--mount",
                    "--pid",
                    "--uts",
                    "--fork",
                    "--mount-proc",
                    sys.executable,
                    HERE / "reaper.py",
                ],
                dict(os.environ),
            )
        if not self.furnished_as("machine"):
            self._furnish()
            self.furnish_as("machine")

    def furnished_as(self, what: str, detail: object = "") -> bool:
        """Whether that was finished since it started; who was killed amid it begins anew."""
        record = self.folder / f"{what}.done"
        return record.exists() and record.read_text() == f"{self.pid} {detail}"

    def furnish_as(self, what: str, detail: object = "") -> None:
        (self.folder / f"{what}.done").write_text(f"{self.pid} {detail}")

    def _furnish(self) -> None:
        """/run, /var/lib and /var/log of its own, so that every program has its usual places; and values that it may set."""
        for name in ("lib", "log", "kernel"):
            (self.folder / name).mkdir(exist_ok=True)
        commands: list[list[str | Path]] = [
            ["hostname", self.name],
            ["mount", "--make-rshared", "/"],
            ["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run"],
            ["mount", "--bind", self.folder / "lib", "/var/lib"],
            ["mount", "--bind", self.folder / "log", "/var/log"],
            ["ip", "link", "set", "lo", "up"],
        ]
        for value in KERNEL_VALUES:
            if (there := Path("/proc/sys", value)).exists():
                copy = self.folder / "kernel" / there.name
                copy.write_text(there.read_text())
                commands.append(["mount", "--bind", copy, there])
        for command in commands:
            self.run(command)

    def inside(self, words: Sequence[str | Path]) -> list[str | Path]:
        """The command that runs these words there."""
        if not (pid := self.pid):
            raise RuntimeError(f"{self.name} does not run")
        return ["nsenter", f"--target={pid}", "--net", "--mount", "--pid", "--uts", *words]

    def net(self, *words: str) -> None:
        """`ip` in its network, with this machine's processes to name."""
        checked(f"on {self.name}", ["nsenter", f"--target={self.pid}", "--net", "ip", *words])

    def run(self, words: Sequence[str | Path], **more: object) -> subprocess.CompletedProcess[str]:
        return checked(f"on {self.name}", self.inside(words), **more)

    def stop(self) -> None:
        self.holder.stop(signal.SIGKILL)


def checked(where: str, words: Sequence[str | Path], **more: object) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"}
    done = subprocess.run(words, env=env, capture_output=True, text=True, check=False, **more)  # type: ignore[call-overload]
    if done.returncode:
        said = (done.stderr or done.stdout)[-1500:].strip()
        raise RuntimeError(f"{where}, {' '.join(map(str, words))}: exit {done.returncode}: {said}")
    return done  # type: ignore[no-any-return]
