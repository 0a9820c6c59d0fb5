"""How far a start has come with replaying its journal, for whoever waits for the engine: a file, because no door is open yet.

data_dir/replaying.json   {"pid", "replayed", "of"}; there only while a replay goes on. After a kill it stays, and names a pid
                          that is gone.
"""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

import msgspec

NAME = "replaying.json"
EVERY_S = 1.0


class ReplayProgress:
    def __init__(self, data_dir: Path, of: int) -> None:
        """`of` is about how many commands there are: the newest ones are not counted by what the journal says of itself."""
        self._path = data_dir / NAME
        self._of = of
        self._due_s = time.monotonic() + EVERY_S  # a short replay needs no file

    def reached(self, sequence: int) -> None:
        """Called after each group."""
        now_s = time.monotonic()
        if now_s < self._due_s:
            return
        self._due_s = now_s + EVERY_S
        fresh = self._path.with_suffix(".new")
        document = {"pid": os.getpid(), "replayed": sequence, "of": max(self._of, sequence)}
        with contextlib.suppress(OSError):  # a full disk: who waits is told less, and the replay goes on
            fresh.write_bytes(msgspec.json.encode(document))
            fresh.rename(self._path)

    def end(self) -> None:
        self._path.unlink(missing_ok=True)
