"""Records of another hand: damaged, or of a newer hftctl. Each is named, with what to do."""

import json
import shlex

import pytest

from hftctl.errors import DamageFound, Refused
from hftctl.paths import Layout
from hftctl.release import Release, Revision
from hftctl.targets.local import history

RELEASE = Release("paper", "local", "development", {"name": "paper"}, {"engine": "a"}, (1, 3))


@pytest.fixture
def layout(tmp_path):
    place = Layout(tmp_path / "paper")
    place.root.mkdir()
    history.write_release(place, RELEASE)
    history.record(place, Revision(1, RELEASE, 5, "ana@desk", "first", "r1"))
    return place


def files(layout):
    return layout.release, layout.revisions / "000001.json"


def read_both(layout):
    return history.read_release(layout), history.revisions(layout)


def test_what_is_written_is_read(layout):
    release, [revision] = read_both(layout)
    assert release == revision.release == RELEASE
    assert release.hash == RELEASE.hash


@pytest.mark.parametrize("number", [0, 1])
def test_records_of_a_newer_version_are_refused_and_not_guessed_at(layout, number):
    path = files(layout)[number]
    path.write_text(json.dumps({**json.loads(path.read_bytes()), "format": history.FORMAT + 1}))
    with pytest.raises(Refused, match=f"{path.name} was written by a newer hftctl: its format is 2"):
        read_both(layout)


@pytest.mark.parametrize("number", [0, 1])
def test_records_of_before_formats_were_written_are_read(layout, number):
    path = files(layout)[number]
    read = json.loads(path.read_bytes())
    del read["format"]
    path.write_text(json.dumps(read))
    assert read_both(layout)[0] == RELEASE


@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize("text", ["", "{", "[]", "3", '{"format": "x"}', '{"format": 1}'])
def test_damaged_records_are_damage_and_not_a_bug(layout, number, text):
    files(layout)[number].write_text(text)
    with pytest.raises(DamageFound, match="is damaged"):
        read_both(layout)


def test_a_damaged_revision_is_moved_away_by_a_command_that_can_be_typed(tmp_path):
    place = Layout(tmp_path / "ana's desk" / "paper")
    place.revisions.mkdir(parents=True)
    file = place.revisions / "000001.json"
    file.write_text("{")
    with pytest.raises(DamageFound) as told:
        history.revisions(place)
    assert shlex.split(told.value.hint.partition(": ")[2]) == ["mv", str(file), f"{file}.damaged"]
