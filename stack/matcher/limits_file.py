"""What a partition's journal was begun as: under which limits, and whose it is.

data_dir/limits.json   written once, before the first order

    max_live_orders        decides what is refused, so a replay needs the same one
    deployment, partition  whose journal it is: a folder in another one's place is refused, not traded on
    journal                where this journal's chain begins, drawn at random; its first segment says the same, so that
                           neither a journal nor this file can be another's, however well each is made

A file of an earlier release has the limits only: such a journal's chain begins where all did then.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

import msgspec

from engine.journal import CHAIN_START, HEADER_BYTES, JournalError, SegmentHeader
from stack.matcher.journal_files import segment_path, sync_directory
from stack.matcher.refusal import EXIT_DAMAGED, StartRefused

NAME = "limits.json"


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    max_live_orders: int
    deployment: str = ""
    partition: int = 0
    journal: int = CHAIN_START


def new_journal() -> int:
    """Where a new journal's chain begins; never 0."""
    return 1 + secrets.randbelow((1 << 64) - 1)


def read_limits(data_dir: Path) -> Limits | None:
    """None where no engine has started yet. Raises OSError."""
    path = data_dir / NAME
    try:
        return msgspec.json.decode(path.read_bytes(), type=Limits)
    except FileNotFoundError:
        return None
    except msgspec.DecodeError as error:
        raise OSError(f"{path}: {error}") from None


def hold_limits(data_dir: Path, wanted: Limits) -> Limits:
    """Write them at the first start, compare them at every later one; returns what holds. Raises StartRefused and OSError."""
    held = read_limits(data_dir)
    if held is None:
        stands = chain_begins(data_dir)
        if stands is not None:
            raise StartRefused(
                f"{data_dir / NAME} is missing, and a journal is there: without it nobody knows under which limits that was "
                f"written, nor whose it is. Put the file back. Only where it is lost for good, and the journal is that of "
                f"this partition, write it anew: "
                f"{msgspec.json.encode(msgspec.structs.replace(wanted, journal=stands)).decode()}",
                exit_code=EXIT_DAMAGED,
            )
        unfinished = data_dir / f"{NAME}.preparing"
        with unfinished.open("wb") as file:
            file.write(msgspec.json.encode(wanted))
            file.flush()
            os.fsync(file.fileno())
        unfinished.rename(data_dir / NAME)
        sync_directory(data_dir)
        return wanted
    if held.deployment and (held.deployment, held.partition) != (wanted.deployment, wanted.partition):
        raise StartRefused(
            f"{data_dir} holds partition {held.partition} of deployment {held.deployment!r}, and this engine is partition "
            f"{wanted.partition} of {wanted.deployment!r}: two data folders were swapped, or one was copied. Put each back in "
            f"its place; only where it was moved on purpose, change deployment and partition in {data_dir / NAME}",
            exit_code=EXIT_DAMAGED,
        )
    if held.max_live_orders != wanted.max_live_orders:
        raise StartRefused(
            f"max_live_orders is {wanted.max_live_orders} in the settings, and the journal in {data_dir} was written under "
            f"{held.max_live_orders}: it decides which orders are refused, so the replay would differ. "
            f"Set engine.max_live_orders back to {held.max_live_orders}"
        )
    return held


def chain_begins(data_dir: Path) -> int | None:
    """What the journal beside it says; None while none was begun, or where it cannot be read. Raises OSError."""
    try:
        with segment_path(data_dir / "journal", 1).open("rb") as file:
            return SegmentHeader.decode(file.read(HEADER_BYTES)).chain
    except (FileNotFoundError, JournalError):
        return None


def whose_journal(data_dir: Path, held: Limits) -> str:
    """Empty when the journal is the one that was begun here, or none is there; else what is wrong. Raises OSError."""
    stands = chain_begins(data_dir)
    if stands in (None, held.journal):
        return ""
    return (
        f"{segment_path(data_dir / 'journal', 1)} offset 0: its chain begins with {stands}, and by {data_dir / NAME} the journal "
        f"of this folder begins with {held.journal}: one of the two belongs to another partition or deployment"
    )
