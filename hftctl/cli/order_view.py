"""One order as a person reads it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hftctl.cli import output
from hftctl.cli.options import Format
from hftctl.errors import UsageError

if TYPE_CHECKING:
    from hftctl.release import Revision

SHOWN_APART = {"order_id", "status", "fills"}


def show(body: Mapping[str, Any], format_: Format) -> None:
    if format_ is Format.JSON:
        output.document("Order", body)
        return
    order = body["order"]
    heading = order.get("order_id", "would be placed")
    output.put(f"{output.paint(str(heading), '1')} {order.get('status', '')}".rstrip())
    output.facts({key: value for key, value in order.items() if key not in SHOWN_APART and value is not None}, "  ")
    for fill in order.get("fills", []):
        output.put(f"  fill {fill['trade_id']}: {fill['quantity']} at {fill['price']} as {fill['liquidity']}")


def safe_id(order_id: str) -> str:
    """It becomes part of a path."""
    if not re.fullmatch(r"[0-9]{1,5}-[0-9]{1,20}", order_id):
        raise UsageError(f"'{order_id}' is no order_id such as 0-42", hint="hftctl order show --client-order-id ID")
    return order_id


def first_account(revisions: Sequence[Revision]) -> str:
    if not revisions:
        raise UsageError("nothing says which accounts there are", hint="name one: --account NAME")
    return str(revisions[-1].release.profile["accounts"][0])
