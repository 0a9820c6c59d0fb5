"""The short form of the stores' outages; `python -m tests.faults.stores` is the long one."""

import asyncio
import os

import pytest

from tests.faults.stores import POSTGRES, VALKEY, stores

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]


@pytest.mark.skipif(os.geteuid() != 0, reason="a file system of its own needs root")
def test_orders_go_on_while_stores_are_away_and_every_row_stands_once_afterwards():
    """Killed stores have their turn in `test_crash.py`, the others in the long form."""
    names = ["PostgreSQL stopped", "PostgreSQL's disk full", "Valkey out of memory"]
    assert set(names) <= {*POSTGRES, *VALKEY}
    results, rate, equal = asyncio.run(stores(names, seconds=6.0, pile_up=100_000, seed=20261121))
    assert [result.problems for result in results] == [[]] * (len(names) + 1)
    assert rate["rows"] >= 100_000
    assert equal["equal"], equal
