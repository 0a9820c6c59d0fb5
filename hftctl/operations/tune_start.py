"""What a start of the machine does, or a card that appears: an interrupted revert goes on, an interrupted apply is taken back, and
what no file keeps is written again. Asks nobody."""

from __future__ import annotations

from pathlib import Path

from hftctl.operations.host import open_host
from hftctl.operations.terms import Report, silent
from hftctl.operations.tune_apply import TuneResult, apply
from hftctl.operations.tune_plan import Asked
from hftctl.operations.tune_revert import revert
from hftctl.tuning.state import HostState


def start(root: Path, asked: Asked, *, progress: Report = silent, lock_wait_s: float = 0.0) -> TuneResult:
    last = HostState(open_host(root)).journal.unsettled()
    if last is not None and last.verb == "revert":  # it is wanted still; taken back it would tune the host again
        return revert(root, confirm=lambda _name, _back: True, progress=progress, lock_wait_s=lock_wait_s)
    return apply(root, asked, confirm=lambda _made: True, progress=progress, lock_wait_s=lock_wait_s, boot=True)
