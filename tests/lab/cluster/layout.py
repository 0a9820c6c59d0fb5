"""Where everything of the cluster is: folders, addresses, names. All addresses exist in network namespaces and on one link only."""

from __future__ import annotations

import os
from pathlib import Path

from tests.lab.docker.packages import CACHE

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
STATE = Path(os.environ.get("HFTCTL_LAB_STATE", "/var/tmp/hftctl-cluster"))
KUBECONFIG = STATE / "admin.kubeconfig"
LOCK = CACHE / "cluster.lock"

# What a kubelet may see of the host's cgroups, and all that is removed of them.
CGROUP = "hftctl-lab"

HOST_LINK = "hftctl-lab0"
HOST_ADDRESS = "10.197.0.1"
LOAD_BALANCERS = "10.197.1.0/24"
SERVICES = "10.198.0.0/16"
API_SERVICE = "10.198.0.1"
DNS_SERVICE = "10.198.0.10"
PODS = "10.199.0.0/16"
DOMAIN = "cluster.local"
NODES_MAX = 8


def node_name(number: int) -> str:
    return f"node-{number}"


def node_address(number: int) -> str:
    return f"10.197.0.{10 + number}"


def node_pods(number: int) -> str:
    return f"10.199.{number}.0/24"


# The control plane is on the first node, as with kind, k3s and OrbStack.
API = f"https://{node_address(1)}:6443"
