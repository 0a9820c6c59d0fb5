"""Whole files of another journal in a data folder: each is well made, and none of it belongs there.

The stranger has the same settings, the same epochs and as many commands; it is of another deployment, or another partition of
the same one. A start must refuse, with a sentence that names what does not belong and without touching a segment, or come to
the very state, events and chains of orders that the folder's own journal has. Anything else would be a book that nobody traded.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

import engine
from engine.journal import CHAIN_START, HEADER_BYTES, JournalError, SegmentHeader
from stack.matcher import snapshot
from stack.matcher.partition import Partition
from stack.matcher.refusal import EXIT_DAMAGED, StartRefused
from stack.settings import EngineSettings, InstrumentSettings
from tests.stack.matcher.engines import with_partition
from tests.stack.matcher.filled import MEMORY, fill

COMPILED = not engine.implementations()["cython"]
REFUSED, SAME = "refused", "same"
SNAPSHOT_AT, BEHIND = 56, 28  # orders before the snapshot, and after it

State = tuple[int, int, bytes, list[bytes]]


class Folder(NamedTuple):
    settings: EngineSettings

    @property
    def data(self) -> Path:
        return Path(self.settings.data_dir)

    @property
    def segments(self) -> list[Path]:
        """Those that were begun."""
        return [path for path in sorted((self.data / "journal").glob("*.journal")) if _begun(path)]


class Case(NamedTuple):
    what: str
    due: str
    act: Callable[[Path, Folder], None]  # on a copy of the own folder, with the stranger
    stranger: str = "deployment"
    says: str = ""  # in the refusal


class Judged(NamedTuple):
    what: str
    verdict: str
    wrong: str


def _begun(path: Path) -> bool:
    try:
        return bool(SegmentHeader.decode(path.read_bytes()[:HEADER_BYTES]))
    except JournalError:
        return False


async def _everything(partition: Partition) -> State:
    partition.engine.check_invariants()
    sequence, log = partition.engine.sequence, partition.log
    return (
        sequence, partition.engine.state_hash(), log.peek(0, log.end), [log.chain(n) for n in range(1, sequence + 1)],
    )  # fmt: skip


def _made(home: Path, name: str, deployment: str, partition: int, *, snapshots: bool) -> Folder:
    settings = EngineSettings(
        deployment=deployment, component=f"engine-{partition}", log_file="", metrics_dir="", metrics_enabled=False,
        partition=partition, data_dir=str(home / name), link_socket="", admin_socket="", accounts=["alice", "bob"],
        instruments=[
            InstrumentSettings(symbol=symbol, tick_size="0.01", lot_size="1", currency="USD") for symbol in ("AAPL", "MSFT")
        ],
        authentication="none", max_live_orders=4096, client_ids_max=4096, segment_bytes=HEADER_BYTES + 30 * 144, hft_mode=False,
    )  # fmt: skip
    sequence, _ = with_partition(settings, lambda one: fill(one, f"{name}-", SNAPSHOT_AT))
    if snapshots:
        snapshot.take(settings, sequence)
    with_partition(settings, lambda one: fill(one, f"{name}-more-", BEHIND))
    return Folder(settings)


# ---- what happens to the folder


def _put(part: str) -> Callable[[Path, Folder], None]:
    def act(data: Path, stranger: Folder) -> None:
        shutil.rmtree(data / part) if (data / part).is_dir() else (data / part).unlink(missing_ok=True)
        source = stranger.data / part
        shutil.copytree(source, data / part) if source.is_dir() else shutil.copy(source, data / part)

    return act


def _segment(number: int, offset: int = 0) -> Callable[[Path, Folder], None]:
    """The stranger's bytes from an offset on: from HEADER_BYTES on, all records and nothing of what stands before them."""

    def act(data: Path, stranger: Folder) -> None:
        path = data / "journal" / f"{number:08d}.journal"
        path.write_bytes(path.read_bytes()[:offset] + (stranger.data / "journal" / path.name).read_bytes()[offset:])

    return act


def _gone(part: str) -> Callable[[Path, Folder], None]:
    def act(data: Path, _stranger: Folder) -> None:
        (data / part).unlink()

    return act


def _events(suffix: str) -> Callable[[Path, Folder], None]:
    return _put(f"events/00000000{suffix}")


def _folder(data: Path, stranger: Folder) -> None:
    shutil.rmtree(data)
    shutil.copytree(stranger.data, data)


def _rest_gone(from_number: int) -> Callable[[Path, Folder], None]:
    """The journal's end, and the event log that would have known of it."""

    def act(data: Path, _stranger: Folder) -> None:
        for path in sorted((data / "journal").glob("*.journal"))[from_number - 1 :]:
            path.unlink()
        shutil.rmtree(data / "events")

    return act


