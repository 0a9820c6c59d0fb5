"""python -m stack.matcher.cut --data DIR: where a journal can be cut, for a backup, and cutting the copy of one, for a restore.

Without --apply it writes nothing and takes no lock, so that it may look at a partition that is running: `--until` is then a
command that the engine called durable, and nothing behind it is looked at. Without it the cut is where the valid records
end. `--until-ns` puts it before the first command that is later. Said are, as one JSON document, the cut (sequence, chain, time)
and of each segment up to it what a copy needs: its size, where its records end, and its header. That of the last one has the
watermark of the cut, so that a copy which ends there is a whole journal: everything up to the cut was synced, nothing else is known.

With --apply the journal itself is cut there: for copies only, whose partition no engine has locked.

Exit code 0: found, or done. 10: the journal is damaged, or has no such command. 2: there is none. 6: an engine works on it.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import sys
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

from engine.journal import HEADER_BYTES, JournalError, SegmentHeader, Watermark
from engine.records import RECORD_BYTES, RECORD_HEADER
from stack.matcher.journal_files import segment_numbers, segment_path, sync_directory
from stack.matcher.journal_links import chain_after, segment_header
from stack.matcher.journal_read import check_follows
from stack.matcher.limits_file import Limits, chain_begins, read_limits, whose_journal
from stack.matcher.refusal import EXIT_DAMAGED, EXIT_REFUSED, StartRefused
from stack.matcher.segment_read import Buffers, Damage, Spare, Stretch, read_segment
from stack.matcher.start import lock_data

TRIES = 3  # a running engine may begin a segment between two of our reads


class Segment(NamedTuple):
    number: int
    path: Path
    header: SegmentHeader


class Cut(NamedTuple):
    segments: list[Segment]  # up to the one that is cut
    sequence: int  # of the last command before it
    chain: int
    time_ns: int  # of that command, 0 without one
    end_offset: int  # in the last segment


def find(data_dir: Path, until: int | None, until_ns: int | None) -> Cut:
    """Raises Damage and OSError."""
    begun = _begun(data_dir)
    if until is not None:
        begun = [one for place, one in enumerate(begun) if place == 0 or one.header.first_sequence <= until]
    if until_ns is not None:
        begun = [one for place, one in enumerate(begun) if place == 0 or _first_time_ns(one) <= until_ns]
    last = begun[-1]
    sequence, chain, time_ns, end = last.header.first_sequence - 1, last.header.chain, 0, HEADER_BYTES
    with closing(
        read_segment(last.path, last.number, sequence, chain, HEADER_BYTES, Buffers())
    ) as stretches:  # fmt: skip
        for found in stretches:
            if isinstance(found, Spare):
                break
            records, chain, time_ns = _up_to(found, sequence, time_ns, until, until_ns)
            sequence += records
            end += records * RECORD_BYTES
            if sequence != found.sequence:
                break
    if until is not None and sequence != until:
        raise Damage(f"{data_dir / 'journal'}: it has no command {until}, its records end with {sequence}")
    if time_ns == 0 and len(begun) > 1:  # cut before the segment's first record
        time_ns = _last_time_ns(begun[-2], sequence)
    return Cut(begun, sequence, chain, time_ns, end)


def _begun(data_dir: Path) -> list[Segment]:
    """Segments with a header, each following the one before by its numbers. Raises Damage and OSError."""
    directory = data_dir / "journal"
    found: list[Segment] = []
    for place, number in enumerate(segment_numbers(directory), start=1):
        path = segment_path(directory, number)
        if number != place:
            raise Damage(f"{directory}: segment {place:08d} is missing, {path.name} is there")
        try:
            with path.open("rb") as file:
                header = SegmentHeader.decode(file.read(HEADER_BYTES))
        except JournalError:
            break  # a spare; where it is none, whoever reads everything says so
        if found:
            before = found[-1]
            chain = chain_after(before.path, before.header, header.first_sequence - 1)
            check_follows(path, header, before.header.partition, header.first_sequence - 1, chain, before.header.epoch)
        found.append(Segment(number, path, header))
    if not found:
        raise FileNotFoundError(f"{directory} holds no journal")
    return found


def _first_time_ns(segment: Segment) -> int:
    with segment.path.open("rb") as file:
        file.seek(HEADER_BYTES)
        record = file.read(RECORD_BYTES)
    return int(RECORD_HEADER.unpack_from(record)[7]) if any(record) else segment.header.created_ns


def _last_time_ns(segment: Segment, sequence: int) -> int:
    with segment.path.open("rb") as file:
        file.seek(HEADER_BYTES + (sequence - segment.header.first_sequence) * RECORD_BYTES)
        return int(RECORD_HEADER.unpack_from(file.read(RECORD_BYTES))[7])


def _up_to(found: Stretch, before: int, time_ns: int, until: int | None, until_ns: int | None) -> tuple[int, int, int]:
    """How many records of the stretch stand before the cut, the chain after them, and the time of the last one."""
    total = found.sequence - before
    records = total if until is None else min(total, until - before)
    if until_ns is not None:
        times = (RECORD_HEADER.unpack_from(found.records, place * RECORD_BYTES)[7] for place in range(records))
        records = next((place for place, at in enumerate(times) if at > until_ns), records)
    if records:
        time_ns = RECORD_HEADER.unpack_from(found.records, (records - 1) * RECORD_BYTES)[7]
    chain = found.chain
    if records < total:
        chain = RECORD_HEADER.unpack_from(found.records, records * RECORD_BYTES)[4]  # each record has the one before it
    return records, chain, time_ns


def last_header(cut: Cut) -> bytes:
    """Of the segment that is cut."""
    header = cut.segments[-1].header
    mark = Watermark(1, cut.sequence, cut.chain)
    data, slot = bytearray(header.encode()), mark.encode(header.epoch)
    data[mark.offset : mark.offset + len(slot)] = slot
    return bytes(data)


def apply(data_dir: Path, cut: Cut) -> None:
    """Raises OSError."""
    last = cut.segments[-1]
    with last.path.open("r+b") as file:
        size = os.fstat(file.fileno()).st_size
        file.write(last_header(cut))
        file.truncate(cut.end_offset)
        file.seek(cut.end_offset)
        file.write(bytes(size - cut.end_offset))
        file.flush()
        os.fsync(file.fileno())
    for number in segment_numbers(data_dir / "journal")[len(cut.segments) :]:
        segment_path(data_dir / "journal", number).unlink()
    sync_directory(data_dir / "journal")


def described(data_dir: Path, cut: Cut, known: int | None) -> dict[str, Any]:
    """`known`: a command of which the caller knows the chain, to see whether this journal has been there."""
    limits = read_limits(data_dir) or Limits(max_live_orders=0)
    segments = []
    for place, one in enumerate(cut.segments):
        last = place == len(cut.segments) - 1
        following = None if last else cut.segments[place + 1].header.first_sequence
        end = cut.end_offset
        if following is not None:
            end = HEADER_BYTES + (following - one.header.first_sequence) * RECORD_BYTES
        with one.path.open("rb") as file:
            header = last_header(cut) if last else file.read(HEADER_BYTES)
            size = os.fstat(file.fileno()).st_size
        text = base64.b64encode(header.rstrip(b"\0")).decode()
        segments.append({"number": one.number, "bytes": size, "end": end, "epoch": one.header.epoch, "header": text})
    there = [one for one in cut.segments if known is not None and one.header.first_sequence <= known <= cut.sequence]
    return {
        "partition": cut.segments[0].header.partition,
        "deployment": limits.deployment,
        "journal": chain_begins(data_dir),
        "sequence": cut.sequence,
        "chain": cut.chain,
        "time_ns": cut.time_ns,
        "segments": segments,
        "known_chain": chain_after(there[-1].path, segment_header(there[-1].path), known or 0) if there else None,
    }


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Raises Damage, StartRefused and OSError."""
    limits = read_limits(arguments.data)
    others = whose_journal(arguments.data, limits) if limits is not None else ""
    if others:
        raise Damage(others)
    if not arguments.apply:
        return described(arguments.data, _found(arguments), arguments.known)
    with lock_data(arguments.data):
        cut = _found(arguments)
        apply(arguments.data, cut)
        return described(arguments.data, cut, arguments.known)


def _found(arguments: argparse.Namespace) -> Cut:
    for left in reversed(range(TRIES)):
        try:
            return find(arguments.data, arguments.until, arguments.until_ns)
        except Damage:
            if not left:
                raise
    raise AssertionError("the last try returns or raises")


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m stack.matcher.cut", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", required=True, type=Path, metavar="DIR", help="a partition's data folder")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--until", type=int, metavar="SEQUENCE", help="the last command before the cut")
    where.add_argument(
        "--until-ns", type=int, metavar="NS", help="no command later than this, nanoseconds of the epoch"
    )
    parser.add_argument("--known", type=int, metavar="SEQUENCE", help="say the chain after this command too")
    parser.add_argument("--apply", action="store_true", help="cut this journal, a copy, there")
    arguments = parser.parse_args()
    try:
        print(json.dumps(run(arguments)))
    except (Damage, StartRefused) as error:
        print(f"cut: {error}", file=sys.stderr)
        return error.exit_code if isinstance(error, StartRefused) else EXIT_DAMAGED
    except OSError as error:
        print(f"cut: cannot read the journal in {arguments.data}: {error}", file=sys.stderr)
        return EXIT_REFUSED
    return 0


if __name__ == "__main__":
    sys.exit(main())
