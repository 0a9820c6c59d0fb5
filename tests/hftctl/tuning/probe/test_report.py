"""What a measurement says, kept, compared, drawn and explained."""

from __future__ import annotations

import json
import re
from xml.etree import ElementTree

import pytest

from hftctl.errors import NotFound, UsageError
from hftctl.tuning.probe import picture, svg
from hftctl.tuning.probe.compare import compare
from hftctl.tuning.probe.reading import reading
from hftctl.tuning.probe.report import load
from tests.hftctl.tuning.probe.made import TUNED, UNTUNED, cpu, report


def test_lost_time_is_what_gaps_took_beyond_the_loop_itself():
    (one,) = UNTUNED.cpus
    assert one.floor_ns == 20
    assert one.gaps == 2_530
    assert one.lost_ppm == pytest.approx(1e6 * (2_500 * 3_980 + 30 * 89_980) / 1e10)
    body = one.body()
    assert body["gaps"]["per_s"] == 253.0
    assert body["max_ns"] == 90_000
    assert body["step_ns"]["p50"] == 20
    assert body["gaps"]["longer_than_max_per_s_below"] == 0.3


def test_a_cpu_without_gaps_has_no_percentiles_of_them():
    body = cpu(1, {20: 1_000_000}).body()
    assert set(body["gaps"]["ns"].values()) == {None}
    assert body["max_ns"] == 20


def test_a_kept_report_is_read_back_whole(tmp_path):
    file = tmp_path / "report.json"
    file.write_text(json.dumps({"kind": "TuneProbe", **UNTUNED.body()}))
    assert load(file).body() == UNTUNED.body()


@pytest.mark.parametrize(
    "text", ["", "[]", '{"kind": "Status"}', '{"kind": "TuneProbe"}', '{"kind": "TuneProbe", "host": 3}', "\x00"]
)
def test_what_is_no_report_is_refused(tmp_path, text):
    file = tmp_path / "report.json"
    file.write_text(text)
    with pytest.raises(UsageError, match=re.escape(str(file))):
        load(file)
    with pytest.raises(NotFound):
        load(tmp_path / "absent.json")


def test_a_comparison_says_how_many_times_and_whether_chance_would_do():
    (found,) = compare(UNTUNED, TUNED)
    changes = {change.measure: change for change in found.changes}
    assert changes["interrupts_per_s"].factor == 253
    assert changes["interrupts_per_s"].chance is False
    assert changes["max_ns"].factor == 22.5
    assert changes["max_ns"].chance is None
    again = {change.measure: change for change in compare(TUNED, report(cpu(3, {20: 10**8, 4_000: 14})))[0].changes}
    assert again["gaps_per_s"].chance is True
    assert compare(TUNED, report(cpu(3, {20: 10**8})))[0].changes[0].factor is None


def test_other_cpus_cannot_be_compared():
    with pytest.raises(UsageError, match="CPU 3 was measured, after, CPU 1"):
        compare(UNTUNED, report(cpu(1, {20: 10})))


def test_the_picture_has_a_row_per_octave_and_a_bar_for_a_single_event():
    (one,) = report(cpu(3, {20: 10**8, 70_000: 1})).cpus
    rows = picture.lines([("CPU 3", one)], width=80)
    assert max(map(len, rows)) <= 80
    assert len(rows) == 1 + (16 - 4 + 1)
    assert rows[1].split()[:5] == ["16", "ns", "-", "32", "ns"]
    assert rows[-1].count(picture.BAR) + rows[-1].count(picture.HALF) >= 1
    assert picture.BAR not in rows[3]
    assert picture.lines([("CPU 3", cpu(3, {}))], width=80) == []


def test_before_and_after_stand_below_each_other():
    rows = picture.lines([("before", UNTUNED.cpus[0]), ("after", TUNED.cpus[0])], width=100)
    assert sum("before" in row for row in rows) == sum("after" in row for row in rows) == 13


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0 ns"),
        (19, "19 ns"),
        (999, "999 ns"),
        (4_250, "4.25 us"),
        (13_900_000, "13.9 ms"),
        (2e9, "2.00 s"),
        (None, "-"),
    ],
)
def test_durations_are_told_with_three_digits(value, text):
    assert picture.nanoseconds(value) == text


def test_the_svg_is_one_and_its_curves_fall():
    drawn = svg.draw("a <title>", "sub", [("before, CPU 3", UNTUNED.cpus[0]), ("after, CPU 3", TUNED.cpus[0])])
    root = ElementTree.fromstring(drawn)
    assert root.tag.endswith("svg")
    assert "stroke-dasharray" in drawn
    assert "a &lt;title&gt;" in drawn
    rates = [rate for _, rate in svg.curve(UNTUNED.cpus[0])]
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] == 3.0
    assert svg.draw("t", "s", [("CPU 1", cpu(1, {}))])


def test_a_curve_falls_behind_what_was_seen_and_not_before_the_next():
    assert svg._path([(10, 1), (20, 5)], 9) == "M10.0 1.0V5.0H20.0V9.0"


@pytest.mark.parametrize(
    ("one", "said"),
    [
        (
            UNTUNED.cpus[0],
            ["the tick runs, 250 a second", "other CPUs call it 3 times", "taken away for other tasks 30 times"],
        ),
        (TUNED.cpus[0], []),
        (cpu(1, {20: 10}, interrupts={"25 eth0-rx-0": 900}), ["the device eth0-rx-0 interrupts it 90 times a second"]),
        (cpu(1, {20: 10}, steal_ms=400), ["the hypervisor gave 400 ms of it to others"]),
    ],
)
def test_causes_are_named_with_what_removes_them(one, said):
    found = list(reading(one))
    assert len(found) == len(said)
    assert all(text in sentence for text, sentence in zip(said, found, strict=True))
