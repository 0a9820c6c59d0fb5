"""A registry of images on loopback, which Docker talks to without TLS. From Debian's package, in a folder of its own."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.lab.docker.packages import unpacked
from tests.ports import free_ports

START_S = 20.0
SETTINGS = """\
version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage: {{filesystem: {{rootdirectory: {folder}}}}}
http: {{addr: "{address}"}}
"""


@dataclass(frozen=True)
class Registry:
    address: str

    def tags(self, repository: str) -> list[str]:
        with urllib.request.urlopen(f"http://{self.address}/v2/{repository}/tags/list", timeout=10) as answer:
            return sorted(json.load(answer)["tags"])


@contextmanager
def registry(folder: Path) -> Iterator[Registry]:
    program = unpacked(("docker-registry",)) / "usr/bin/docker-registry"
    there = Registry(f"127.0.0.1:{free_ports(1)[0]}")
    settings, log = folder / "registry.yaml", folder / "registry.log"
    settings.write_text(SETTINGS.format(folder=folder / "images", address=there.address))
    with log.open("wb") as said:
        process = subprocess.Popen([program, "serve", settings], stdout=said, stderr=said, stdin=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + START_S
        while not _answers(there):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"docker-registry did not start:\n{log.read_text()[-2000:]}")
            time.sleep(0.1)
        yield there
    finally:
        process.terminate()
        process.wait(10)


def _answers(there: Registry) -> bool:
    try:
        with urllib.request.urlopen(f"http://{there.address}/v2/", timeout=2):
            return True
    except OSError:
        return False