def cases(segments: int, *, snapshots: bool) -> Iterator[Case]:
    for number in range(1, segments + 1):
        yield Case(f"segment {number} of {segments}, all its records", REFUSED, _segment(number, HEADER_BYTES))
        yield Case(f"segment {number} of {segments}, the whole file", REFUSED, _segment(number))
        if number < segments:
            gone = _gone(f"journal/{number:08d}.journal")
            yield Case(f"segment {number} of {segments} missing", REFUSED, gone, says="missing")
    yield Case("the newest segment missing", REFUSED, _gone(f"journal/{segments:08d}.journal"))
    for stranger in ("deployment", "partition"):
        yield Case(f"journal/ of another {stranger}", REFUSED, _put("journal"), stranger, "limits.json")
        yield Case(f"limits.json of another {stranger}", REFUSED, _put("limits.json"), stranger)
        yield Case(f"events/ of another {stranger}", SAME, _put("events"), stranger)
        yield Case(f"the events, but not their index, of another {stranger}", SAME, _events(".events"), stranger)
        yield Case(f"the index of the events of another {stranger}", SAME, _events(".index"), stranger)
        yield Case(
            f"the whole data folder of another {stranger}", REFUSED, _folder, stranger, "two data folders were swapped"
        )
        if snapshots:
            yield Case(f"snapshots/ of another {stranger}", SAME, _put("snapshots"), stranger)
    yield Case("limits.json missing", REFUSED, _gone("limits.json"), says="is missing")
    if snapshots:
        yield Case(
            "the journal's end and the event log missing, a snapshot knows", REFUSED, _rest_gone(2), says="a snapshot"
        )


def _judge(case: Case, own: Folder, stranger: Folder, stood: State) -> Judged:
    kept = own.data.with_name("kept")
    shutil.copytree(own.data, kept)
    try:
        case.act(own.data, stranger)
        before = {path: path.read_bytes() for path in own.segments}
        try:
            found = with_partition(own.settings, _everything)
        except StartRefused as refused:
            wrong = ""
            if case.due != REFUSED or refused.exit_code != EXIT_DAMAGED or case.says not in str(refused):
                wrong = f"refused with exit {refused.exit_code}: {refused}"
            elif {path: path.read_bytes() for path in before} != before:
                wrong = "a refused start changed the journal"
            return Judged(case.what, REFUSED, wrong)
        wrong = (
            ("" if case.due == SAME else "started") if found == stood else "started on another state or other events"
        )
        return Judged(case.what, SAME if found == stood else "other", wrong)
    finally:
        _clear(own.data)
        kept.rename(own.data)


@contextmanager
def _scratch() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="foreign-", dir=MEMORY if MEMORY.is_dir() else None))
    try:
        yield folder
    finally:
        _clear(folder)


def _clear(folder: Path) -> None:
    while folder.exists():  # a refused start's thread may still be making a file ahead
        shutil.rmtree(folder, ignore_errors=True)


def judged() -> Iterator[Judged]:
    for snapshots in (False, True) if COMPILED else (False,):
        with _scratch() as home:
            own = _made(home, "own", "one", 0, snapshots=snapshots)
            strangers = {
                "deployment": _made(home, "other", "two", 0, snapshots=snapshots),
                "partition": _made(home, "next", "one", 1, snapshots=snapshots),
            }
            stood = with_partition(own.settings, _everything)
            for case in cases(len(own.segments), snapshots=snapshots):
                found = _judge(case, own, strangers[case.stranger], stood)
                yield found._replace(what=f"{found.what}{', with a snapshot' if snapshots else ''}")
    yield from _of_an_earlier_release()


def _of_an_earlier_release() -> Iterator[Judged]:
    """Journals from when every chain began alike and limits.json knew the limits only."""
    with _scratch() as home, patch("stack.matcher.start.new_journal", return_value=CHAIN_START):
        own, other = (_made(home, name, name, 0, snapshots=False) for name in ("own", "other"))
        for one in (own, other):
            (one.data / "limits.json").write_bytes(b'{"max_live_orders":4096}')
        stood = with_partition(own.settings, _everything)
        yield _judge(Case("begun by an earlier release: nothing foreign", SAME, lambda *_: None), own, other, stood)
        whole = Case(
            "begun by an earlier release: a segment's records",
            REFUSED,
            _segment(1, HEADER_BYTES),
            says="another journal",
        )
        yield _judge(whole, own, other, stood)
        yield _judge(Case("begun by an earlier release: a whole segment", REFUSED, _segment(1)), own, other, stood)


def main() -> None:
    for found in judged():
        print(found)


if __name__ == "__main__":
    main()
