"""Our histogram against HdrHistogram's own library, and the layout of the compiled loop against that of Python."""

from __future__ import annotations

import random
import zlib
from array import array
from itertools import pairwise

import pytest
from hdrh.histogram import HdrHistogram
from hypothesis import given
from hypothesis import strategies as st

from hftctl.errors import UsageError
from hftctl.tuning.probe import histogram
from hftctl.tuning.probe.histogram import LONGEST_NS, PLACES, Histogram, place_of, range_of

DURATIONS = st.integers(min_value=0, max_value=LONGEST_NS)


def counted(values):
    counts = array("Q", [0] * PLACES)
    for value in values:
        counts[place_of(value)] += 1
    return Histogram(counts)


def theirs(values=()):
    found = HdrHistogram(1, LONGEST_NS, 2)
    for value in values:
        found.record_value(value)
    return found


@given(DURATIONS)
def test_a_value_lies_in_the_range_of_its_place(value):
    lowest, highest = range_of(place_of(value))
    assert lowest <= value <= highest
    assert highest - lowest <= value / 128


def test_every_place_has_a_range_of_its_own_without_gap():
    ranges = [range_of(place) for place in range(PLACES)]
    assert ranges[0] == (0, 0)
    assert all(after[0] == before[1] + 1 for before, after in pairwise(ranges))
    assert [place_of(lowest) for lowest, _ in ranges if lowest <= LONGEST_NS] == list(range(place_of(LONGEST_NS) + 1))


def test_what_is_longer_than_an_hour_counts_as_an_hour():
    assert place_of(LONGEST_NS * 50) == place_of(LONGEST_NS)


@given(st.lists(DURATIONS, min_size=1, max_size=200))
def test_their_library_reads_what_we_encode(values):
    read = HdrHistogram.decode(counted(values).encode())
    assert read.get_total_count() == len(values)
    for percent in (50, 90, 99, 99.9, 100):
        assert read.get_value_at_percentile(percent) == theirs(values).get_value_at_percentile(percent)


@given(st.lists(DURATIONS, max_size=200))
def test_we_read_what_their_library_encodes(values):
    assert list(Histogram.decode(theirs(values).encode().decode()).counts) == list(counted(values).counts)


@given(st.lists(st.integers(0, 2**62), max_size=40))
def test_large_counts_survive(numbers):
    counts = array("Q", [*numbers, *[0] * (PLACES - len(numbers))])
    assert list(Histogram.decode(Histogram(counts).encode()).counts) == list(counts)


def test_percentiles_are_those_of_the_library():
    draw = random.Random(7)
    values = [int(draw.lognormvariate(4, 2)) + 1 for _ in range(20_000)]
    for percent in (50, 90, 99, 99.9, 99.99, 99.999):
        assert counted(values).percentile(percent) == theirs(values).get_value_at_percentile(percent)


def test_percentiles_of_the_tail_look_at_nothing_below_it():
    found = counted([20] * 1_000_000 + [5_000] * 90 + [80_000] * 10)
    assert found.percentile(50, from_ns=200) == range_of(place_of(5_000))[1]
    assert found.percentile(99, from_ns=200) == range_of(place_of(80_000))[1]
    assert found.above(5_000) == 10
    assert counted([]).percentile(50) is None


@pytest.mark.parametrize(
    "text", ["", "no base64!", "AAAA", HdrHistogram(1, 1000, 3).encode().decode(), counted([5]).encode()[:-8]]
)
def test_what_is_no_histogram_of_ours_is_refused(text):
    with pytest.raises(UsageError):
        Histogram.decode(text)


def test_a_payload_that_blows_up_is_refused():
    import base64

    payload = histogram._leb128(-(2**40))
    head = histogram.HEADER.pack(histogram.PAYLOAD_COOKIE, len(payload), 0, 2, 1, LONGEST_NS, 1.0)
    packed = zlib.compress(head + payload)
    raw = histogram.OUTER.pack(histogram.COMPRESSED_COOKIE, len(packed)) + packed
    with pytest.raises(UsageError, match="more than 4608 places"):
        Histogram.decode(base64.b64encode(raw).decode())


@given(DURATIONS)
def test_the_compiled_loop_counts_at_the_same_place(value):
    loop = pytest.importorskip("hftctl.tuning.probe.loop", reason="the probe's loop is not built: no C compiler")
    assert loop.place_of(value) == place_of(value)
    assert (histogram.SUB_BITS, LONGEST_NS, PLACES) == loop.LAYOUT
