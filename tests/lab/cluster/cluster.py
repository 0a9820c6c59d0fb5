"""The cluster as a whole: up, down, what runs, and images into it. `up` starts what is not there, whatever ended it."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.lab.cluster import addons, archive, cgroups, pki
from tests.lab.cluster.build import ADDONS, KUBERNETES, RELEASE
from tests.lab.cluster.kubectl import Kubectl, until
from tests.lab.cluster.layout import API, HERE, HOST_LINK, KUBECONFIG, LOCK, NODES_MAX, STATE, node_name
from tests.lab.cluster.network import SWITCH, gone, host, start_switch
from tests.lab.cluster.node import Node
from tests.lab.cluster.parts import parts
from tests.lab.cluster.process import Daemon
from tests.lab.cluster.space import Space, checked

ANSWERS_S = 90
REGISTERED_S = 60
RECORD = STATE / "recipe"
LATE = ("kube-router",)  # ends at once where its node is not known yet


@dataclass(frozen=True)
class Part:
    """One process, for `status`."""

    node: str
    name: str
    pid: int | None


def up(nodes: int = 1, fake: int | None = None) -> Path:
    """The path of its kubeconfig. Nodes are only added, fake ones only changed when a number is named."""
    if not 1 <= nodes <= NODES_MAX:
        raise ValueError(f"{nodes} nodes; there are addresses for 1 to {NODES_MAX}")
    with _locked():
        if STATE.exists() and not (RECORD.exists() and RECORD.read_text() == _recipe()):
            _down()
        STATE.mkdir(parents=True, exist_ok=True)
        RECORD.write_text(_recipe())
        machines = [Node(number, parts()) for number in range(1, max(nodes, len(_numbers())) + 1)]
        _start(machines)
        kubectl = Kubectl(KUBECONFIG)
        addons.apply(kubectl)
        if fake is not None:
            addons.fake_nodes(kubectl, fake)
        kubectl("wait", "--for=condition=Ready", "node", "--all", f"--timeout={REGISTERED_S}s")
        addons.wait(kubectl)
    return KUBECONFIG


def _start(machines: list[Node]) -> None:
    pki.make()
    start_switch()
    for node in machines:
        node.start_machine()
        for daemon, options in node.daemons():
            if daemon.name not in LATE:
                node.start(daemon, options)
            if daemon.name == "containerd":
                _images(node)
            if daemon.name == "kube-apiserver":
                _answers(daemon)
    kubectl = Kubectl(KUBECONFIG)
    for node in machines:
        until(lambda node=node: not kubectl("get", "node", node.name, check=False).returncode, REGISTERED_S,  # type: ignore[misc]
              lambda node=node: f"{node.name} is a node of the cluster\n{_log(node, 'kubelet')}")  # fmt: skip
        for daemon, options in node.daemons():
            node.start(daemon, options)


def _answers(server: Daemon) -> None:
    kubectl = Kubectl(KUBECONFIG)

    def answers() -> bool:
        if not server.pid:
            raise RuntimeError(f"the API server ended:\n{server.last_words()}")
        return not kubectl("get", "--raw", "/readyz", check=False).returncode

    until(answers, ANSWERS_S, lambda: f"the API server answers at {API}\n{server.last_words()}")


def _log(node: Node, name: str) -> str:
    return next(daemon.last_words() for daemon, _ in node.daemons() if daemon.name == name)


def _images(node: Node) -> None:
    there = node.images()
    for name, path in (archive.pause(), archive.busybox(), archive.addons()):
        if name not in there:
            node.load(path)


def load(path: Path) -> None:
    """An archive as `docker save` or OCI has it, into every node."""
    with _locked():
        if not (numbers := _numbers()):
            raise RuntimeError("there is no cluster; python -m tests.lab.cluster up")
        for number in numbers:
            Node(number, parts()).load(path)


def down() -> None:
    with _locked():
        _down()


def _down() -> None:
    """Whole machines end at once: with them go their processes, mounts, links and rules. Then what they had on disk."""
    for space in (*(Space(node_name(number)) for number in _numbers()), SWITCH):
        space.stop()
    gone(host, HOST_LINK)
    cgroups.remove()
    with suppress(FileNotFoundError):
        shutil.rmtree(STATE)


def status() -> list[Part]:
    found = [Part("switch", "space", SWITCH.pid)] if STATE.exists() else []
    for number in _numbers():
        node = Node(number, parts())
        found.append(Part(node.name, "space", node.space.pid))
        found += [Part(node.name, daemon.name, daemon.pid) for daemon, _ in node.daemons()]
    return found


def kill(number: int, name: str, how: int = signal.SIGKILL) -> None:
    """One process of one node, as an accident does it, or `space`: the whole machine. `up` brings it back."""
    node = Node(number, parts())
    daemons = {"space": node.space.holder, **{daemon.name: daemon for daemon, _ in node.daemons()}}
    daemons[name].stop(how)


def _numbers() -> list[int]:
    return [number for number in range(1, NODES_MAX + 1) if Space(node_name(number)).folder.exists()]


def _recipe() -> str:
    """Of what it was made: another content, another cluster."""
    content = "".join((RELEASE, KUBERNETES.key, ADDONS.key)).encode()
    for path in sorted(path for pattern in ("*.py", "manifests/*") for path in HERE.glob(pattern)):
        if not path.name.startswith(("test_", "conftest")):
            content += path.read_bytes()
    return hashlib.sha256(content).hexdigest()


@contextmanager
def _locked() -> Iterator[None]:
    LOCK.parent.mkdir(parents=True, exist_ok=True)
    with LOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def save(image: str, into: Path) -> None:
    """From the Docker engine that the environment names."""
    checked("with Docker", ["docker", "save", "-o", into, image])
