"""What a test gets of a cluster, ours or anybody's."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.lab.cluster import archive, cluster
from tests.lab.cluster.kubectl import Kubectl

PUBLIC_BUSYBOX = "docker.io/library/busybox:1.36"


@dataclass(frozen=True)
class Cluster:
    kubeconfig: Path
    ours: bool  # it can be loaded with images, and be broken

    @property
    def kubectl(self) -> Kubectl:
        return Kubectl(self.kubeconfig)

    @property
    def busybox(self) -> str:
        """An image with a shell that its nodes have, or can get."""
        return archive.busybox()[0] if self.ours else PUBLIC_BUSYBOX

    def load(self, image: str, folder: Path) -> None:
        """From the Docker engine of the environment into every node. Somebody's own cluster is expected to have it."""
        if self.ours:
            path = folder / "image.tar"
            cluster.save(image, path)
            cluster.load(path)
            path.unlink()

    @contextmanager
    def namespace(self, *, policy: str = "privileged") -> Iterator[str]:
        """A new one with this level of Pod Security, and its end."""
        name = f"hftctl-test-{secrets.token_hex(4)}"
        self.kubectl("create", "namespace", name)
        self.kubectl("label", "namespace", name, f"pod-security.kubernetes.io/enforce={policy}")
        try:
            yield name
        finally:
            self.kubectl("delete", "namespace", name, "--wait=false")
