"""Invariants are checked also under `python -O`, so they are not assert statements."""


def hold(condition: bool, broken: str) -> None:
    if not condition:
        raise AssertionError(broken)
