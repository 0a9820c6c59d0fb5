"""Captured market activity through the running stack: python -m stack.traffic.replay FILE --url http://127.0.0.1:8080

Every command goes in through the public door, in order, the next one after the answer to the one before; new orders that
follow each other go as one batch. The reference engine gets the same commands and says what each answer must be: taken or
refused, and the Order with its fills. Nothing else may trade the symbol meanwhile, and its book must be empty at first.

Exit codes: 0 all as the reference says; 10 something differs; 7 refused before the first order; 2 wrong usage; 13 the stack
does not answer. At the end the account's orders in the symbol are cancelled.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

from stack.traffic.replay_door import Door, Unanswered, passing
from stack.traffic.replay_files import Action, Capture, Kind, UnknownFile
from stack.traffic.replay_reference import ReferenceBook, Refused, difference

BATCH = 500
MISMATCHES_SHOWN = 20
KEY_VARIABLE = "HFTCTL_API_KEY"


class Refusal(Exception):
    """We do not begin."""


class Replay:
    def __init__(self, door: Door, reference: ReferenceBook, symbol: str, account: str, prefix: str) -> None:
        self._door, self._reference = door, reference
        self._symbol, self._account, self._prefix = symbol, account, prefix
        self._numbers = itertools.count(1)
        self._batch: list[tuple[dict[str, Any], int]] = []  # bodies, and the venue's number of each order
        self._orders: dict[int, tuple[str, int]] = {}  # by the venue's number: order_id, number in the reference
        self._captured: dict[str, list[tuple[str, str]]] = defaultdict(list)  # fills at the venue, by client_order_id
        self.counts: Counter[str] = Counter()
        self.mismatches: list[str] = []

    def run(self, actions: Iterator[Action]) -> None:
        for action in actions:
            if action.kind is Kind.PLACE:
                self._place(action)
                continue
            if action.kind is Kind.FILL:
                self.counts["captured fills"] += 1
                if self._batch:
                    self._captured[self._batch[-1][0]["client_order_id"]].append((action.price, action.quantity))
                continue
            self.flush()
            known = self._orders.get(action.order)
            if known is None:
                self.counts["names an order that is not ours"] += 1
            elif action.kind is Kind.CANCEL:
                self._cancel(*known)
            else:
                self._replace(*known, action)
        self.flush()

    def _id(self) -> str:
        return f"{self._prefix}-{next(self._numbers)}"

    def _place(self, action: Action) -> None:
        body = {
            "client_order_id": self._id(),
            "account": self._account,
            "symbol": self._symbol,
            "side": action.side,
            "type": "limit",
            "price": action.price,
            "quantity": action.quantity,
            "time_in_force": action.time_in_force,
        }
        if len(self._batch) == BATCH:  # not earlier: the fills captured for the last order come after it
            self.flush()
        self._batch.append((body, action.order))

    def flush(self) -> None:
        batch, self._batch = self._batch, []
        if not batch:
            return
        status, answers = self._door.ask("POST", "/orders/batch", [body for body, _ in batch])
        if status != 200 or len(answers) != len(batch):
            raise Unanswered(f"POST /orders/batch: {status} {answers}")
        for (body, order), answer in zip(batch, answers, strict=True):
            self._placed(body, order, answer["status"], answer.get("order"), answer.get("error"))

    def _placed(self, body: dict[str, Any], order: int, status: int, answer: Any, error: Any) -> None:
        if passing(status, error):  # the order alone, again: its id keeps it single
            status, answer = self._door.ask("POST", "/orders", body)
        self.counts[f"place {body['time_in_force']}"] += 1
        here = 0
        try:
            names = ("client_order_id", "side", "time_in_force", "price", "quantity")
            here = self._reference.place(*(body[name] for name in names))
        except Refused as refused:
            self._compare(f"order {body['client_order_id']}", status, answer, None, str(refused))
        else:
            self._filled(body["client_order_id"])
            self._compare(f"order {body['client_order_id']}", status, answer, self._reference.order(here), "")
        if status in (200, 201):
            self._orders[order] = (answer["order_id"], here)

    def _filled(self, client_order_id: str) -> None:
        """Which captured fills came out here too. All would, if a venue had no auctions, hidden or implied orders."""
        ours = Counter((Decimal(price), Decimal(quantity)) for price, quantity in self._reference.fills_text())
        theirs = Counter((Decimal(p), Decimal(q)) for p, q in self._captured.pop(client_order_id, ()))
        self.counts["fills"] += ours.total()
        self.counts["captured fills that came out the same"] += (ours & theirs).total()

    def _cancel(self, order_id: str, here: int) -> None:
        self.counts["cancel"] += 1
        expected, why = None, ""
        try:
            self._reference.cancel(here)
        except Refused as refused:
            why = str(refused)
        order = self._reference.order(here)
        if not why or order["status"] == "cancelled":  # cancelling again is answered like the first time
            expected = order
        status, answer = self._door.ask("DELETE", f"/orders/{order_id}")
        self._compare(f"cancel of {order_id}", status, answer, expected, why)

    def _replace(self, order_id: str, here: int, action: Action) -> None:
        self.counts["replace"] += 1
        body = {"request_id": self._id(), "price": action.price}
        body["quantity"] = self._reference.total_for(here, action.quantity)
        expected, why = None, ""
        try:
            self._reference.replace(here, body["request_id"], body["price"], body["quantity"])
            expected = self._reference.order(here)
        except Refused as refused:
            why = str(refused)
        else:
            self.counts["fills"] += len(self._reference.fills)
        status, answer = self._door.ask("PATCH", f"/orders/{order_id}", body)
        self._compare(f"replace of {order_id}", status, answer, expected, why)

    def _compare(self, what: str, status: int, answer: Any, expected: dict[str, Any] | None, why: str) -> None:
        taken = status in (200, 201)
        if taken and expected is not None:
            wrong = difference(answer, expected)
        elif taken:
            wrong = f"taken with {status}, the reference refuses it: {why}"
        elif expected is not None:
            wrong = f"refused with {status} {answer}, the reference takes it"
        else:
            wrong = ""
            self.counts["refused by both"] += 1
        if wrong:
            self.mismatches.append(f"{what}: {wrong}")


def prepare(door: Door, symbol: str, account: str) -> ReferenceBook:
    """Raises Refusal and Unanswered."""
    status, document = door.ask("GET", "/instruments")
    if status != 200:
        raise Refusal(f"GET /instruments: {status} {document}")
    found = next((item for item in document["instruments"] if item["symbol"] == symbol), None)
    if found is None:
        raise Refusal(f"{symbol} is no instrument of this stack; add it to the profile's `instruments`")
    status, book = door.ask("GET", f"/book/{symbol}?depth=1")
    if status != 200:
        raise Refusal(f"GET /book/{symbol}: {status} {book}")
    if book["bids"] or book["asks"]:
        raise Refusal(
            f"the book of {symbol} is not empty, so the reference cannot tell what must happen; cancel its orders"
        )
    return ReferenceBook(symbol, found["tick_size"], found["lot_size"], account)


def replay(options: argparse.Namespace) -> dict[str, Any]:
    """The report; raises Refusal, UnknownFile, Unanswered, OSError, ValueError."""
    capture = Capture(options.file)
    symbol = options.symbol or next(iter(capture.symbols()), "")
    if not symbol:
        raise Refusal(f"{options.file} names no symbol; give --symbol")
    api_key = os.environ.get(KEY_VARIABLE, "")
    if options.api_key_file:
        api_key = Path(options.api_key_file).read_text().strip()
    began = time.monotonic()
    with Door(options.url, api_key) as door:
        reference = prepare(door, symbol, options.account)
        run = Replay(door, reference, symbol, options.account, options.prefix)
        actions = capture.actions(symbol)
        try:
            run.run(itertools.islice(actions, options.limit))
        finally:
            _, cancelled = door.ask("DELETE", f"/orders?account={options.account}&symbol={symbol}")
        seconds = time.monotonic() - began
        live = reference.live
        if cancelled.get("cancelled") != live:
            run.mismatches.append(f"mass cancel at the end: {cancelled}, expected {live} cancelled")
        return {
            "file": str(options.file),
            "format": capture.format,
            "symbol": symbol,
            "account": options.account,
            "prefix": options.prefix,
            "counts": dict(sorted(run.counts.items())),
            "left_out": dict(sorted(capture.left_out.items())),
            "requests": door.requests,
            "sent_again": door.sent_again,
            "cancelled_at_end": live,
            "mismatches": len(run.mismatches),
            "mismatches_shown": run.mismatches[:MISMATCHES_SHOWN],
            "seconds": round(seconds, 3),
        }


def main(arguments: list[str] | None = None) -> int:
    options = _parse(arguments)
    try:
        report = replay(options)
    except (Refusal, UnknownFile) as error:
        return _fail(7, str(error))
    except ValueError as error:
        return _fail(2, str(error))
    except (Unanswered, OSError) as error:
        return _fail(13, f"cannot replay {options.file}: {error}")
    if options.json:
        print(json.dumps(report))
    else:
        counts = ", ".join(f"{count} {name}" for name, count in report["counts"].items())
        print(f"{report['symbol']} from {report['file']} in {report['seconds']} s: {counts}")
        for name, count in report["left_out"].items():
            print(f"left out: {count} {name}")
        for mismatch in report["mismatches_shown"]:
            print(f"DIFFERS: {mismatch}")
        print(f"{report['mismatches']} answers differ from the reference's")
    return 10 if report["mismatches"] else 0


def _fail(code: int, message: str) -> int:
    print(f"replay: {message}", file=sys.stderr)
    return code


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m stack.traffic.replay", description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--url", required=True)
    parser.add_argument("--symbol", help="default: the one the file names")
    parser.add_argument("--account", default="replay")
    parser.add_argument("--api-key-file", help=f"default: the key in {KEY_VARIABLE}, if there is one")
    parser.add_argument("--limit", type=int, help="only so many actions")
    parser.add_argument(
        "--prefix",
        default=f"r{time.time_ns() // 1_000_000_000:x}",
        help="of all client_order_ids; a new one each time, unless given",
    )
    parser.add_argument("--json", action="store_true", help="one JSON document on standard output")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    raise SystemExit(main())
