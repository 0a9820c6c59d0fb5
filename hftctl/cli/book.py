"""hftctl book: the levels of one instrument, and their check against the journal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from hftctl.cli import output
from hftctl.cli.options import Deployment, Format, Output
from hftctl.errors import UsageError


def book(
    symbol: Annotated[str, typer.Argument(metavar="SYMBOL", help="AAPL")],
    depth: Annotated[int, typer.Option("--depth", min=1, max=1000, help="Levels of each side.")] = 10,
    verify: Annotated[
        bool, typer.Option("--verify", help="Replay the journal and compare; exit code 10 on damage.")
    ] = False,
    name: Deployment = None,
    format_: Output = Format.TEXT,
) -> None:
    """Show the best levels of an instrument, or check its book.

    \b
    Examples:
      hftctl book AAPL --depth 5
      hftctl book AAPL --verify -o json
    """
    from hftctl.cli.trading import trader

    if not symbol.replace(".", "A").isalnum():
        raise UsageError(f"'{symbol}' is no symbol such as AAPL")
    if verify:
        from hftctl.cli.verifying import verify_book

        verify_book(symbol, name, format_)
        return
    found = trader(name).ask("GET", f"/book/{symbol}", params={"depth": str(depth)})
    if format_ is Format.JSON:
        output.document("Book", found)
    else:
        _text(found)


def _text(found: Mapping[str, Any]) -> None:
    output.put(f"{found['symbol']} as of sequence {found['sequence']}")
    bids, asks = found["bids"], found["asks"]
    rows: list[list[object]] = []
    for index in range(max(len(bids), len(asks))):
        bid, ask = (side[index] if index < len(side) else None for side in (bids, asks))
        rows.append([*_level(bid), *reversed(_level(ask))])
    if rows:
        output.columns(["ORDERS", "BID QTY", "BID", "ASK", "ASK QTY", "ORDERS"], rows)
    else:
        output.put("no orders rest in it")


def _level(level: Mapping[str, Any] | None) -> list[object]:
    return ["", "", ""] if level is None else [level["orders"], level["quantity"], level["price"]]
