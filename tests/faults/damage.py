"""Everything that can happen to a journal's bytes, and the verdict on each of them, in one table.

    python -m tests.faults.damage [--report FILE]

bytes     every cut of the last three records, every bit of 64 KiB flipped, records swapped, doubled, spliced: read by the
          compiled codec, some of them by the plain one too
foreign   whole files, records or folders of another journal, well made as they are: foreign.py
copies    an older copy of a whole journal file in place of the newest, found at the start by the event log beside it
disk      a real engine whose nth write or sync fails, is cut short, or never happens while the disk says that it did

What was marked as synced and is not there must be called damage, at the record where it begins. What was not marked yet, the
watermark's window, may be a torn tail: it is counted. Anything else is a wrong verdict.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from engine import journal_python
from engine.records import RECORD_BYTES
from engine.scan import CHAIN_START, Verdict
from stack.matcher.partition import Partition
from stack.matcher.refusal import EXIT_DAMAGED, EXIT_FAILED, StartRefused
from stack.settings import EngineSettings, InstrumentSettings
from tests.engine.test_journal import CODECS, EPOCH, command
from tests.faults import foreign, shim
from tests.faults.conditions import Conditions
from tests.faults.test_disk import JOURNAL, Engine
from tests.stack.matcher.engines import new, submit, with_partition

COUNT, GROUP = 40, 5
FLIPPED_RECORDS = 455  # just under 64 KiB
PLAIN_EVERY = 1000  # the plain codec takes a hundred times longer
WRITES = (8, 11, 16, 21, 30, 40)
OLDER_COPIES = 8


@dataclass
class Row:
    """One class of damage. `wrong` holds what was judged otherwise than it had to be."""

    what: str
    cases: int = 0
    verdicts: Counter[str] = field(default_factory=Counter)
    window: int = 0  # torn tails where nothing had been marked as synced
    wrong: list[str] = field(default_factory=list)


class Bytes(NamedTuple):
    """A journal's bytes as found, and from which record on they are not what was written."""

    data: bytes | bytearray
    first_bad: int
    marked: int
    whole: bool = False  # nothing but the end is missing, at a record's boundary
    beyond: bool = False  # a whole record stands behind the last one: no torn write leaves that


def written(count: int, epoch: int = EPOCH, shift: int = 0) -> bytes:
    """Groups of five, each synced before the next is made."""
    encoder = CODECS.get("cython", journal_python).Encoder(epoch, 0, CHAIN_START)
    for number in range(count):
        if number % GROUP == 0:
            encoder.synced = number
        encoder.append(command(number + shift), 1_000 + number, number if number % GROUP == 0 else None)
    return bytes(encoder.take())


# ---- what happens to the bytes


