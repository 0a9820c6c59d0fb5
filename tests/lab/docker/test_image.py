"""The image of our services as it lies on the engine: what is in it, what is not, and what Docker knows about it."""

import json
import re
from pathlib import Path

import pytest

from hftctl.release import schema_range
from tests.lab.docker.contents import ours, saved
from tests.lab.docker.images import CANARY
from tests.lab.docker.linters import checkov, hadolint

DOCKERFILE = Path(__file__).parents[3] / "stack/images/Dockerfile"


def inside(lab, script):
    docker = lab.engine.docker
    return docker(
        "run", "--rm", "--network", "none", "--user", "0", "--entrypoint", "sh", lab.built.reference, "-c", script
    ).stdout


@pytest.mark.parametrize("linter", [hadolint, checkov])
def test_a_linter_finds_nothing(linter):
    assert linter(DOCKERFILE) == ""


def test_what_a_linter_is_told_to_leave_out_has_its_reason_beside_it():
    lines = DOCKERFILE.read_text().splitlines()
    told = [number for number, line in enumerate(lines) if re.match("# (hadolint ignore|checkov:skip)=", line)]
    assert told
    for number in told:
        assert re.search(r"checkov:skip=\w+: \w+", lines[number]) or re.match(r"# \w.* \w", lines[number - 1]), lines[
            number
        ]


def test_nobody_becomes_another_user_installs_or_compiles_in_it(lab):
    assert inside(lab, "find / -xdev -perm /6000 -type f") == ""
    assert inside(lab, "command -v gcc cc ld make pip pip3; true") == ""
    assert inside(lab, "python -c 'import pip' 2>&1 | tail -1").strip().startswith("ModuleNotFoundError")


def test_what_it_says_about_itself(lab):
    seen = json.loads(lab.engine.docker("image", "inspect", lab.built.reference).stdout)[0]["Config"]
    assert seen["User"] == "1000:1000"
    assert seen["Entrypoint"] == ["/opt/hftctl/bin/python", "-P"]
    assert seen["StopSignal"] == "SIGTERM"
    assert seen["Healthcheck"]["Test"][0] == "CMD"
    assert seen["Labels"].pop("hftctl.schema") == "{} {}".format(*schema_range())
    labels = {name.removeprefix("org.opencontainers.image."): text for name, text in seen["Labels"].items()}
    assert set(labels) == {"title", "revision", "source", "version", "licenses"}
    assert re.fullmatch("[0-9a-f]{40}|unknown", labels["revision"])
    assert all(labels.values())
    assert not [one for one in seen["Env"] if re.search("PASS|TOKEN|SECRET|PIP_CERT", one)]


def test_its_services_are_compiled_and_start_without_compiling_python(lab):
    said = inside(lab, "python -c 'import stack.door.orders, engine.matching; print(stack.door.orders.__file__)'")
    assert said.strip().endswith(".so")
    missing = inside(lab, "cd /opt/hftctl/lib/python3*/site-packages/stack && find . -name '*.py' | while read f; do "
                          "ls $(dirname $f)/__pycache__/$(basename $f .py).*.pyc >/dev/null || echo $f; done")  # fmt: skip
    assert missing == ""


def test_what_a_build_was_trusted_with_is_in_no_layer_and_no_history(lab):
    images = ours(lab.engine)
    assert lab.built.reference in images
    for image in images:
        # The label's name is the proof that what is there would be found.
        seen = saved(lab.engine, image, [CANARY.encode(), b"org.opencontainers.image.title"])
        assert seen == {b"org.opencontainers.image.title"}, image
        assert CANARY not in lab.engine.docker("history", "--no-trunc", image).stdout


def test_what_is_inside_is_told_as_cyclonedx(lab):
    told = json.loads(Path(lab.built.sbom).read_text())
    assert (told["bomFormat"], told["specVersion"]) == ("CycloneDX", "1.5")
    found = {one["purl"].split("?")[0].rpartition("@")[0] for one in told["components"]}
    assert {"pkg:pypi/uvloop", "pkg:pypi/hftctl", "pkg:deb/debian/libc6"} <= found
    assert not {"pkg:pypi/pip", "pkg:deb/debian/gcc", "pkg:deb/debian/python3-pip"} & found
