import os
import sys

import pytest

from hftctl import paths
from hftctl.errors import NotFound, UsageError


@pytest.mark.parametrize("name", ["local", "a", "paper-2", "0x", "a" * 31])
def test_good_names(name):
    assert paths.check_name(name) == name


@pytest.mark.parametrize("name", ["", "-a", "A", "a/b", "..", "a b", "a" * 32, "ä", "a\n", "a.b"])
def test_bad_names_are_refused_with_the_rule(name):
    with pytest.raises(UsageError, match="1 to 31 of a-z"):
        paths.layout(name)


def test_the_home_is_the_given_one_then_the_system_folder_for_root_then_xdg(monkeypatch, tmp_path):
    monkeypatch.setenv("HFTCTL_HOME", str(tmp_path / "given"))
    assert paths.home() == tmp_path / "given"
    monkeypatch.delenv("HFTCTL_HOME")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert str(paths.home()) == "/var/lib/hftctl"
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    assert paths.home() == tmp_path / "state/hftctl"
    monkeypatch.setenv("XDG_STATE_HOME", "relative/is/ignored")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert paths.home() == tmp_path / ".local/state/hftctl"


def test_a_home_behind_a_link_is_the_same_home(monkeypatch, tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to("disk")
    monkeypatch.setenv("HFTCTL_HOME", str(tmp_path / "link" / "home"))
    assert paths.layout("a").root == tmp_path / "disk/home/a", "also before there is one"


@pytest.mark.parametrize("given", ["~no-such-user", "~no-such-user/state"])
def test_a_home_of_nobody_is_said(monkeypatch, given):
    monkeypatch.setenv("HFTCTL_HOME", given)
    with pytest.raises(UsageError, match=f"HFTCTL_HOME is '{given}': Could not determine home") as told:
        paths.home()
    assert told.value.hint == "name a whole path: HFTCTL_HOME=/FOLDER"


def test_what_stands_is_found_by_its_rollout_journal(monkeypatch, tmp_path):
    monkeypatch.setenv("HFTCTL_HOME", str(tmp_path))
    assert paths.deployments() == []
    for name in ("b", "a", "Not-A-Name"):
        paths.make_folder(tmp_path / name)
        (tmp_path / name / "rollout.journal").touch()
    paths.make_folder(tmp_path / "only-data")
    assert paths.deployments() == ["a", "b"]


def test_an_atomic_write_replaces_with_its_mode_and_leaves_nothing_beside(tmp_path):
    path = tmp_path / "secret"
    paths.write_atomic(path, "one", mode=0o600)
    paths.write_atomic(path, b"two", mode=0o600)
    assert path.read_bytes() == b"two"
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_atomic_write_keeps_the_old_content(tmp_path, monkeypatch):
    path = tmp_path / "file"
    paths.write_atomic(path, "old")

    def full(_handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        paths.write_atomic(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_package_is_found_without_importing_it():
    before = set(sys.modules)
    folder = paths.package_folder("profiles")
    assert (folder / "local.yaml").is_file()
    assert "profiles" not in set(sys.modules) - before
    with pytest.raises(NotFound, match="no-such-package"):
        paths.package_folder("no-such-package")
