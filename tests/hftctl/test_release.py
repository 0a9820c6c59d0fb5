import json
import os

import pytest

from hftctl import release as module
from hftctl.operations import build
from hftctl.release import Release, Revision, code_artifacts, schema_range
from stack.schema.migrations import NEEDS, load

RELEASE = Release(
    "paper", "local", "development", {"gateways": 1, "instruments": [{"symbol": "AAPL"}]}, {"engine": "e"}
)


def test_releases_and_revisions_survive_json():
    revision = Revision(3, RELEASE, 7, "ana@desk3", "fees", "r1", {"orders": [{"order_id": "0-1"}]})
    read = Revision.from_document(json.loads(json.dumps(revision.document())))
    assert read == revision
    assert read.release.hash == RELEASE.hash


def test_whatever_differs_is_another_release():
    document = RELEASE.document()
    for key, value in {
        "environment": "staging",
        "profile": {"gateways": 2},
        "artifacts": {"engine": "f"},
        "schema": [1, 2],
    }.items():
        assert Release.from_document({**document, key: value}).hash != RELEASE.hash


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """Packages of our own in place of the installed ones."""
    for path in (
        "engine/book.py",
        "engine/fast.pyx",
        "engine/fast.cpython-311.so",
        "engine/types.pxd",
        "stack/__init__.py",
    ):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(path)
    for name in ("V0001__a", "V0002__b"):
        (tmp_path / "stack/schema").mkdir(exist_ok=True)
        (tmp_path / f"stack/schema/{name}.sql").touch()
    for where in (module, build):
        monkeypatch.setattr(where, "package_folder", lambda package: tmp_path / package)
    return tmp_path


def test_the_code_that_runs_is_in_the_hash_and_what_does_not_run_is_not(tree):
    before = code_artifacts()
    (tree / "engine/__pycache__").mkdir()
    (tree / "engine/__pycache__/book.cpython-311.pyc").write_text("compiled")
    (tree / "engine/fast.c").write_text("generated")
    assert code_artifacts() == before
    (tree / "engine/fast.cpython-311.so").write_text("built anew")
    assert code_artifacts()["engine"] != before["engine"]
    assert code_artifacts()["stack"] == before["stack"]


def test_the_schema_reaches_to_the_newest_migration(tree):
    assert schema_range() == (1, 2)
    (tree / "stack/schema/V0003__c.sql").write_text("-- Without a.\n-- needs V0002\nDROP TABLE a;\n")
    assert schema_range() == (2, 3)


def test_what_a_migration_needs_is_read_as_it_is_applied():
    assert schema_range() == (max((one.needs for one in load()), default=0) or 1, len(load()))
    assert module.NEEDS == NEEDS


def test_compiled_parts_older_than_a_source_are_stale(tree):
    source, built, shared = (tree / "engine" / name for name in ("fast.pyx", "fast.cpython-311.so", "types.pxd"))
    for path, age in ((source, 1), (shared, 1), (built, 2)):
        os.utime(path, (age, age))
    assert build.stale() == []
    os.utime(shared, (3, 3))
    assert build.stale() == ["engine/fast.pyx"]
    built.unlink()
    os.utime(shared, (1, 1))
    assert build.stale() == ["engine/fast.pyx"]
