"""One Docker engine for all tests of this folder, and the image of our services on it."""

import os
import shutil
from pathlib import Path

import pytest

from hftctl.operations.build import build_image
from hftctl.profile.load import load
from tests.lab.docker.engine import engine
from tests.lab.docker.images import make, trusted
from tests.lab.docker.scene import Lab

NEEDED = ("mmdebstrap", "iptables", "runc")


def pytest_collection_modifyitems(items):
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.docker)
            item.add_marker(pytest.mark.timeout(1200))
            # The client library leaves the sockets of its pool to the collector.
            item.add_marker(pytest.mark.filterwarnings("ignore::ResourceWarning"))
            item.add_marker(pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"))


@pytest.fixture(scope="session")
def lab(tmp_path_factory):
    if os.geteuid() != 0:
        pytest.skip("a Docker engine needs root")
    if missing := [name for name in NEEDED if shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin") is None]:
        pytest.skip(f"install {' '.join(missing)}")
    with engine() as started, pytest.MonkeyPatch.context() as patch:
        for name, value in started.env.items():
            patch.setenv(name, value)
        patch.setenv("HFTCTL_HOME", str(tmp_path_factory.mktemp("home")))
        images = make(started)
        wanted = {**load("compose").values["images"], "base": images.base}
        done = build_image(wanted, **trusted(tmp_path_factory.mktemp("trusted")))
        yield Lab(started, images, done, wanted)
