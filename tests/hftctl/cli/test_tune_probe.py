"""hftctl tune probe, on real measurements as short as they may be, and on reports that are given."""

from __future__ import annotations

import json
import os
from xml.etree import ElementTree

import pytest

from tests.hftctl.tuning.probe.made import TUNED, UNTUNED

CPU = str(min(os.sched_getaffinity(0)))


@pytest.fixture
def reports(tmp_path):
    for name, report in (("before", UNTUNED), ("after", TUNED)):
        (tmp_path / f"{name}.json").write_text(json.dumps({"kind": "TuneProbe", **report.body()}))
    return tmp_path


def test_a_measurement_is_told_kept_and_drawn(hftctl_, tmp_path):
    pytest.importorskip("hftctl.tuning.probe.loop", reason="the probe's loop is not built: no C compiler")
    words = ("tune", "probe", "--cpus", CPU, "--duration", "100ms")
    found = hftctl_(*words, "--save", "kept.json", "--svg", "picture.svg", "-o", "json")
    assert found.code == 0
    document = found.document("TuneProbe")
    assert [cpu["cpu"] for cpu in document["cpus"]] == [int(CPU)]
    assert json.loads((tmp_path / "kept.json").read_text()) == document
    assert ElementTree.parse(tmp_path / "picture.svg").getroot().tag.endswith("svg")
    again = hftctl_(*words, "--before", "kept.json")
    assert again.code == 0
    assert "BEFORE" in again.out
    assert "INTERRUPTS/S" in again.out


def test_two_reports_are_compared_without_measuring(hftctl_, reports):
    found = hftctl_("tune", "probe", "--before", "before.json", "--after", "after.json", "-o", "json")
    (cpu,) = found.document("TuneProbe")["comparison"]
    assert cpu["changes"][0] == {
        "measure": "interrupts_per_s", "before": 253.0, "after": 1.0, "factor": 253.0, "chance": False,
    }  # fmt: skip
    text = hftctl_("tune", "probe", "--before", "before.json", "--after", "after.json").out
    assert "253 times less" in text
    assert "the tick runs" not in text, "it is about what came after"


def test_a_folder_that_cannot_be_written_is_named(hftctl_, reports):
    found = hftctl_("tune", "probe", "--after", "after.json", "--save", "absent/report.json")
    assert found.code == 2
    assert "cannot write absent/report.json: No such file or directory" in found.err


@pytest.mark.parametrize("words", [("--clock", "sundial"), ("--cpus", "a-b"), ("--cpus", "8000"), ("--duration", "0s")])
def test_what_cannot_be_is_refused(hftctl_, words):
    pytest.importorskip("hftctl.tuning.probe.loop", reason="the probe's loop is not built: no C compiler")
    assert hftctl_("tune", "probe", *words).code == 2


def test_a_report_that_is_not_there(hftctl_):
    assert hftctl_("tune", "probe", "--before", "absent.json").code == 13
