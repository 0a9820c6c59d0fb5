"""The files that prometheus-client maps: given their whole place on the disk before anything is written into them.

That library makes them with holes. On a full disk the first number written into a hole is no error that could be caught but a
SIGBUS, which ends the process: an engine that could refuse orders in good order would die of counting them. Where there is no
room the numbers of this process are kept in memory, so that nobody sees them until its next start; everything else goes on.
"""

from __future__ import annotations

import logging
import os
from typing import Any

from prometheus_client import values
from prometheus_client.mmap_dict import MmapedDict

from stack.process_name import process_name

logger = logging.getLogger(__name__)

FILE_BYTES = 1 << 18  # four times the library's, so that files hardly ever grow: labels have few values
_ENTRY_BYTES_MAX = 64  # beside the key's own


class _AllocatedDict(MmapedDict):
    def __init__(self, filename: str, read_mode: bool = False) -> None:
        super().__init__(filename if read_mode else _with_room(filename, FILE_BYTES), read_mode)  # type: ignore[no-untyped-call]

    def _init_value(self, key: str) -> None:
        state: Any = self  # its own names have no types
        if state._used + len(key.encode()) + _ENTRY_BYTES_MAX > state._capacity:
            wanted = 2 * state._capacity
            try:
                os.posix_fallocate(state._f.fileno(), 0, wanted)
            except OSError as error:
                _say(state._fname, error)
                memory = open(_in_memory(), "a+b")  # noqa: SIM115, PTH123 - the library closes it
                memory.write(state._m[:])
                memory.flush()
                state._f = memory
        super()._init_value(key)  # type: ignore[no-untyped-call]


def allocate_ahead() -> None:
    """Before the first metric is made, and once PROMETHEUS_MULTIPROC_DIR is set: importing this module reads it."""
    values.MmapedDict = _AllocatedDict  # type: ignore[attr-defined]
    values.ValueClass = values.MultiProcessValue(process_name)  # type: ignore[no-untyped-call] # part of the files' names


def _with_room(filename: str, size: int) -> str:
    """The same file, or one in memory."""
    try:
        descriptor = os.open(filename, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, max(size, os.fstat(descriptor).st_size))
        finally:
            os.close(descriptor)
    except OSError as error:
        _say(filename, error)
        return _in_memory()
    return filename


def _in_memory() -> str:
    descriptor = os.memfd_create("metrics", os.MFD_CLOEXEC)
    os.ftruncate(descriptor, FILE_BYTES)
    return f"/proc/self/fd/{descriptor}"


def _say(filename: str, error: OSError) -> None:
    logger.warning("metrics of this process are not shown until its next start: no room for %s: %s", filename, error)
