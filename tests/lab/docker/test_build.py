"""`hftctl build --only images` where images go: a registry, another name, another platform; and nothing when nothing changed."""

import json

import pytest

from tests.lab.docker.contents import manifest
from tests.lab.docker.registry import registry
from tests.lab.docker.scene import Lab

SCRIPT = """\
#!/bin/sh
printf '%s\\n' "$@" --- >> {log}
exec {docker} "$@"
"""


@pytest.fixture(scope="module")
def scene(lab: Lab, tmp_path_factory):
    scene = lab.scene(tmp_path_factory.mktemp("build"), "build")
    scene.want("")
    return scene


@pytest.fixture(scope="module")
def there(tmp_path_factory):
    with registry(tmp_path_factory.mktemp("registry")) as there:
        yield there


def build(scene, *words, **more):
    return scene.hftctl("build", "--only", "images", "--for", str(scene.profile), *words, **more)


def test_a_rebuild_without_a_change_builds_nothing(scene, lab):
    done = build(scene)
    assert [(image["built"], image["reference"]) for image in done["images"]] == [(False, lab.built.reference)]


@pytest.mark.long
def test_a_pushed_image_comes_back_the_same_by_both_of_its_names(scene, lab, there):
    docker = lab.engine.docker
    done = build(scene, "--push", f"{there.address}/trading", "--tag", "v1")["images"][0]
    content = lab.built.reference.rpartition(":")[2]
    repository = "trading/hftctl/stack"
    assert done["reference"] == f"{there.address}/{repository}:{content}"
    assert there.tags(repository) == sorted([content, "v1"])
    wanted = manifest(lab.engine, done["reference"])
    names = [f"{there.address}/{repository}:{tag}" for tag in (content, "v1")]
    docker("rmi", *names)
    for name in names:
        docker("pull", "-q", name)
        assert manifest(lab.engine, name) == wanted
    assert wanted == manifest(lab.engine, lab.built.reference)
    docker("rmi", *names)


def test_a_deploy_runs_an_image_by_name(scene, lab):
    lab.engine.docker("tag", lab.built.reference, "hftctl/stack:v1")
    plan = scene.deploy("", "--tag", "v1", "--dry-run")["plan"]
    lab.engine.docker("rmi", "hftctl/stack:v1")
    assert '"hftctl/stack:v1"' in json.dumps(plan)


def test_a_platform_that_this_engine_is_not_goes_to_buildx_and_to_a_registry_only(scene, lab, there, tmp_path):
    error = build(scene, "--platform", "linux/arm64", expect=(7,))
    assert "this engine" in error["message"]
    assert "--push" in error["hint"]
    # The real docker, with what it was told written down: no image of that platform is here, so the build ends at its base.
    log = tmp_path / "words"
    script = tmp_path / "docker"
    path = lab.engine.env["PATH"]
    script.write_text(SCRIPT.format(log=log, docker=f"env PATH={path} docker"))
    script.chmod(0o755)
    error = build(
        scene, "--platform", "linux/amd64", "--platform", "linux/arm64", "--push", f"{there.address}/trading", "--tag", "arm",
        "--base-image", f"{there.address}/no/base:1", expect=(1,), PATH=f"{tmp_path}:{path}",
    )  # fmt: skip
    assert "cannot build" in error["message"]
    words = next(call for call in log.read_text().split("---\n") if "buildx\nbuild\n" in call).splitlines()
    told = " ".join(words)
    assert "--platform linux/amd64,linux/arm64" in told
    assert "--push" in words
    assert "--load" not in words
    assert [words[at + 1].rpartition(":")[2] for at, word in enumerate(words) if word == "--tag"][1:] == ["arm"]
