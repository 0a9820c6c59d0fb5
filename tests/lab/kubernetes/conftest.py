"""The images of the stack on the nodes of the lab's cluster, and a state home of the tests' own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hftctl.operations.build import build_image
from hftctl.profile.load import load
from tests.lab.cluster.fixture import Cluster
from tests.lab.docker.engine import engine
from tests.lab.docker.images import make, trusted
from tests.lab.kubernetes.scene import Lab


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            # Docker's client library leaves the sockets of its pool to the collector.
            item.add_marker(pytest.mark.filterwarnings("ignore::ResourceWarning"))
            item.add_marker(pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"))


@pytest.fixture(scope="session")
def lab(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    folder = tmp_path_factory.mktemp("images")
    if not cluster.ours:  # somebody's own has them: built, and loaded or pushed
        yield Lab(cluster, load("orbstack").values["images"], tmp_path_factory.mktemp("home"))
        return
    with engine() as started, pytest.MonkeyPatch.context() as patch:
        for name, value in started.env.items():
            patch.setenv(name, value)
        made = make(started)
        images = {**load("orbstack").values["images"], "base": made.base}
        images |= dict.fromkeys(("postgres", "redis", "nginx"), made.servers)
        reference = build_image(images, **trusted(tmp_path_factory.mktemp("trusted"))).reference
        for image in (reference, made.servers):
            cluster.load(image, folder)
    yield Lab(cluster, images, tmp_path_factory.mktemp("home"))


@pytest.fixture(autouse=True)
def _cluster(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    lab: Lab = request.getfixturevalue("lab")
    monkeypatch.setenv("KUBECONFIG", str(lab.cluster.kubeconfig))
    monkeypatch.setenv("HFTCTL_HOME", str(lab.home))
