"""What all tests share."""

import os
from collections.abc import Iterator

import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One worker has all whole stacks: two at once on two processors make each other's limits of time run out."""
    for item in items:
        if item.get_closest_marker("stack"):
            item.add_marker(pytest.mark.xdist_group("stack"))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """In CI a lab test that is skipped has failed: everything it needs was installed for it."""
    outcome = yield
    report = outcome.get_result()
    needed = any(item.get_closest_marker(name) for name in ("lab", "docker", "kubernetes"))
    if report.skipped and needed and os.environ.get("HFTCTL_LAB") == "required":
        report.outcome = "failed"
        report.longrepr = f"a lab test was skipped where it must run: {report.longrepr}"
