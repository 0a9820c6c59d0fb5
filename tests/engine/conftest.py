from __future__ import annotations

from collections.abc import Iterator

import pytest

import engine
from tests.engine.market import Market

IMPLEMENTATIONS = [name for name, why_not in engine.implementations().items() if not why_not]


@pytest.fixture(params=IMPLEMENTATIONS)
def implementation(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def market(implementation: str) -> Iterator[Market]:
    """One instrument, two accounts, and whatever the test does must leave every invariant standing."""
    market = Market(implementation)
    yield market
    market.engine.check_invariants()
