"""One machine of the cluster: containerd, kubelet, kube-proxy and kube-router in a space of its own."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.lab.cluster import cgroups, control, pki
from tests.lab.cluster.archive import pause
from tests.lab.cluster.layout import (
    DNS_SERVICE,
    DOMAIN,
    LOAD_BALANCERS,
    PODS,
    SERVICES,
    node_address,
    node_name,
    node_pods,
)
from tests.lab.cluster.network import plug_in
from tests.lab.cluster.parts import Parts
from tests.lab.cluster.process import Daemon
from tests.lab.cluster.space import Space

RUNC = "/usr/sbin/runc"
SOCKET = "/run/containerd/containerd.sock"
START_S = 30.0


@dataclass(frozen=True)
class Node:
    number: int
    parts: Parts

    @property
    def name(self) -> str:
        return node_name(self.number)

    @property
    def space(self) -> Space:
        return Space(self.name)

    @property
    def folder(self) -> Path:
        return self.space.folder / "etc"

    def start_machine(self) -> None:
        self.space.start()
        plug_in(self.space, self.number)
        pki.make_node(self.number)
        cgroups.make(self.name)
        self.folder.mkdir(exist_ok=True)
        (self.folder / "net.d").mkdir(exist_ok=True)
        for name, text in (
            ("net.d/10-bridge.conflist", json.dumps(self._network(), indent=1)),
            ("containerd.toml", self._containerd()),
            ("kubelet.json", json.dumps(self._kubelet(), indent=1)),
            ("kube-proxy.json", json.dumps(self._kube_proxy(), indent=1)),
        ):
            path = self.folder / name
            if not path.exists() or path.read_text() != text:  # kube-proxy ends when its file is written anew
                path.write_text(text)

    def daemons(self) -> Iterator[tuple[Daemon, list[str]]]:
        """What runs on it, in order."""
        words = self._words()
        if self.number == 1:
            words = {**control.words(), **words}
        for name, options in words.items():
            yield Daemon(name, self.space.folder), options

    def start(self, daemon: Daemon, options: list[str]) -> bool:
        """Whether it did not run before."""
        if daemon.pid:
            return False
        env = {
            **self.parts.env,
            "POD_NAMESPACE": "kube-system",
            "POD_NAME": self.name,
        }  # what kube-router's lease is known by
        daemon.start(self.space.inside([self.parts.program(daemon.name), *options]), env)
        if daemon.name == "containerd":
            self._await_containerd(daemon)
        return True

    def ctr(self, *words: str | Path) -> list[str | Path]:
        """The command that runs `ctr` on it, for the images that its kubelet sees."""
        return self.space.inside([self.parts.program("ctr"), "-a", SOCKET, "-n", "k8s.io", *words])

    def images(self) -> set[str]:
        done = subprocess.run(self.ctr("images", "ls", "-q"), check=True, capture_output=True, text=True)
        return set(done.stdout.split())

    def load(self, archive: Path) -> None:
        subprocess.run(self.ctr("images", "import", archive), check=True, capture_output=True)

    def _await_containerd(self, daemon: Daemon) -> None:
        deadline = time.monotonic() + START_S
        while subprocess.run(self.ctr("version"), capture_output=True, check=False).returncode:
            if not daemon.pid or time.monotonic() > deadline:
                raise RuntimeError(f"containerd of {self.name} does not answer:\n{daemon.last_words()}")
            time.sleep(0.1)

    def _words(self) -> dict[str, list[str]]:
        return {
            "containerd": ["--config", str(self.folder / "containerd.toml")],
            "kubelet": [
                f"--config={self.folder / 'kubelet.json'}",
                f"--kubeconfig={pki.kubeconfig(f'kubelet-{self.name}')}",
                f"--hostname-override={self.name}",
                f"--node-ip={node_address(self.number)}",
            ],
            "kube-proxy": [f"--config={self.folder / 'kube-proxy.json'}"],
            # Of it, the firewall of NetworkPolicies, and addresses for services of type LoadBalancer.
            "kube-router": [
                f"--kubeconfig={pki.kubeconfig('kube-router')}",
                f"--hostname-override={self.name}",
                f"--loadbalancer-ip-range={LOAD_BALANCERS}",
                f"--service-cluster-ip-range={SERVICES}",
            ],
        }

    def _network(self) -> dict[str, object]:
        ranges = [[{"subnet": node_pods(self.number)}]]
        return {
            "cniVersion": "1.0.0",
            "name": "hftctl-lab",
            "plugins": [
                {
                    "type": "bridge", "bridge": "cni0", "isGateway": True, "ipMasq": False, "hairpinMode": True,
                    "ipam": {"type": "host-local", "ranges": ranges, "routes": [{"dst": "0.0.0.0/0"}]},
                },
                {"type": "portmap", "capabilities": {"portMappings": True}},
            ],
        }  # fmt: skip

    def _containerd(self) -> str:
        runtime = 'plugins."io.containerd.grpc.v1.cri"'
        return f"""version = 2
oom_score = 0

[grpc]
address = "{SOCKET}"

[plugins."io.containerd.internal.v1.opt"]
path = "/var/lib/containerd/opt"

[{runtime}]
sandbox_image = "{pause()[0]}"
restrict_oom_score_adj = true
stream_server_address = "127.0.0.1"

[{runtime}.cni]
bin_dir = "{self.parts.network_plugins}"
conf_dir = "{self.folder / "net.d"}"

[{runtime}.containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[{runtime}.containerd.runtimes.runc.options]
BinaryName = "{RUNC}"
SystemdCgroup = false
"""

    def _kubelet(self) -> dict[str, object]:
        server = f"kubelet-{self.name}-server"
        return {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": True},
                "x509": {"clientCAFile": str(pki.certificate("ca"))},
            },
            "authorization": {"mode": "Webhook"},
            "tlsCertFile": str(pki.certificate(server)),
            "tlsPrivateKeyFile": str(pki.key(server)),
            "containerRuntimeEndpoint": f"unix://{SOCKET}",
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": cgroups.path(self.name),
            "failCgroupV1": False,
            "failSwapOn": False,
            "oomScoreAdj": 0,
            "clusterDNS": [DNS_SERVICE],
            "clusterDomain": DOMAIN,
            "resolvConf": "",
            "volumePluginDir": "/var/lib/kubelet/volume-plugins",
            # No registry: an image that is thrown away does not come back. And the disk is the whole machine's.
            "imageGCHighThresholdPercent": 100,
            "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        }

    def _kube_proxy(self) -> dict[str, object]:
        return {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "clientConnection": {"kubeconfig": str(pki.kubeconfig("kube-proxy"))},
            "hostnameOverride": self.name,
            "mode": "iptables",
            "clusterCIDR": PODS,
            "oomScoreAdj": 0,
            # The table of connections is the machine's; its size is not ours to set.
            "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
        }
