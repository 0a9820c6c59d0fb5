"""The limits a partition's journal was written under: they decide what is refused, so a replay needs the same ones.

data_dir/limits.json   {"max_live_orders": n}, written once, before the first order
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from stack.matcher.refusal import StartRefused

NAME = "limits.json"


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    max_live_orders: int


def read_limits(data_dir: Path) -> Limits | None:
    """None where no engine has started yet. Raises OSError."""
    path = data_dir / NAME
    try:
        return msgspec.json.decode(path.read_bytes(), type=Limits)
    except FileNotFoundError:
        return None
    except msgspec.DecodeError as error:
        raise OSError(f"{path}: {error}") from None


def hold_limits(data_dir: Path, wanted: Limits) -> None:
    """Write them at the first start, compare them at every later one. Raises StartRefused and OSError."""
    held = read_limits(data_dir)
    if held is None:
        unfinished = data_dir / f"{NAME}.preparing"
        with unfinished.open("wb") as file:
            file.write(msgspec.json.encode(wanted))
            file.flush()
            os.fsync(file.fileno())
        unfinished.rename(data_dir / NAME)
    elif held != wanted:
        raise StartRefused(
            f"max_live_orders is {wanted.max_live_orders} in the settings, and the journal in {data_dir} was written under "
            f"{held.max_live_orders}: it decides which orders are refused, so the replay would differ. "
            f"Set engine.max_live_orders back to {held.max_live_orders}"
        )
