"""Where the programs of the cluster are, by how they came: built from modules, or unpacked from Debian's packages."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from tests.lab.cluster.build import ADDONS, KUBERNETES, built
from tests.lab.docker.packages import unpacked

PACKAGES = ("containerd", "containernetworking-plugins", "etcd-server")


@dataclass(frozen=True)
class Parts:
    kubernetes: Path
    addons: Path
    debian: Path

    @property
    def env(self) -> dict[str, str]:
        places = [self.kubernetes, self.addons, self.debian / "usr/bin", "/usr/local/sbin", "/usr/sbin", "/sbin"]
        return {"PATH": os.pathsep.join(map(str, [*places, "/usr/local/bin", "/usr/bin", "/bin"])), "HOME": "/root"}

    @property
    def network_plugins(self) -> Path:
        return self.debian / "usr/lib/cni"

    def program(self, name: str) -> Path:
        for place in (self.kubernetes, self.addons, self.debian / "usr/bin"):
            if (found := place / name).exists():
                return found
        raise FileNotFoundError(f"{name} is in none of {self.kubernetes}, {self.addons}, {self.debian}")


def parts() -> Parts:
    return Parts(built(KUBERNETES), built(ADDONS), unpacked(PACKAGES))
