"""Short forms; `python -m tests.faults.clocks_and_stops` is the long one."""

import asyncio

import pytest

from tests.faults.clocks_and_stops import Case, clocks, missing, slow

pytestmark = [pytest.mark.lab, pytest.mark.timeout(180), pytest.mark.skipif(bool(missing()), reason=missing())]


def problems(cases: list[Case]) -> list[str]:
    return [text for case in cases for text in case.problems]


def test_a_clock_that_jumps_takes_recorded_time_never_back():
    cases = asyncio.run(clocks(1.0))
    assert problems(cases) == []
    assert len(cases) == 5


@pytest.mark.stack
def test_a_slow_disk_is_told_as_429_and_health_goes_on():
    cases = asyncio.run(slow(3.0))
    assert problems(cases) == []
