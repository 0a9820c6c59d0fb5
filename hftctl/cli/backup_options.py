"""Options of all commands on backups."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

Store = Annotated[
    Path | None,
    typer.Option("--store", metavar="DIR", help="Folder of the backups; default: backup.store of the profile."),
]
Recipient = Annotated[
    str,
    typer.Option(
        "--recipient", metavar="AGE1...", help="Encrypt secrets to this age recipient; default: the profile's."
    ),
]
Id = Annotated[
    str | None,
    typer.Argument(metavar="[BACKUP]", help="Its id in hftctl backup list, or its mark; default: the newest."),
]


def time_ns(text: str | int) -> int:
    """`2026-11-28T14:02:03.25Z`, with its zone, or nanoseconds since the epoch."""
    if str(text).isdecimal():
        return int(text)
    try:
        at = datetime.fromisoformat(str(text))
    except ValueError as error:
        raise typer.BadParameter(f"'{text}' is no time such as 2026-11-28T14:02:03.25Z") from error
    if at.tzinfo is None:
        raise typer.BadParameter(f"'{text}' has no zone; say Z for UTC, or +01:00")
    return int(at.replace(microsecond=0).timestamp()) * 10**9 + at.microsecond * 1000


def sequences(words: list[str]) -> dict[int, int]:
    found = {}
    for word in words:
        partition, _, sequence = word.rpartition("=")
        if not sequence.isdecimal() or not (partition or "0").isdecimal():
            raise typer.BadParameter(f"'{word}' is not SEQUENCE or PARTITION=SEQUENCE", param_hint="--to-sequence")
        found[int(partition or 0)] = int(sequence)
    return found
