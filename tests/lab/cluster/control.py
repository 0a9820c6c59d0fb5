"""The control plane: which words its programs are started with, in the order in which they need each other."""

from __future__ import annotations

from tests.lab.cluster import pki
from tests.lab.cluster.layout import DOMAIN, SERVICES, STATE, node_address

ETCD = "http://127.0.0.1:2379"
ISSUER = f"https://kubernetes.default.svc.{DOMAIN}"


def words() -> dict[str, list[str]]:
    return {
        "etcd": _etcd(),
        "kube-apiserver": _api_server(),
        "kube-controller-manager": _controller_manager(),
        "kube-scheduler": _scheduler(),
    }


def _options(options: dict[str, object]) -> list[str]:
    return [f"--{name}={value}" for name, value in options.items()]


def _etcd() -> list[str]:
    return _options({
        "name": "lab",
        "data-dir": STATE / "etcd",
        "listen-client-urls": ETCD,
        "advertise-client-urls": ETCD,
        "listen-peer-urls": "http://127.0.0.1:2380",
        "log-level": "warn",
        # What a machine without power loses is made anew here.
        "unsafe-no-fsync": "true",
    })  # fmt: skip


def _api_server() -> list[str]:
    return _options({
        "etcd-servers": ETCD,
        "advertise-address": node_address(1),
        "secure-port": 6443,
        "tls-cert-file": pki.certificate("apiserver"),
        "tls-private-key-file": pki.key("apiserver"),
        "client-ca-file": pki.certificate("ca"),
        "kubelet-certificate-authority": pki.certificate("ca"),
        "kubelet-client-certificate": pki.certificate("kubelet-client"),
        "kubelet-client-key": pki.key("kubelet-client"),
        "kubelet-preferred-address-types": "InternalIP",
        "service-account-issuer": ISSUER,
        "service-account-key-file": pki.TOKENS_PUBLIC,
        "service-account-signing-key-file": pki.key("service-accounts"),
        "service-cluster-ip-range": SERVICES,
        "authorization-mode": "Node,RBAC",
        "enable-admission-plugins": "NodeRestriction",
        "allow-privileged": "true",
        "requestheader-client-ca-file": pki.certificate("front-proxy-ca"),
        "requestheader-allowed-names": "front-proxy-client",
        "requestheader-username-headers": "X-Remote-User",
        "requestheader-group-headers": "X-Remote-Group",
        "requestheader-extra-headers-prefix": "X-Remote-Extra-",
        "proxy-client-cert-file": pki.certificate("front-proxy"),
        "proxy-client-key-file": pki.key("front-proxy"),
        "profiling": "false",
    })  # fmt: skip


def _controller_manager() -> list[str]:
    config = pki.kubeconfig("controller-manager")
    return _options({
        "kubeconfig": config,
        "authentication-kubeconfig": config,
        "authorization-kubeconfig": config,
        "bind-address": "127.0.0.1",
        "leader-elect": "false",
        "use-service-account-credentials": "true",
        "service-account-private-key-file": pki.key("service-accounts"),
        "root-ca-file": pki.certificate("ca"),
        "cluster-signing-cert-file": pki.certificate("ca"),
        "cluster-signing-key-file": pki.key("ca"),
        "requestheader-client-ca-file": pki.certificate("front-proxy-ca"),
        "profiling": "false",
    })  # fmt: skip


def _scheduler() -> list[str]:
    config = pki.kubeconfig("scheduler")
    return _options({
        "kubeconfig": config,
        "authentication-kubeconfig": config,
        "authorization-kubeconfig": config,
        "bind-address": "127.0.0.1",
        "leader-elect": "false",
        "profiling": "false",
    })  # fmt: skip
