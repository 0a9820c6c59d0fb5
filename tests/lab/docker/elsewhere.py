"""A Docker engine on another machine: a real sshd in front of the lab's, and a client in a network namespace of its own.

From there no bridge of Docker is reached and no address of this machine but one: what works there works from elsewhere.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.lab.docker.engine import Engine
from tests.lab.docker.scene import ROOT
from tests.ports import free_ports

SPACE, HERE, THERE = (
    "hftctl-elsewhere",
    "10.213.7.1",
    "10.213.7.2",
)  # of a veth pair between this machine and the client
ALIAS = "elsewhere"  # what the client's ssh calls this machine
START_S = 10.0
SSHD = """\
ListenAddress {here}
Port {port}
HostKey {folder}/host
AuthorizedKeysFile {folder}/client.pub
StrictModes no
UsePAM no
PidFile none
PasswordAuthentication no
SetEnv PATH={path} DOCKER_HOST={docker}
"""
SSH = """\
Host {alias}
  HostName {here}
  Port {port}
  User root
  IdentityFile {folder}/client
  IdentitiesOnly yes
  UserKnownHostsFile {folder}/known_hosts
"""
# ssh reads the settings of the account, wherever HOME says that it is; these are the client's.
CLIENT = '#!/bin/sh\nexec /usr/bin/ssh -F {folder}/settings "$@"\n'


@dataclass
class Elsewhere:
    folder: Path
    sshd: subprocess.Popen[bytes]
    env: dict[str, str]

    def argv(self, *words: str) -> list[str]:
        return ["ip", "netns", "exec", SPACE, *words]

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(self.argv(*words), cwd=ROOT, env=self.env, stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, check=False)  # fmt: skip

    def hftctl(self, *words: str, expect: tuple[int, ...] = (0,)) -> dict[str, Any]:
        done = self.run(sys.executable, "-P", "-m", "hftctl", *words, "-o", "json")
        assert done.returncode in expect, (
            f"hftctl {' '.join(words)}: exit {done.returncode}\n{done.stderr[-3000:]}\n{done.stdout[:1500]}"
        )
        document: dict[str, Any] = json.loads(done.stdout)
        return document


@contextmanager
def elsewhere(engine: Engine, folder: Path) -> Iterator[Elsewhere]:
    """The engine is named by a Docker context, as people do it, and not by a variable. Needs root, sshd and ip."""
    with ExitStack() as stack:
        stack.enter_context(_network())
        port = free_ports(1)[0]
        for name in ("host", "client"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
        there = {"folder": folder, "here": HERE, "port": port, "alias": ALIAS}
        (folder / "sshd.conf").write_text(
            SSHD.format(**there, path=engine.env["PATH"], docker=engine.env["DOCKER_HOST"])
        )
        (folder / "settings").write_text(SSH.format(**there))
        host = " ".join((folder / "host.pub").read_text().split()[:2])
        (folder / "known_hosts").write_text(f"[{HERE}]:{port} {host}\n")
        bin_ = folder / "bin"
        bin_.mkdir()
        (bin_ / "ssh").write_text(CLIENT.format(folder=folder))
        (bin_ / "ssh").chmod(0o755)
        sshd = _sshd(folder, port)
        stack.callback(_end, sshd)
        env = {name: value for name, value in os.environ.items() if not name.startswith("DOCKER_")} | {
            "PATH": f"{bin_}:{engine.env['PATH']}", "DOCKER_CONFIG": str(folder / "docker"), "HFTCTL_HOME": str(folder / "home"),
        }  # fmt: skip
        made = Elsewhere(folder, sshd, env)
        for words in (["create", ALIAS, "--docker", f"host=ssh://{ALIAS}"], ["use", ALIAS]):
            done = made.run("docker", "context", *words)
            assert done.returncode == 0, done.stderr
        yield made


@contextmanager
def _network() -> Iterator[None]:
    def ip(*words: str) -> None:
        subprocess.run(["ip", *words], check=True, capture_output=True)

    subprocess.run(["ip", "netns", "delete", SPACE], check=False, capture_output=True)  # of a run that was killed
    ip("netns", "add", SPACE)
    try:
        ip("link", "add", "hftctl-else0", "type", "veth", "peer", "name", "hftctl-else1", "netns", SPACE)
        ip("address", "add", f"{HERE}/30", "dev", "hftctl-else0")
        ip("link", "set", "hftctl-else0", "up")
        ip("-n", SPACE, "address", "add", f"{THERE}/30", "dev", "hftctl-else1")
        ip("-n", SPACE, "link", "set", "hftctl-else1", "up")
        ip("-n", SPACE, "link", "set", "lo", "up")
        yield
    finally:
        ip("netns", "delete", SPACE)


def _sshd(folder: Path, port: int) -> subprocess.Popen[bytes]:
    Path("/run/sshd").mkdir(exist_ok=True)
    process = subprocess.Popen(["/usr/sbin/sshd", "-D", "-f", folder / "sshd.conf", "-E", folder / "sshd.log"])
    deadline = time.monotonic() + START_S
    while "Server listening" not in ((folder / "sshd.log").read_text() if (folder / "sshd.log").exists() else ""):
        assert process.poll() is None and time.monotonic() < deadline, (folder / "sshd.log").read_text()
        time.sleep(0.05)
    return process


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