def cuts(marked: int) -> Iterator[Bytes]:
    data = written(COUNT)
    for end in range(len(data) - 3 * RECORD_BYTES, len(data)):
        yield Bytes(data[:end], end // RECORD_BYTES, marked, whole=end % RECORD_BYTES == 0)
        zeros = data[:end] + bytes(len(data) + 500 - end)
        if zeros[: len(data)] == data:
            continue  # the last bytes of a record are zeros anyway
        bad = next(n for n in range(COUNT) if _record(zeros, n) != _record(data, n))
        yield Bytes(zeros, bad, marked, whole=not any(_record(zeros, bad)))


def flips() -> Iterator[Bytes]:
    data = bytearray(written(FLIPPED_RECORDS))
    for bit in range(len(data) * 8):
        data[bit >> 3] ^= 1 << (bit & 7)
        yield Bytes(data, bit // 8 // RECORD_BYTES, FLIPPED_RECORDS - GROUP)
        data[bit >> 3] ^= 1 << (bit & 7)


def swaps() -> Iterator[Bytes]:
    data = written(COUNT)
    for one, other in combinations(range(COUNT), 2):
        found = bytearray(data)
        _put(found, one, _record(data, other))
        _put(found, other, _record(data, one))
        yield Bytes(found, one, COUNT)


def doubles() -> Iterator[Bytes]:
    data = written(COUNT)
    for number in range(COUNT):
        end = (number + 1) * RECORD_BYTES
        pushed_in = data[:end] + _record(data, number) + data[end:]
        yield Bytes(pushed_in, number + 1, COUNT, beyond=number + 1 == COUNT)
        if number + 1 < COUNT:
            found = bytearray(data)
            _put(found, number + 1, _record(data, number))
            yield Bytes(found, number + 1, COUNT)  # over the next one
            yield Bytes(data[:end] + data[end + RECORD_BYTES :], number + 1, COUNT)  # the next one left out


def splices() -> Iterator[Bytes]:
    data = written(COUNT)
    # A first record has none before it: whose it is only its epoch tells, and the second record.
    for other, first in ((written(COUNT, shift=50), 1), (written(COUNT, epoch=EPOCH - 1), 0)):
        for number in range(first, COUNT):
            found = bytearray(data)
            _put(found, number, _record(other, number))
            yield Bytes(found, number, COUNT)  # one record of another journal, or of an earlier epoch
            at = number * RECORD_BYTES
            yield Bytes(data[:at] + other[at:], number, COUNT)  # all from here on


def _record(data: bytes | bytearray, number: int) -> bytes:
    return bytes(data[number * RECORD_BYTES : (number + 1) * RECORD_BYTES])


def _put(data: bytearray, number: int, record: bytes) -> None:
    data[number * RECORD_BYTES : (number + 1) * RECORD_BYTES] = record


def judged(what: str, found: Iterator[Bytes], codecs: dict[str, ModuleType]) -> Row:
    row = Row(what)
    fast = codecs.get("cython", codecs["python"])
    for case in found:
        row.cases += 1
        seen = fast.scan(case.data, EPOCH, 0, CHAIN_START, case.marked)
        row.verdicts[seen.verdict.name.lower()] += 1
        due = Verdict.CLEAN if case.whole else Verdict.TORN
        if case.first_bad < case.marked or case.beyond:
            due = Verdict.DAMAGED
        row.window += due == seen.verdict == Verdict.TORN
        if (seen.records, seen.verdict) != (case.first_bad, due):
            row.wrong.append(f"case {row.cases}: {seen} where {due.name} at record {case.first_bad + 1} was due")
        if (
            row.cases % PLAIN_EVERY == 1
            and codecs["python"].scan(case.data, EPOCH, 0, CHAIN_START, case.marked) != seen
        ):
            row.wrong.append(f"case {row.cases}: the codecs disagree")
    return row


def of_bytes(codecs: dict[str, ModuleType]) -> Iterator[Row]:
    """Without the flips."""
    yield judged("cut at every byte of the last 3 records, all marked as synced", cuts(COUNT), codecs)
    yield judged("the same, nothing of them marked yet", cuts(COUNT - 3), codecs)
    yield judged(f"any two of {COUNT} records swapped", swaps(), codecs)
    yield judged("a record doubled (between, over the next) or left out", doubles(), codecs)
    yield judged("spliced: a record, or all that follow, of another journal or an earlier epoch", splices(), codecs)


# ---- a whole older file


def copies() -> Row:
    row = Row("an older copy of the journal file, the event log beside it newer")
    with tempfile.TemporaryDirectory(prefix="damage-") as home:
        settings = EngineSettings(
            deployment="test", component="engine-0", log_file="", metrics_dir="", metrics_enabled=False, partition=0,
            data_dir=str(Path(home) / "data"), link_socket="", admin_socket="", accounts=["alice"],
            instruments=[InstrumentSettings(symbol="AAPL", tick_size="0.01", lot_size="1", currency="USD")],
            authentication="none", max_live_orders=4096, client_ids_max=4096, segment_bytes=1 << 16,
        )  # fmt: skip

        async def order(partition: Partition) -> None:
            await submit(partition, new(f"a{partition.engine.sequence}"))

        path, older = Path(settings.data_dir) / "journal" / JOURNAL, []
        for _ in range(OLDER_COPIES):
            with_partition(settings, order)
            older.append(path.read_bytes())
        with_partition(settings, order)
        for number, data in enumerate(older, start=1):
            row.cases += 1
            path.write_bytes(data)
            try:
                with_partition(settings, order)
                row.verdicts["started"] += 1
                row.wrong.append(f"the copy after {number} starts was taken")
            except StartRefused as refused:
                row.verdicts["damaged"] += 1
                if refused.exit_code != EXIT_DAMAGED or "event log" not in str(refused) or path.read_bytes() != data:
                    row.wrong.append(f"the copy after {number} starts: {refused}")
    return row


# ---- a disk that fails under a real engine


def failing(what: str, fault: str) -> Row:
    """The engine must end with 1, having said which file; the next start has all that was acknowledged."""
    row = Row(f"{what} on the nth of the journal, n = {', '.join(map(str, WRITES))}")
    for at in WRITES:
        row.cases += 1
        with tempfile.TemporaryDirectory(prefix="damage-") as home:
            engine = Engine(Path(home), 40)
            try:
                engine.start(fault.format(at), only=".journal")
                lost = not engine.work(2000)
                code = engine.process.wait(20)
                row.verdicts[f"exit {code}"] += 1
                if not lost or code != EXIT_FAILED or "data/" not in engine.critical()[-1]:
                    row.wrong.append(f"n = {at}: exit {code}: {engine.critical()[-1:]}")
                engine.check()
            except (AssertionError, TimeoutError) as error:
                row.wrong.append(f"n = {at}: {error}")
            finally:
                engine.end(signal.SIGKILL)
    return row


def phantom() -> Row:
    """Nothing acknowledged may be missing without the start saying so; a watermark that was not written loses nothing."""
    row = Row(f"a write that never happens, n = {', '.join(map(str, WRITES))}")
    for at in WRITES:
        row.cases += 1
        with tempfile.TemporaryDirectory(prefix="damage-") as home:
            engine = Engine(Path(home), 1000)
            try:
                engine.start()
                assert engine.work(1, clients=1)
                assert engine.end() == 0
                engine.start(f"write:{at}:phantom", only=JOURNAL)
                assert engine.work(20, clients=1)
                engine.end(signal.SIGKILL)
                assert engine.fired.exists(), "the fault never came"
                engine.start()
                started = asyncio.run(asyncio.wait_for(_listens(engine), 60))
                code = engine.end()
                row.verdicts["whole" if started else f"damaged, exit {code}"] += 1
                if started:
                    engine.check()
                elif code != EXIT_DAMAGED or "was synced" not in engine.critical()[-1]:
                    row.wrong.append(f"n = {at}: exit {code}: {engine.critical()[-1:]}")
            except (AssertionError, TimeoutError) as error:
                row.wrong.append(f"n = {at}: {error}")
            finally:
                engine.end(signal.SIGKILL)
    return row


async def _listens(engine: Engine) -> bool:
    while engine.process.poll() is None:
        try:
            _, writer = await asyncio.open_unix_connection(str(engine.folder / "link"))
        except OSError:
            await asyncio.sleep(0.02)
            continue
        writer.close()
        return True
    return False


# ---- all of it


def everything() -> Iterator[Row]:
    yield from of_bytes(CODECS)
    yield judged("every bit of 64 KiB flipped, the last 5 records not marked yet", flips(), CODECS)
    for found in foreign.judged():
        yield Row(f"foreign: {found.what}", 1, Counter([found.verdict]), wrong=[found.wrong] if found.wrong else [])
    yield copies()
    yield failing("ENOSPC", "write:{}:errno:28")
    yield failing("EIO of a sync", "fdatasync:{}:errno:5")
    yield failing("a short write", "write:{}:short:1")
    yield phantom()


def report_of(rows: list[Row], seconds: float, conditions: Conditions) -> str:
    wrong = [f"{row.what}: {text}" for row in rows for text in row.wrong]
    lines = [
        "# Damage to the journal", "",
        f"{sum(row.cases for row in rows)} cases, {seconds:.0f} s: **{len(wrong)} wrong verdicts**,"
        f" {sum(row.window for row in rows)} torn tails inside the watermark's window.", "", conditions.line(), "",
        "An older copy of the whole data folder is not among them: nothing on the same disk can tell it from the newest.", "",
        "Foreign files: `refused` is exit 10 with a sentence that names what does not belong, and the journal as it was; `same` is a start"
        " that came to the state, the events and the chains of orders that its own journal has.", "",
        *[f"- {text}" for text in wrong[:20]], *([""] if wrong else []),
        "| what happened | cases | verdicts | torn in the window | wrong |", "|---|---|---|---|---|",
        *[
            f"| {row.what} | {row.cases} | {', '.join(f'{n} {name}' for name, n in sorted(row.verdicts.items()))} |"
            f" {row.window} | {len(row.wrong)} |"
            for row in rows
        ], "",
    ]  # fmt: skip
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--report", type=Path)
    options = parser.parse_args()
    if why := shim.missing():
        print(f"cannot run: {why}", file=sys.stderr)
        return 13
    began, conditions = time.monotonic(), Conditions()
    rows = list(everything())
    text = report_of(rows, time.monotonic() - began, conditions)
    if options.report:
        options.report.write_text(text)
    print(text)
    return 10 if any(row.wrong for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
