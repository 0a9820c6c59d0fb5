"""From a backup to data folders: every byte against its hash on the way, then the journal against the cut it was taken at."""

from __future__ import annotations

import base64
import os
import time
from pathlib import Path

from hftctl.archive.manifest import Manifest, Partition
from hftctl.archive.store import Store
from hftctl.errors import DamageFound, Failed
from hftctl.operations.backup import journal
from hftctl.operations.backup.create import HEADER_BYTES
from hftctl.operations.terms import Report
from hftctl.paths import make_folder, sync_folder, write_atomic
from hftctl.plan.execute import Progress

_ZEROS = bytes(4 << 20)


def fetch(store: Store, manifest: Manifest, data: Path, report: Report) -> None:
    """Writes `data`/partition-<n>/. Raises DamageFound, naming the object and what it holds."""
    started = time.monotonic()
    try:
        for partition in manifest.partitions:
            _partition(store, partition, data / f"partition-{partition.partition}", report, started)
    except OSError as error:
        raise Failed(
            f"cannot write the journal of backup {manifest.id} to {data}: {error.strerror}; it is removed again",
            hint="make room there; nothing that stood was touched",
        ) from error


def _partition(store: Store, partition: Partition, folder: Path, report: Report, started: float) -> None:
    make_folder(folder / "journal", mode=0o700)
    folder.chmod(0o700)
    write_atomic(folder / "limits.json", partition.limits, mode=0o600)
    done, whole = 0, sum(one.end for one in partition.segments)
    for segment in partition.segments:
        name = f"{segment.number:08d}.journal"
        handle = os.open(folder / "journal" / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(base64.b64decode(segment.header).ljust(HEADER_BYTES, b"\0"))
            for chunk in segment.chunks:
                file.write(store.get(chunk, f"{name} of partition {partition.partition} from offset {file.tell()} on"))
                done += min(len(_ZEROS), segment.end)
                said = f"partition {partition.partition}: {min(done, whole) >> 20} of {whole >> 20} MiB"
                report(Progress("backup", "applying", said, time.monotonic() - started, figures=True))
            if file.tell() != segment.end:
                raise DamageFound(
                    f"{name} of partition {partition.partition}: {file.tell()} bytes, {segment.end} were due"
                )
            for offset in range(segment.end, segment.bytes, len(_ZEROS)):  # the engine writes over blocks that exist
                file.write(_ZEROS[: min(len(_ZEROS), segment.bytes - offset)])
            file.flush()
            os.fsync(file.fileno())
    for place in (folder / "journal", folder, folder.parent):
        sync_folder(place)


def check_cut(partition: Partition, data: Path) -> None:
    """Is this the journal that was backed up, up to its cut? Raises DamageFound."""
    folder = data / f"partition-{partition.partition}"
    found = journal.cut(folder, until=partition.sequence)
    for what, stands, due in (
        ("journal", found["journal"], partition.journal),
        ("command", found["sequence"], partition.sequence),
        ("chain", found["chain"], partition.chain),
    ):
        if stands != due:
            raise DamageFound(
                f"partition {partition.partition}: {what} {stands:#x} is restored, {due:#x} was backed up"
            )
