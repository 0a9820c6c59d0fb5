"""hftctl order: place, cancel or show one order at the public door."""

from __future__ import annotations

from typing import Annotated

import typer

from hftctl.cli.confirm import confirm_or_refuse
from hftctl.cli.options import Deployment, DryRun, Format, Output, Yes
from hftctl.cli.order_place import Account, ClientId, place
from hftctl.cli.order_view import first_account, safe_id
from hftctl.cli.order_view import show as show_order
from hftctl.errors import NotFound, UsageError

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="One order: place, cancel, show.")
app.command()(place)


@app.command()
def cancel(
    order_id: Annotated[str, typer.Argument(metavar="ORDER_ID", help="0-42")],
    name: Deployment = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    format_: Output = Format.TEXT,
) -> None:
    """Cancel one order; doing it twice is fine.

    \b
    Examples:
      hftctl order cancel 0-42 --yes
      hftctl order cancel 0-42 -p local --yes -o json
    """
    from hftctl.cli.trading import trader

    who = trader(name)
    if dry_run:
        return show_order({"order": who.ask("GET", f"/orders/{safe_id(order_id)}")}, format_)
    confirm_or_refuse(f"cancel {order_id}", yes=yes)
    show_order({"order": who.ask("DELETE", f"/orders/{safe_id(order_id)}")}, format_)


@app.command()
def show(
    order_id: Annotated[str | None, typer.Argument(metavar="ORDER_ID", help="0-42")] = None,
    client_order_id: ClientId = None,
    account: Account = None,
    name: Deployment = None,
    format_: Output = Format.TEXT,
) -> None:
    """Show one order, by its id or by the client's.

    \b
    Examples:
      hftctl order show 0-42
      hftctl order show --client-order-id first-1 --account demo
    """
    from hftctl.cli.trading import trader

    if (order_id is None) == (client_order_id is None):
        raise UsageError("name one order: ORDER_ID or --client-order-id ID", hint="hftctl order show 0-42")
    who = trader(name)
    if order_id is not None:
        return show_order({"order": who.ask("GET", f"/orders/{safe_id(order_id)}")}, format_)
    params = {"client_order_id": str(client_order_id), "account": account or first_account(who.target.revisions())}
    found = who.ask("GET", "/orders", params=params)["orders"]
    if not found:
        raise NotFound(f"no order has client_order_id {client_order_id} of account {params['account']}")
    return show_order({"order": found[-1]}, format_)
