"""hftctl book --verify: the journal is replayed by a process of its own, and what it gives compared with the running book."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

from hftctl import paths
from hftctl.cli import output
from hftctl.cli.options import Format
from hftctl.cli.trading import Trader, trader
from hftctl.errors import DamageFound, Failed, HftctlError, NotFound
from hftctl.run import Completed, run

TIMEOUT_S = 3600.0
DEPTH = 1000  # as far as the public door tells
VERDICTS = (0, DamageFound.exit_code)
ROUNDS = 3  # a book that trades moves on while its journal is read


def verify_book(symbol: str, name: str | None, format_: Format) -> None:
    who = trader(name)
    revisions = who.target.revisions()
    if not revisions:
        raise NotFound(f"'{who.target.deployment}' was never deployed whole", hint="hftctl status")
    partition = owner(symbol, revisions[-1].release.profile)
    for _ in range(ROUNDS):
        running, why_not = _running(who, symbol)
        report = _replayed(who.target.deployment, partition, symbol)
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


def owner(symbol: str, profile: Mapping[str, Any]) -> int:
    """Exact symbols win over ranges."""
    partitions = list(enumerate(profile["partitions"]))
    exact = [number for number, partition in partitions if symbol in partition["symbols"]]
    ranged = [number for number, p in partitions if any(r[0] <= symbol[0] <= r[-1] for r in p["ranges"])]
    if not exact and not ranged:
        raise NotFound(f"no partition owns {symbol}", hint="hftctl profile show")
    return int((exact or ranged)[0])


def _running(who: Trader, symbol: str) -> tuple[dict[str, Any] | None, str]:
    try:
        return who.ask("GET", f"/book/{symbol}", params={"depth": str(DEPTH)}), ""
    except HftctlError as error:
        return None, error.message


def _replayed(deployment: str, partition: int, symbol: str) -> dict[str, Any]:
    folder = paths.layout(deployment).partition(partition)
    argv = [sys.executable, "-m", "stack.matcher.verify", "--data", str(folder), "--json"]
    done = _run([*argv, "--book", symbol])
    if done.returncode not in VERDICTS:  # damage may stand before the symbol's definition: then there is no book of it
        whole = _run(argv)
        done = whole if whole.returncode == DamageFound.exit_code else done
    if done.returncode not in VERDICTS:
        said = done.stderr.strip().splitlines()[-1:] or ["it said nothing"]
        raise Failed(f"the journal of partition {partition} could not be verified: {said[0]}")
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def _run(argv: list[str]) -> Completed:
    return run(argv, timeout_s=TIMEOUT_S, check=False, cwd=paths.package_folder("stack").parent)


def differences(running: Mapping[str, Any], replayed: Mapping[str, Any]) -> list[str]:
    """The first level of each side that is not the same."""
    found: list[str] = []
    for side in ("bids", "asks"):
        levels = [(r, j) for r, j in zip_levels(running[side], replayed[side][:DEPTH]) if r != j]
        if levels:
            found.append(
                f"{side}: the running book has {_shown(levels[0][0])}, the journal gives {_shown(levels[0][1])}"
            )
    return found


def zip_levels(first: list[Any], second: list[Any]) -> list[tuple[Any, Any]]:
    longest = max(len(first), len(second))
    return list(zip(first + [None] * (longest - len(first)), second + [None] * (longest - len(second)), strict=True))


def _shown(level: Mapping[str, Any] | None) -> str:
    return "nothing" if level is None else f"{level['quantity']} at {level['price']} in {level['orders']} orders"


def _text(body: Mapping[str, Any]) -> None:
    journal = body["journal"]
    output.put(f"{body['symbol']}, partition {body['partition']}: {body['verdict']} at sequence {body['sequence']}")
    output.put(f"  journal: {journal['records']} records in {journal['segments']} segments, {journal['events']} events")
    book = "the same as the journal's" if body["compared"] and not body["problems"] else body["why_not_compared"]
    output.put(f"  running book: {book or 'not the same'}")
