"""Reading beside using: what comes next is read and checked in a thread, which gives the interpreter's lock away for that."""

from __future__ import annotations

from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TypeVar

T = TypeVar("T")


def ahead(items: Generator[T, None, None]) -> Generator[T, None, None]:
    """The same, each made while the one before it is used; closing it closes them."""
    with closing(items), ThreadPoolExecutor(1, thread_name_prefix="reading") as thread:
        coming = thread.submit(next, items, None)
        while (found := coming.result()) is not None:
            coming = thread.submit(next, items, None)
            yield found
