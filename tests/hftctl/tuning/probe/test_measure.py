"""A real measurement, as short as it may be; and what is said where none can be made."""

from __future__ import annotations

import os
import sys
import threading
import time
from types import SimpleNamespace

import pytest

from hftctl.errors import Inconclusive, NotFound, UsageError
from hftctl.tuning.probe.histogram import place_of, range_of
from hftctl.tuning.probe.measure import default_cpus, measure

CPUS = sorted(os.sched_getaffinity(0))
loop = pytest.importorskip("hftctl.tuning.probe.loop", reason="the probe's loop is not built: no C compiler")


@pytest.fixture(scope="module")
def measured():
    return measure(CPUS[:2], duration_s=0.5)


def test_counted_steps_add_up_to_the_time_measured(measured):
    assert [cpu.cpu for cpu in measured.cpus] == CPUS[:2]
    for cpu in measured.cpus:
        assert 0.5 <= cpu.elapsed_s < 2, "the last step may be a long one"
        lowest = sum(low * count for low, _, count in cpu.steps.filled())
        highest = sum((high + 1) * count for _, high, count in cpu.steps.filled())
        assert lowest <= cpu.elapsed_s * 1e9 * 1.0001
        assert highest >= cpu.elapsed_s * 1e9 * 0.9999


def test_gaps_are_the_steps_from_the_threshold_on(measured):
    for cpu in measured.cpus:
        assert cpu.threshold_ns >= loop.THRESHOLD_LEAST_NS
        certain = sum(count for low, _, count in cpu.steps.filled() if low >= cpu.threshold_ns)
        possible = sum(count for _, _, count in cpu.steps.filled(cpu.threshold_ns))
        assert certain <= cpu.gaps <= possible
        assert 0 <= cpu.lost_ppm < 1e6
        longest = max((high for _, high, _ in cpu.steps.filled()), default=0)
        assert range_of(place_of(cpu.longest_ns))[1] == longest
        assert [gap for _, gap in cpu.worst] == sorted((gap for _, gap in cpu.worst), reverse=True)
        assert cpu.worst[0][1] == cpu.longest_ns
        assert all(0 <= at <= cpu.elapsed_s * 1e9 + 1 for at, _ in cpu.worst)


def test_what_the_kernel_counted_meanwhile_is_there(measured):
    assert any(cpu.counted.interrupts for cpu in measured.cpus), "no machine is so quiet with a busy loop on every CPU"
    assert all(cpu.counted.interrupts_per_s >= 0 for cpu in measured.cpus)


def test_the_caller_may_run_where_it_could_before(measured):
    assert sorted(os.sched_getaffinity(0)) == CPUS
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("probe-")]


def test_the_systems_clock_measures_too():
    report = measure(CPUS[:1], duration_s=0.1, clock="system", threshold_ns=5_000)
    assert (report.clock, report.clock_ghz, report.clock_drift_ppm) == ("clock_gettime", None, 0.0)
    assert report.cpus[0].threshold_ns == 5_000
    assert report.cpus[0].steps.total > 100_000


def test_a_processor_without_a_constant_rate_gets_the_systems_clock():
    from hftctl.tuning.probe.clock import choose

    chosen = choose("flags\t\t: fpu tsc rdtscp constant_tsc\n")
    if loop.COUNTER_NAME == "rdtscp":
        assert (chosen.name, chosen.why) == ("clock_gettime", "the processor does not say nonstop_tsc")


@pytest.mark.skipif(not loop.COUNTER_NAME, reason="this processor has no counter that the probe reads")
def test_a_counter_that_drifts_is_not_believed():
    from dataclasses import replace

    from hftctl.tuning.probe.clock import choose

    chosen = choose("", "counter")
    time.sleep(0.05)
    assert abs(chosen.drift_ppm()) < 100
    with pytest.raises(Inconclusive, match="ppm off its calibration"):
        replace(chosen, scale=int(chosen.scale * 1.001)).drift_ppm()


def test_cpus_that_we_may_not_use_are_named():
    with pytest.raises(UsageError, match="cannot measure on CPU 8000"):
        measure([CPUS[0], 8000], duration_s=0.1)
    with pytest.raises(UsageError, match="no CPU to measure on"):
        measure([], duration_s=0.1)
    with pytest.raises(UsageError, match="cannot measure for 0 s"):
        measure(CPUS[:1], duration_s=0)


def test_ctrl_c_ends_it_with_what_was_measured(monkeypatch):
    ends = time.monotonic() + 0.3

    def interrupted(_):
        if time.monotonic() > ends:
            raise KeyboardInterrupt

    clock = SimpleNamespace(monotonic=time.monotonic, sleep=interrupted, strftime=time.strftime, gmtime=time.gmtime)
    monkeypatch.setattr("hftctl.tuning.probe.measure.time", clock)
    report = measure(CPUS[:1], duration_s=60)
    assert report.interrupted
    assert 0 < report.cpus[0].elapsed_s < 30


def test_without_the_compiled_part_it_says_so_and_what_to_do(monkeypatch):
    monkeypatch.delattr("hftctl.tuning.probe.loop")
    monkeypatch.setitem(sys.modules, "hftctl.tuning.probe.loop", None)
    monkeypatch.delitem(sys.modules, "hftctl.tuning.probe.clock", raising=False)
    with pytest.raises(NotFound, match="not compiled here") as caught:
        measure(CPUS[:1], duration_s=0.1)
    assert "hftctl build" in caught.value.hint


def test_isolated_cpus_are_the_default(monkeypatch):
    monkeypatch.setattr("hftctl.tuning.probe.measure._device", lambda name: str(CPUS[-1]))
    assert default_cpus() == (CPUS[-1],)
    monkeypatch.setattr("hftctl.tuning.probe.measure._device", lambda name: "")
    assert default_cpus() == tuple(CPUS)
