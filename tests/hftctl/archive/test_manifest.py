"""Ids of backups: the newest is the last, whatever the clock says."""

import pytest

from hftctl.archive import manifest
from hftctl.archive.store import Store


@pytest.fixture
def store(tmp_path):
    made = Store(tmp_path, "paper")
    made.backups.mkdir(parents=True)
    return made


def test_a_new_id_stays_what_it_is_when_it_is_the_last(store):
    assert manifest.later(store.backups, "20261128-234437-2c547a") == "20261128-234437-2c547a"
    (store.backups / "20261128-234436-ffffff.json").touch()
    assert manifest.later(store.backups, "20261128-234437-2c547a") == "20261128-234437-2c547a"


@pytest.mark.parametrize("id_", ["20261128-234437-1f404b", "20261128-234437-2c547a", "20200101-000000-ffffff"])
def test_within_a_second_or_after_a_clock_was_put_back_the_next_one_sorts_behind(store, id_):
    (store.backups / "20261128-234437-2c547a.json").touch()
    assert manifest.later(store.backups, id_) == "20261128-234437-2c547b"


def test_the_last_id_of_a_second_has_one_behind_it_too(store):
    (store.backups / "20261128-234437-ffffff.json").touch()
    following = manifest.later(store.backups, "20261128-234437-000000")
    assert following > "20261128-234437-ffffff"
    (store.backups / f"{following}.json").touch()
    assert manifest.later(store.backups, "20261128-234437-000000") > following
