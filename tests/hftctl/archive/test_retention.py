"""Which backups stay."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hftctl.archive.retention import Keep, kept

NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)  # a Monday


def every(hours, count, end=NOON):
    """So many backups, the last one at `end`, in the order they were made."""
    times = [end - timedelta(hours=hours * place) for place in reversed(range(count))]
    return {f"{at:%Y%m%d-%H%M%S}-000000": int(at.timestamp()) * 10**9 for at in times}


def test_the_seeds_of_a_year_leave_what_was_asked_for():
    there = every(6, 4 * 400)
    found = kept(there, Keep(last=3, daily=7, weekly=5, monthly=12))
    said = [name for why in found.values() for name in why]
    assert [sum(name.startswith(kind) for name in said) for kind in ("last", "day", "week", "month")] == [3, 7, 5, 12]
    assert found["20261130-120000-000000"] == ("last", "day 2026-11-30", "week 2026-W49", "month 2026-11")
    assert found["20261129-180000-000000"][-2:] == ("day 2026-11-29", "week 2026-W48"), (
        "the last one of the week before"
    )
    assert found["20251231-180000-000000"] == ("month 2025-12",)
    assert "20251130-180000-000000" not in found


def test_only_days_with_a_backup_count():
    there = every(24 * 50, 10)
    assert len(kept(there, Keep(last=1, daily=4, weekly=0, monthly=0))) == 4


@pytest.mark.parametrize("wrong", [{"last": 0}, {"daily": -1}, {"weekly": -1}, {"monthly": -2}])
def test_the_newest_cannot_be_given_up(wrong):
    with pytest.raises(ValueError, match="always stays"):
        Keep(**{"last": 1, "daily": 0, "weekly": 0, "monthly": 0} | wrong)


keeps = st.builds(
    Keep, last=st.integers(1, 5), daily=st.integers(0, 9), weekly=st.integers(0, 9), monthly=st.integers(0, 9)
)
stores = st.lists(st.integers(0, 400 * 24), min_size=1, max_size=60, unique=True).map(
    lambda hours: {f"{at:06d}": at * 3600 * 10**9 for at in sorted(hours)}
)


@given(stores, keeps)
def test_pruning_twice_is_pruning_once_and_the_newest_stays(there, keep):
    found = kept(there, keep)
    assert next(iter(found)) == max(there)
    assert all(found.values())
    left = {id_: at for id_, at in there.items() if id_ in found}
    assert kept(left, keep) == found
    assert all(one > other for one, other in pairwise(found)), "newest first"


@given(stores, keeps, keeps)
def test_who_keeps_more_keeps_all_that_the_other_does(there, one, other):
    both = Keep(*(max(pair) for pair in zip(vars(one).values(), vars(other).values(), strict=True)))
    assert set(kept(there, one)) | set(kept(there, other)) <= set(kept(there, both))
