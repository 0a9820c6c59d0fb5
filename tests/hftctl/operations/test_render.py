"""A profile as files in a folder: what is written again, what goes, and what a person did there."""

import json

import pytest

from hftctl.errors import Refused
from hftctl.operations.render import LIST, render
from hftctl.profile.load import load


def rendered(folder, *, name=None, **changes):
    return render({**load("local").values, "order_entry": "gateway", **changes}, folder, name=name)


def texts(folder):
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_again_is_the_same_and_what_is_not_wanted_any_more_goes(tmp_path):
    folder = tmp_path / "new" / "folder"
    first = rendered(folder, gateways=3)
    assert set(texts(folder)) == {*first.files, LIST}
    assert {"config/gateway-3.json", "config/nginx.conf", "processes/engine-0.json"} <= set(first.files)
    before = texts(folder)
    assert rendered(folder, gateways=3).removed == ()
    assert texts(folder) == before
    second = rendered(folder, gateways=2)
    assert second.removed == ("config/gateway-3.json", "processes/gateway-3.json")
    assert set(texts(folder)) == {*second.files, LIST}


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda folder: (folder / "config/nginx.conf").write_text("mine"), "config/nginx.conf was edited"),
        (lambda folder: (folder / "notes").write_text("mine"), "notes is not of a render"),
        (lambda folder: (folder / LIST).write_text("{}"), "no render wrote it"),
        (lambda folder: (folder / LIST).unlink(), "no render wrote it"),
    ],
)
def test_what_a_person_did_there_stays(tmp_path, spoil, told):
    rendered(tmp_path, gateways=2)
    spoil(tmp_path)
    before = texts(tmp_path)
    with pytest.raises(Refused, match=told):
        rendered(tmp_path, gateways=1)
    assert texts(tmp_path) == before


def test_the_folder_of_another_deployment_is_refused(tmp_path):
    rendered(tmp_path)
    with pytest.raises(Refused, match="it holds 'local' on local, not 'desk' on local"):
        rendered(tmp_path, name="desk")


def test_one_that_was_killed_half_way_is_finished_by_the_next(tmp_path):
    rendered(tmp_path, gateways=1)
    before = (tmp_path / LIST).read_text()
    rendered(tmp_path, gateways=3)
    (tmp_path / LIST).write_text(before)  # the list is what is written last
    (tmp_path / "config/gateway-3.json").unlink()
    assert rendered(tmp_path, gateways=3).removed == ()
    assert json.loads((tmp_path / LIST).read_text())["files"].keys() | {LIST} == set(texts(tmp_path))
