"""One Kubernetes cluster for all tests that ask for it: the one that HFTCTL_TEST_KUBECONFIG names, or one of our own."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.cluster import cluster as lab_cluster
from tests.lab.cluster.fixture import Cluster

FOLDERS = ("cluster", "kubernetes")
NEEDED = ("gcc", "ip", "ipset", "iptables", "nsenter", "openssl", "runc", "sysctl", "unshare")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if any(Path(__file__).with_name(folder) in item.path.parents for folder in FOLDERS):
            item.add_marker(pytest.mark.kubernetes)
            item.add_marker(pytest.mark.timeout(1200))


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    if given := os.environ.get("HFTCTL_TEST_KUBECONFIG"):
        yield Cluster(Path(given), ours=False)
        return
    if os.geteuid() != 0:
        pytest.skip("a cluster needs root; or name one of your own in HFTCTL_TEST_KUBECONFIG")
    if missing := [name for name in NEEDED if shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin") is None]:
        pytest.skip(f"install {' '.join(missing)}; or name a cluster of your own in HFTCTL_TEST_KUBECONFIG")
    before = bool(lab_cluster.status())
    yield Cluster(lab_cluster.up(), ours=True)
    if not before:
        lab_cluster.down()
