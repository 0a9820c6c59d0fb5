"""Finds the process of a component that an earlier supervisor, killed at any point, left running."""

from __future__ import annotations

import time
from pathlib import Path

from hftctl.targets.local.identity import facts, identify, processes, program, working_directory
from hftctl.targets.local.process import Process, Record, read_record, record_of


def find(root: Path, process: Process) -> Record | None:
    """From its record; else, for the supervisor may have died between the start and the record, from the process table."""
    record = read_record(root / "run", process.component)
    if record is not None and record.alive:
        return record
    for pid in processes():
        seen = facts(pid)
        if seen is None or seen.session != pid:
            continue  # each component leads a session of its own
        identity = identify(pid)
        if identity is None:
            continue
        if found := record_of(root, process.component, identity, time.time_ns()):
            return found
        if process.program and program(pid) == process.program and working_directory(pid) == (root / "run").resolve():
            # nginx writes its title over its environment
            return Record(process.component, identity, "", {}, time.time_ns(), 0)
    return None
