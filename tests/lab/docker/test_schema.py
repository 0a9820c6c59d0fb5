"""Releases with other migrations than the one that stands, as two images each: what a rollback does over one that adds, and over
one that takes away."""

import asyncio
import tempfile
from pathlib import Path

import pytest

from hftctl.release import schema_range
from tests.lab.docker.bad import INSTALLED
from tests.lab.docker.watch import failures, traded

SETTINGS = "gateways: 1\nrollout:\n  timeout_s: 180\n"
ADDS = "CREATE TABLE notes (partition integer NOT NULL, sequence bigint NOT NULL, note text, PRIMARY KEY (partition, sequence));\n"
NEWEST = schema_range()[1]  # of these sources
ADDING, TAKING = NEWEST + 1, NEWEST + 2
# What services from before ADDING read, let us say, and those from then on do not.
TAKES_AWAY = f"-- needs V{ADDING:04d}\nDROP TABLE notes;\n"

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def versions(lab):
    """Tags: the image as it is; with one more migration, which adds; with two more, of which the other takes away."""
    found, more = [f"schema-{NEWEST}"], {}
    lab.engine.docker("tag", lab.built.reference, f"hftctl/stack:{found[0]}")
    for number, what, sql in ((ADDING, "adds", ADDS), (TAKING, "takes_away", TAKES_AWAY)):
        more[f"V{number:04d}__{what}.sql"] = sql
        with tempfile.TemporaryDirectory() as context:
            for name, text in more.items():
                Path(context, name).write_text(text)
            lines = (
                f"FROM {lab.built.reference}",
                f'LABEL hftctl.schema="{ADDING if sql is TAKES_AWAY else schema_range()[0]} {number}"',
                "COPY --chmod=644 *.sql /tmp/more/",
                "USER 0",
                f"RUN cp /tmp/more/*.sql {INSTALLED}/schema/",
                "USER 1000:1000",
            )
            Path(context, "Dockerfile").write_text("\n".join(lines) + "\n")
            tag = f"schema-{number}"
            lab.engine.docker(
                "buildx", "build", "--load", "-q", "--network", "none", "-t", f"hftctl/stack:{tag}", context
            )
        found.append(tag)
    return found


@pytest.fixture(scope="module")
def scene(lab, tmp_path_factory):
    scene = lab.scene(tmp_path_factory.mktemp("schema"), "schema", SETTINGS)
    scene.want(SETTINGS)
    yield scene
    scene.destroy()


def deploy(scene, tag, *, expect=(0,)):
    return scene.hftctl("deploy", str(scene.profile), "--tag", tag, "--yes", expect=expect)


def ids(scene):
    return [scene.inspect(subject)["Id"] for subject in ("engine-0", "gateway-1", "persister-0", "postgres-0")]


def test_a_rollback_goes_back_over_what_was_added_and_not_over_what_was_taken_away(scene, versions):
    before, adds, takes_away = versions
    assert deploy(scene, before)["revision"] == 1

    def back_and_forth():
        assert deploy(scene, adds)["revision"] == 2
        back = scene.hftctl("rollback", "-p", scene.name, "--yes")
        assert (back["result"], back["revision"]) == ("ready", 3)
        assert any(f"this release ends at {NEWEST}" in one["message"] for one in back["findings"])
        assert back["proofs"][0]["rows"] == 2, "the older image writes into the newer schema"
        return {}

    _, crowd = asyncio.run(traded(scene, [("back and forth", back_and_forth)], traders=4))
    assert failures(crowd) == []

    # What takes away cannot follow directly: both releases run while it is rolled out.
    stood = ids(scene)
    refused = deploy(scene, takes_away, expect=(7,))
    wanted = f"takes away what releases before schema {ADDING} read, and the one that runs ends at {NEWEST}"
    assert wanted in refused["message"]
    assert ids(scene) == stood

    assert deploy(scene, adds)["revision"] == 4
    assert deploy(scene, takes_away)["revision"] == 5
    stood = ids(scene)
    refused = scene.hftctl("rollback", "3", "-p", scene.name, "--yes", expect=(7,))
    assert f"took away what releases before {ADDING} read, and this one ends at {NEWEST}" in refused["message"]
    assert f"hftctl rollback 4 -p {scene.name}" in refused["hint"]
    assert ids(scene) == stood
    back = scene.hftctl("rollback", "4", "-p", scene.name, "--yes")
    assert (back["result"], back["revision"]) == ("ready", 6)
    assert scene.hftctl("status", "-p", scene.name)["state"] == "ready"
