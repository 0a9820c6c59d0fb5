"""hftctl order place: one new order at the public door."""

from __future__ import annotations

import secrets
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any

import typer

from hftctl.cli.confirm import confirm_or_refuse
from hftctl.cli.options import Deployment, DryRun, Format, Output, Yes, duration_s
from hftctl.cli.order_view import first_account
from hftctl.cli.order_view import show as show_order
from hftctl.errors import UsageError

Account = Annotated[str | None, typer.Option("--account", metavar="NAME", help="Whose; default: the profile's first.")]
ClientId = Annotated[str | None, typer.Option("--client-order-id", metavar="ID", help="Repeats are recognised by it.")]


def moment_ns(when: str) -> int:
    """A duration from now on, or a time with its offset from UTC, in nanoseconds since 1970."""
    with suppress(typer.BadParameter):
        return time.time_ns() + round(duration_s(when) * 1e9)
    with suppress(ValueError):
        moment = datetime.fromisoformat(when)
        if moment.tzinfo is not None:
            return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 1000
    raise UsageError(
        f"--expires '{when}' is neither a duration nor a time with its offset",
        hint="--expires 8h, --expires 2030-01-31T16:00:00Z",
    )


class SelfTrade(StrEnum):
    newest = "newest"
    oldest = "oldest"
    both = "both"


def place(
    symbol: Annotated[str, typer.Argument(metavar="SYMBOL", help="AAPL")],
    side: Annotated[str, typer.Argument(metavar="SIDE", help="buy or sell")],
    quantity: Annotated[str, typer.Argument(metavar="QUANTITY", help="A decimal, multiple of the lot.")],
    price: Annotated[str | None, typer.Argument(metavar="PRICE", help="A decimal; without it a market order.")] = None,
    account: Account = None,
    client_order_id: ClientId = None,
    time_in_force: Annotated[
        str | None, typer.Option("--tif", metavar="TIF", help="GTC, IOC, FOK, DAY or GTT; default GTC, market IOC.")
    ] = None,
    expires: Annotated[
        str | None, typer.Option("--expires", metavar="WHEN", help="Of GTT: 90s, 8h from now, or 2030-01-31T16:00:00Z.")
    ] = None,
    post_only: Annotated[bool, typer.Option("--post-only", help="Refuse it if it would trade at once.")] = False,
    self_trade: Annotated[
        SelfTrade | None,
        typer.Option("--self-trade", help="What goes where it would meet an order of its own account."),
    ] = None,
    name: Deployment = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    format_: Output = Format.TEXT,
) -> None:
    """Place one order. Refused is exit code 7, outcome unknown 8.

    \b
    Examples:
      hftctl order place AAPL buy 10 189.50 --account demo --yes
      hftctl order place AAPL buy 10 189.50 --tif GTT --expires 8h --yes
      hftctl order place BTCUSD sell 0.5 --tif IOC --self-trade oldest --yes
    """
    from hftctl.cli.trading import trader

    who = trader(name)
    order: dict[str, Any] = {
        "client_order_id": client_order_id or f"cli-{secrets.token_hex(8)}",
        "account": account or first_account(who.target.revisions()),
        "symbol": symbol,
        "side": side.lower(),
        "type": "market" if price is None else "limit",
        "quantity": quantity,
        "time_in_force": (time_in_force or ("IOC" if price is None else "GTC")).upper(),
        "post_only": post_only,
    }
    if price is not None:
        order["price"] = price
    if expires is not None:
        order["time_in_force"], order["expires_ns"] = (time_in_force or "GTT").upper(), moment_ns(expires)
    if self_trade is not None:
        order["self_trade"] = f"cancel_{self_trade.value}"
    if dry_run:
        return show_order({"order": order, "placed": False}, format_)
    confirm_or_refuse(f"{side} {quantity} {symbol} {'at ' + price if price else 'at market'}", yes=yes)
    show_order({"order": who.ask("POST", "/orders", body=order), "placed": True}, format_)
