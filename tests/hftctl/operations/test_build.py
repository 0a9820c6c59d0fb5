"""What is compiled is compiled once."""

import os
import sysconfig
import types

import pytest

from hftctl.operations import build


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """Two packages, of which one has a source that the other shares."""
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    for name in ("engine/book.pyx", f"engine/book{suffix}", "engine/book.pxd", "stack/door.pyx", f"stack/door{suffix}"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
        os.utime(path, (1000, 1000))
    (tmp_path / "setup.py").touch()
    monkeypatch.setattr(build, "package_folder", lambda package: tmp_path / package)
    monkeypatch.setattr(build, "compiler", lambda: "cc")
    return tmp_path


def test_a_part_that_did_not_need_to_be_compiled_again_is_not_stale_for_ever(tree, monkeypatch):
    assert build.stale() == []
    os.utime(tree / "engine/book.pxd", (2000, 2000))
    assert build.stale() == ["engine/book.pyx", "stack/door.pyx"], "either may include it"
    runs = []
    monkeypatch.setattr(build, "run", lambda *words, **_: runs.append(words) or types.SimpleNamespace(duration_s=0.1))
    assert build.build_if_stale().built
    assert build.stale() == []
    assert build.build_if_stale() is None
    assert len(runs) == 1
