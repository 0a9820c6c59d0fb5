"""What stands after the storm: the journal replayed, the rows of PostgreSQL, the book as the door shows it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg

import engine
from engine.journal import CHAIN_START
from engine.records import Event, EventKind, unpack_events
from stack.matcher.journal_read import Spare, read_journal, replay
from tests.faults.history import Truth
from tests.faults.stack import ROOT, Stack

CATCH_UP_S_MAX = 90.0
COLUMNS = (
    "sequence, event_index, order_sequence, time_ns, price, quantity, leaves, trade, account, symbol, kind, side, type,"
    " tif, flags, reason"
)


@dataclass
class Evidence:
    truth: Truth
    rows: int = 0
    problems: list[str] = field(default_factory=list)
    incomplete: list[str] = field(default_factory=list)


def gather(stack: Stack, partition: int = 0) -> Evidence:
    data = stack.folder / "data" / f"partition-{partition}"
    matcher = engine.create("auto", max_live_orders=1 << 20, client_ids_max=1 << 22)
    events: list[Event] = []
    events_hash = CHAIN_START
    for segment in read_journal(data / "journal", partition):
        if isinstance(segment, Spare):
            continue
        for group in replay(matcher, segment, events_hash):
            events_hash = group.events_hash
            events += unpack_events(group.events)
    evidence = Evidence(Truth.of(partition, events))
    verified = _verify(data)
    if verified:
        evidence.problems.append(verified)
    _compare_rows(stack, partition, events, evidence)
    _compare_books(stack, matcher, evidence)
    return evidence


def _verify(data: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "stack.matcher.verify", "--data", str(data), "--json"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return "" if done.returncode == 0 else f"verify: exit {done.returncode}: {done.stdout[-500:]}{done.stderr[-500:]}"


def connect(stack: Stack) -> psycopg.Connection[Any]:
    gateway = json.loads((stack.folder / "config" / "gateway-1.json").read_text())["postgres"]
    password = (stack.folder / "secrets" / "postgres_password").read_text().strip()
    return psycopg.connect(
        host=gateway["host"], port=gateway["port"], dbname=gateway["database"], user=gateway["user"], password=password,
        connect_timeout=5,
    )  # fmt: skip


def _compare_rows(stack: Stack, partition: int, events: list[Event], evidence: Evidence) -> None:
    last = events[-1].sequence
    deadline = time.monotonic() + CATCH_UP_S_MAX
    with connect(stack) as connection:
        while True:
            row = connection.execute("SELECT sequence FROM checkpoint WHERE partition = %s", [partition]).fetchone()
            if row and row[0] >= last:
                break
            if time.monotonic() > deadline:
                evidence.incomplete.append(f"PostgreSQL stands at {row and row[0]} of {last} after {CATCH_UP_S_MAX} s")
                return
            connection.rollback()
            time.sleep(0.2)
        query = f"SELECT {COLUMNS} FROM events WHERE partition = %s ORDER BY sequence, event_index"
        with connection.cursor("rows") as cursor:
            cursor.itersize = 20_000
            expected = iter(events)
            for row in cursor.execute(query, [partition]):
                evidence.rows += 1
                event = next(expected, None)
                if event is None or row != _row_of(event):
                    evidence.problems.append(f"PostgreSQL row {row} where the journal has {event}")
                    return
        if evidence.rows != len(events):
            evidence.problems.append(f"{evidence.rows} rows for {len(events)} events")


def _row_of(e: Event) -> tuple[int, ...]:
    return (
        e.sequence, e.index, e.order, e.time_ns, e.price, e.quantity, e.leaves, e.trade, e.account, e.symbol, e.kind,
        e.side, e.type, e.tif, e.flags, e.reason,
    )  # fmt: skip


def _compare_books(stack: Stack, matcher: Any, evidence: Evidence) -> None:
    definitions = [e for e in evidence.truth.events if e.kind == EventKind.INSTRUMENT_DEFINED]
    for definition in {d.symbol: d for d in definitions}.values():
        tick = Decimal(definition.price).scaleb(-definition.side)
        lot = Decimal(definition.quantity).scaleb(-definition.type)
        name = definition.text.decode()
        with urllib.request.urlopen(f"http://127.0.0.1:{stack.http}/book/{name}?depth=1000", timeout=10) as reply:
            shown = json.load(reply)
        book = matcher.book(definition.symbol, 1000)
        for side, levels in (("bids", book.bids), ("asks", book.asks)):
            expected = [(level.price * tick, level.quantity * lot) for level in levels]
            seen = [(Decimal(level["price"]), Decimal(level["quantity"])) for level in shown[side]]
            if expected != seen:
                evidence.problems.append(f"book {name} {side}: shown {seen[:3]}, replayed {expected[:3]}")
