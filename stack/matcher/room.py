"""Is there room on the disk for what is taken next? Asked ahead, so that no command that was taken ever meets a full disk.

The journal's next segment is reserved as soon as the current one is begun (journal_files.py), so the journal itself needs
nothing that it does not have already. The event log grows as it is written: some space is kept free for it.

    ORDERS   no new orders and replaces: the next segment cannot be made, or less than ORDERS_BYTES are free
    CANCELS  no cancels either: less than CANCELS_BYTES are free

Halt, resume and mass cancel pass as long as the newest segment has room. Orders are taken again with the first look that finds
room; nobody restarts anything.
"""

from __future__ import annotations

import logging
from enum import IntEnum
from pathlib import Path

from stack.matcher.journal_files import KEPT_FREE_BYTES, JournalFiles, free_bytes

logger = logging.getLogger(__name__)

LOOK_S = 0.25  # at a million events in a second the event log grows by half of ORDERS_BYTES between two looks
ORDERS_BYTES = KEPT_FREE_BYTES
CANCELS_BYTES = 8 << 20


class Refused(IntEnum):
    NOTHING = 0
    ORDERS = 1
    CANCELS = 2


class Room:
    def __init__(self, directory: Path, journal: JournalFiles) -> None:
        """`directory` is on the disk that the event log is on."""
        self._directory = directory
        self._journal = journal
        self.refused = Refused.NOTHING
        self.why = ""  # a sentence for the operator, while something is refused
        self.look()

    def look(self) -> None:
        """Raises OSError."""
        free = free_bytes(self._directory)
        refused, why = Refused.NOTHING, ""
        if free < ORDERS_BYTES:
            refused = Refused.CANCELS if free < CANCELS_BYTES else Refused.ORDERS
            why = f"{free >> 20} MiB are free in {self._directory}, {ORDERS_BYTES >> 20} MiB are needed"
        elif self._journal.no_room:
            refused, why = Refused.ORDERS, f"the next journal segment cannot be made: {self._journal.no_room}"
        if refused != self.refused:
            if refused:
                what = "orders and cancels" if refused == Refused.CANCELS else "new orders"
                logger.error("refusing %s until there is room: %s", what, why)
            else:
                logger.warning("there is room on the disk again: taking orders")
        self.refused, self.why = refused, why
