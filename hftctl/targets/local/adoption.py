"""Finds the processes of a component that an earlier supervisor, killed at any point, left running."""

from __future__ import annotations

import time
from pathlib import Path

from hftctl.targets.local.identity import Identity, facts, identify, processes, program, working_directory
from hftctl.targets.local.process import Process, Record, read_record, record_of


class Survey:
    """One look at the process table: who leads a session of its own, as each component does."""

    def __init__(self, root: Path) -> None:
        self._root = root
        leaders = [pid for pid in processes() if (seen := facts(pid)) is not None and seen.session == pid]
        self._leaders = [identity for pid in leaders if (identity := identify(pid)) is not None]

    def of(self, process: Process) -> tuple[Record | None, list[Record]]:
        """The one to keep, and those beside it: a supervisor can die while one takes over from another.

        Its record says which one to keep; else, for the supervisor may have died between the start and the record, it is
        the one that started first.
        """
        record = read_record(self._root / "run", process.component)
        found = [one for identity in self._leaders if (one := self._record(process, identity)) is not None]
        if record is not None and record.alive:
            return record, [one for one in found if one.identity != record.identity]
        found.sort(key=lambda one: one.identity.start_ticks)
        return (found[0], found[1:]) if found else (None, [])

    def _record(self, process: Process, identity: Identity) -> Record | None:
        if record := record_of(self._root, process.component, identity, time.time_ns()):
            return record
        if not process.program or program(identity.pid) != process.program:
            return None
        if working_directory(identity.pid) != (self._root / "run").resolve():
            return None
        # nginx writes its title over its environment
        return Record(process.component, identity, "", {}, time.time_ns(), 0)
