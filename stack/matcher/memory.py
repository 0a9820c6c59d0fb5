"""What `hft_mode` does to an engine's process, beside its tables being faulted in: nothing is paged out, nothing collected.

Objects that live as long as the process are taken out of the garbage collector's sight. Pages are locked where the system
allows it: those that are there now, and those of today's mappings when they are first touched. Not earlier, because a book
reserves far more addresses than it ever uses; and not of mappings to come, which would count against a limit that fails them.
"""

from __future__ import annotations

import ctypes
import gc
import logging
import os

logger = logging.getLogger(__name__)

_CURRENT, _ON_FAULT = 1, 4  # of Linux; others have no such thing


def hold_in_memory() -> bool:
    """Whether pages are locked; why not is logged."""
    gc.collect()
    gc.freeze()
    why_not = _lock()
    if why_not:
        logger.info("memory is not locked, it may be paged out: %s", why_not)
    else:
        logger.info("memory is locked")
    return not why_not


def _lock() -> str:
    lock = getattr(ctypes.CDLL(None, use_errno=True), "mlockall", None) if os.uname().sysname == "Linux" else None
    if lock is None:
        return "this system has no mlockall that locks on first touch"
    if lock(_CURRENT | _ON_FAULT) == 0:
        return ""
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    allowed = "any number of" if soft == resource.RLIM_INFINITY else str(soft)
    return f"{os.strerror(ctypes.get_errno())}; {allowed} bytes are allowed (ulimit -l), CAP_IPC_LOCK lifts the limit"
