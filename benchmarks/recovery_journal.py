"""A data folder as a killed engine leaves it: so many commands journalled, so many orders resting; the same for one seed.

The stream: first new orders until enough rest; then two of five commands new orders that rest, two of five cancels of any
of them, and pairs in which an order rests between the best prices and the next one takes it. Every new order has a
client_order_id, and the ids are rolled where a partition would have rolled them. A cancel may hit any order that rests, so
that old ones leave too. New orders and cancels are drawn, so the number that rests wanders above what was asked for; what is
too many is cancelled by the stream's end, which leaves exactly as many.

It is written past the matcher, without syncs, because only what stands in the files counts here.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path

import engine
from engine.journal import CHAIN_START, HEADER_BYTES, Encoder, SegmentHeader, Watermark, hash_events
from engine.records import COMMAND, COMMAND_BYTES, RECORD_BYTES, Command, CommandKind, Instrument
from stack.matcher.event_log import EventLog
from stack.matcher.journal_files import segment_path
from stack.matcher.limits_file import Limits, hold_limits
from stack.settings import EngineSettings

SYMBOLS = 8
GROUP = 500  # commands of one group commit
STEP_NS = 2_500  # between two commands: 400,000 a second
BASE_TICKS = 10_000
SPREAD_TICKS = 100
DEPTH_TICKS = 2_000
MIDDLE_TICKS = BASE_TICKS + DEPTH_TICKS + SPREAD_TICKS
START_NS = 1_700_000_000_000_000_000
_NEW, _CANCEL, _ROLL = int(CommandKind.NEW), int(CommandKind.CANCEL), int(CommandKind.ROLL_CLIENT_IDS)


def definitions() -> list[bytes]:
    symbols = [
        Instrument(number + 1, b"S%d" % number, 1, 2, 1, 0, b"USD", base_ticks=BASE_TICKS).pack()
        for number in range(SYMBOLS)
    ]
    return [*symbols, Command(CommandKind.DEFINE_ACCOUNT, account=1, text=b"bench").pack()]


def commands(count: int, resting: int, client_ids_max: int, seed: int) -> Iterator[bytearray]:
    """Blocks of GROUP commands, the last one shorter."""
    draw = random.Random(seed).random
    pack, middle = COMMAND.pack_into, MIDDLE_TICKS
    live: list[int] = []
    block, used = bytearray(GROUP * COMMAND_BYTES), 0
    sequence = ids = taken = 0
    first = definitions()
    while sequence < count:
        if used == GROUP * COMMAND_BYTES:
            yield block
            block, used = bytearray(GROUP * COMMAND_BYTES), 0
        sequence += 1
        if sequence <= len(first):
            block[used : used + COMMAND_BYTES] = first[sequence - 1]
        elif ids >= client_ids_max:
            ids = 0
            pack(block, used, _ROLL, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, b"", 0)
        else:
            chance = draw()
            symbol = 1 + (sequence & SYMBOLS - 1)
            too_many = len(live) - resting
            if too_many >= 0 and count - sequence < 2 * too_many + 4:  # the end is near
                chance = 0.4 + 0.4 * chance if too_many else 0.8 + 0.2 * chance
            if taken:
                symbol, taken, side, price, tif = taken, 0, 2, middle, 2
            elif len(live) < resting or chance < 0.4:
                side = 1 + (sequence >> 4 & 1)
                away = SPREAD_TICKS + int(chance * 7919 * DEPTH_TICKS) % DEPTH_TICKS
                price, tif = (middle - away if side == 1 else middle + away), 1
                live.append(sequence)
            elif chance < 0.8:
                place = int((chance - 0.4) * 2.5 * len(live))
                target, live[place] = live[place], live[-1]
                live.pop()
                pack(block, used, _CANCEL, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, target, 0, b"", 0)
                used += COMMAND_BYTES
                continue
            elif sequence == count:
                side, price, tif = 2, middle, 2  # nobody is left to take what would rest
            else:
                taken, side, price, tif = symbol, 1, middle, 1
            ids += 1
            text = b"load-%015d" % sequence
            pack(block, used, _NEW, side, 1, tif, 0, 20, 0, 1, symbol, price, 7, 0, 0, text, 0)
        used += COMMAND_BYTES
    yield block[:used]


def build(settings: EngineSettings, count: int, resting: int, seed: int) -> dict[str, int]:
    """Fills the settings' data folder. Returns what a recovery must come to."""
    folder = Path(settings.data_dir)
    (folder / "journal").mkdir(parents=True)
    hold_limits(folder, Limits(settings.max_live_orders))
    log = EventLog(folder / "events")
    book = engine.create(
        max_live_orders=settings.max_live_orders, client_ids_max=settings.client_ids_max, faulted_in=False
    )
    encoder, events_hash, time_ns = Encoder(0, 0, CHAIN_START), CHAIN_START, START_NS
    room = 0
    file = None
    for block in commands(count, resting, settings.client_ids_max, seed):
        at = 0
        while at < len(block):
            if room == 0:
                if file is not None:
                    file.close()
                encoder.roll(encoder.epoch + 1)
                header = SegmentHeader(
                    settings.partition, encoder.epoch, encoder.sequence + 1, encoder.chain, events_hash, book.events,
                    time_ns,
                )  # fmt: skip
                path = segment_path(folder / "journal", encoder.epoch)
                file = path.open("wb")
                file.truncate(settings.segment_bytes)
                file.write(header.encode())
                room = (settings.segment_bytes - HEADER_BYTES) // RECORD_BYTES
            piece = block[at : at + room * COMMAND_BYTES]
            at += len(piece)
            room -= len(piece) // COMMAND_BYTES
            time_ns += STEP_NS * len(piece) // COMMAND_BYTES
            encoder.extend(piece, time_ns, events_hash)
            records = encoder.take()
            events = book.apply(records)
            log.append(events)
            events_hash = hash_events(events_hash, events)
            encoder.synced = encoder.sequence
            assert file is not None
            file.write(records)
            if room == 0 or at == len(block):
                mark = Watermark(1, encoder.sequence, encoder.chain)
                end = file.tell()
                file.seek(mark.offset)
                file.write(mark.encode(encoder.epoch))
                file.seek(end)
    if file is not None:
        file.close()
    log.close()
    return {"sequence": book.sequence, "events": book.events, "live_orders": book.live, "state_hash": book.state_hash()}


def timed(settings: EngineSettings, count: int, resting: int, seed: int) -> tuple[dict[str, int], float]:
    started_s = time.monotonic()
    return build(settings, count, resting, seed), time.monotonic() - started_s
