"""Short forms; `python -m tests.faults.clocks_and_stops` is the long one."""

import asyncio

import pytest

from tests.faults.clocks import clocks, clocks_of_a_stack, missing
from tests.faults.clocks_and_stops import files, slow, stops
from tests.faults.scene import Case

pytestmark = [pytest.mark.lab, pytest.mark.timeout(180), pytest.mark.skipif(bool(missing()), reason=missing())]


def problems(cases: list[Case]) -> list[str]:
    return [text for case in cases for text in case.problems]


def test_a_clock_that_jumps_takes_recorded_time_never_back():
    cases = asyncio.run(clocks(1.0))
    assert problems(cases) == []
    assert len(cases) == 5


@pytest.mark.stack
def test_a_stack_whose_clock_jumps_takes_every_order_and_writes_every_day():
    """Back, over a midnight and far ahead; the other jumps have their turn in the long form."""
    jumps = ("two hours back", "five seconds before midnight", "three days ahead")
    cases = asyncio.run(clocks_of_a_stack(1.0, jumps))
    assert problems(cases) == []
    assert len(cases) == 5


@pytest.mark.stack
def test_a_slow_disk_is_told_as_429_and_health_goes_on():
    cases = asyncio.run(slow(3.0))
    assert problems(cases) == []


@pytest.mark.stack
def test_a_process_that_stands_still_is_waited_for_and_nothing_is_lost():
    """The supervisor and nginx have their turn in the long form."""
    cases = asyncio.run(stops(3.0, ("engine-0", "gateway-1", "persister-0", "postgres-0", "redis")))
    assert problems(cases) == []
    assert len(cases) == 6


@pytest.mark.stack
def test_without_files_left_what_stands_is_served_and_nobody_spins():
    cases = asyncio.run(files(2.0))
    assert problems(cases) == []
    assert len(cases) == 4
