"""hftctl book --verify: the journal is replayed by a process of its own, and what it gives compared with the running book."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hftctl.cli import output
from hftctl.cli.options import Format
from hftctl.cli.trading import Trader, trader
from hftctl.errors import DamageFound, HftctlError, NotFound
from hftctl.operations.verify import DEPTH, differences, owner
from hftctl.operations.verify import replayed as replay

ROUNDS = 3  # a book that trades moves on while its journal is read


def verify_book(symbol: str, name: str | None, format_: Format) -> None:
    who = trader(name)
    revisions = who.target.revisions()
    if not revisions:
        raise NotFound(f"'{who.target.deployment}' was never deployed whole", hint="hftctl status")
    partition = owner(symbol, revisions[-1].release.profile)
    for _ in range(ROUNDS):
        running, why_not = _running(who, symbol)
        report = replay(who.target.deployment, partition, symbol)
        replayed = report.pop("book", None) or {"sequence": report["records"]}
        compared = running is not None and "bids" in replayed and running["sequence"] == replayed["sequence"]
        if running is None or compared or report["problems"]:
            break
        why_not = f"it moved on from sequence {replayed['sequence']} to {running['sequence']} while it was read"
    problems = list(report["problems"])
    if compared:
        problems += differences(running or {}, replayed)
    body = {
        "symbol": symbol,
        "partition": partition,
        "verdict": "damaged" if problems else "whole",
        "problems": problems,
        "compared": compared,
        "why_not_compared": "" if compared else why_not or "the journal is damaged before it",
        "sequence": replayed["sequence"],
        "journal": report,
    }
    if format_ is Format.JSON:
        output.document("BookVerification", body)
    else:
        _text(body)
    error = (
        DamageFound(f"{symbol}: {'; '.join(problems)}", hint="keep the files as they are; hftctl halt")
        if problems
        else None
    )
    output.ended(error, as_json=format_ is Format.JSON)


def _running(who: Trader, symbol: str) -> tuple[dict[str, Any] | None, str]:
    try:
        return who.ask("GET", f"/book/{symbol}", params={"depth": str(DEPTH)}), ""
    except HftctlError as error:
        return None, error.message


def _text(body: Mapping[str, Any]) -> None:
    journal = body["journal"]
    output.put(f"{body['symbol']}, partition {body['partition']}: {body['verdict']} at sequence {body['sequence']}")
    output.put(f"  journal: {journal['records']} records in {journal['segments']} segments, {journal['events']} events")
    book = "the same as the journal's" if body["compared"] and not body["problems"] else body["why_not_compared"]
    output.put(f"  running book: {book or 'not the same'}")
