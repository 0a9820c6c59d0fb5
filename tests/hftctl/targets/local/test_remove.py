"""Taking data away is one step for whoever comes after a kill in the middle of it."""

import shutil

import pytest

from hftctl.paths import layout
from hftctl.targets.local import LocalTarget, driver


class Killed(BaseException):
    pass


def test_a_kill_in_the_middle_of_removing_data_leaves_no_half_of_it(tmp_path, monkeypatch):
    monkeypatch.setenv("HFTCTL_HOME", str(tmp_path))
    place = layout("paper")
    journal = place.partition(0) / "journal"
    journal.mkdir(parents=True)
    place.rollout_journal.touch()
    for name in ("first", "second"):
        (journal / name).write_text("orders")

    def killed_half_way(folder):
        next(folder.rglob("first")).unlink()
        raise Killed

    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(driver.shutil, "rmtree", killed_half_way)
        LocalTarget("paper").remove(data=True)
    assert place.rollout_journal.exists(), "it is still known, and destroy ends it"
    assert not place.data.exists()
    LocalTarget("paper").remove(data=True)
    assert not place.root.exists()
    assert shutil.rmtree is driver.shutil.rmtree
