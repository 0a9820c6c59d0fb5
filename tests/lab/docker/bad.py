"""Releases that are wrong, each in its own way: a setting, or an image with one mistake in it, built on the good one's."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.lab.docker.scene import Lab

INSTALLED = "/opt/hftctl/lib/python3*/site-packages/stack"
# Byte code is not compared with its source when it runs, so what was edited is compiled anew.
COMPILED = f"/opt/hftctl/bin/python -m compileall -qf --invalidation-mode unchecked-hash {INSTALLED}"
EDITS = {
    # Its gateways look for the engine's socket under a name that no engine has.
    "never-healthy": (
        f"sed -i 's/Link(entry.link_socket,/Link(entry.link_socket + \".v2\",/' {INSTALLED}/gateway/partition.py"
        f" && grep -q 'link_socket + ' {INSTALLED}/gateway/partition.py && {COMPILED}/gateway"
    ),
    # A migration that the database has already was edited: what this release needs is not what stands there.
    "wrong-schema": f"for file in {INSTALLED}/schema/V0001__*.sql; do echo '-- edited' >> $file; done",
}
NOT_READY_S = 20


@dataclass(frozen=True)
class Bad:
    name: str
    cause: tuple[str, ...]  # words of the first line that the revert must tell
    settings: str = ""
    tag: str = ""  # of an image of ours; empty: the good one
    timeout_s: int = 180

    @property
    def words(self) -> list[str]:
        return ["--tag", self.tag] if self.tag else []


CRASHES = Bad(
    "crash at start",
    ("engine-0", "was killed for its memory"),
    settings="engine:\n  implementation: cython\n  segment_bytes: 1048576\n  client_ids_max: 268435456\n",
)
NEVER_HEALTHY = Bad(
    "never healthy",
    ("gateway-1 was not replaced", "not ready after", "waits for engines at engine-0.link.sock.v2"),
    tag="never-healthy",
    timeout_s=NOT_READY_S,
)
WRONG_SCHEMA = Bad(
    "wrong schema",
    ("schema-0", "V0001__events was applied with checksum"),
    tag="wrong-schema",
)
ALL = (CRASHES, NEVER_HEALTHY, WRONG_SCHEMA)


def make_images(lab: Lab) -> None:
    """The images that releases of `ALL` name by tag."""
    repository = lab.built.reference.rpartition(":")[0]
    for tag, edit in EDITS.items():
        with tempfile.TemporaryDirectory() as folder:
            lines = (f"FROM {lab.built.reference}", "USER 0", f"RUN {edit}", "USER 1000:1000")
            Path(folder, "Dockerfile").write_text("\n".join(lines) + "\n")
            lab.engine.docker(
                "buildx", "build", "--load", "-q", "--network", "none", "-t", f"{repository}:{tag}", folder
            )
