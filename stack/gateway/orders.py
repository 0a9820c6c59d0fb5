"""Orders: look up, list, cancel, replace."""

from __future__ import annotations

import re
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request

from engine.records import Command, CommandKind
from stack.gateway.errors import ApiError, shown
from stack.gateway.gateway import Gateway
from stack.gateway.listing import Cursor, list_orders
from stack.gateway.lookup import by_client_id, find_order
from stack.gateway.model import ReplaceRequest, account_number, replace_command
from stack.gateway.partition import Partition
from stack.gateway.replies import busy, cancelled, closed, full, own, refusal, replaced, unknown_order
from stack.gateway.routes import WITH_KEY, TheCaller, TheGateway, body_as, body_of, errors
from stack.gateway.schemas import MassCancel, Order, Orders
from stack.gateway.web import Json
from stack.keys import Caller
from stack.wire.frames import Outcome
from stack.wire.order import parse_order_id

router = APIRouter(dependencies=WITH_KEY, tags=["orders"])

NS_MAX = (1 << 63) - 1
ACCOUNT = re.compile(r"[A-Za-z0-9_.-]{1,32}")


def partition_of(gateway: Gateway, order_id: str) -> tuple[Partition, int]:
    parsed = parse_order_id(order_id)
    if parsed is None or parsed[0] not in gateway.partitions:
        raise unknown_order(shown(order_id))
    return gateway.partitions[parsed[0]], parsed[1]


def account_of(named: str | None, caller: Caller) -> str:
    """The account a list or mass cancel is about. Operators may name any."""
    account = caller.account if named is None else named
    if account is None:
        raise ApiError("missing_field", "say which account: ?account=NAME", "account")
    if not ACCOUNT.fullmatch(account):
        # PostgreSQL takes no NUL in a text: it would look as if history were away, and stay so for everybody for a moment.
        raise ApiError("bad_value", f"account: {shown(account)!r} is no name of an account", "account")
    if not caller.may_see(account):
        raise ApiError(
            "wrong_account", f"this API key is for account {caller.account}, not {shown(account)}", "account"
        )
    return account


@router.get("/orders/{order_id}", responses={200: {"model": Order}, **errors(401, 404, 503)})
async def show_order(order_id: str, gateway: TheGateway, caller: TheCaller) -> Json:
    """One order as it stands now, open or closed."""
    partition, sequence = partition_of(gateway, order_id)
    return Json(own(await find_order(gateway, partition, sequence), caller))


@router.get("/orders", responses={200: {"model": Orders}, **errors(401, 403, 503)})
async def show_orders(
    gateway: TheGateway,
    caller: TheCaller,
    account: str | None = None,
    client_order_id: Annotated[str | None, Query(pattern=r"^[A-Za-z0-9_.:-]{1,36}$")] = None,
    since: Annotated[int, Query(ge=0, le=NS_MAX, description="created at or after this time, nanoseconds")] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    cursor: Annotated[str | None, Query(description="of the page before")] = None,
    live: Annotated[bool, Query(description="open orders only; asks the engines alone")] = False,
) -> Json:
    """Orders of an account, oldest first; or all orders with a client_order_id.

    Live orders come from the engines, closed ones from PostgreSQL, which lags by a moment.
    """
    about = account_of(account, caller)
    if client_order_id is not None:
        for name, given in (("since", since), ("cursor", cursor), ("live", live)):
            if given:
                raise ApiError("not_allowed", f"{name} does not go with client_order_id", name)
        return Json({"orders": await by_client_id(gateway, about, client_order_id), "cursor": None})
    start = Cursor.parse(cursor, gateway.partitions)
    orders, following = await list_orders(gateway, about, start, since_ns=since, limit=limit, live=live)
    return Json({"orders": orders, "cursor": following})


@router.delete("/orders/{order_id}", responses={200: {"model": Order}, **errors(401, 404, 409, 429, 503, 504)})
async def cancel_order(order_id: str, gateway: TheGateway, caller: TheCaller) -> Json:
    """Cancel. Repeated, it answers the same again; an order that is filled is 409."""
    partition, sequence = partition_of(gateway, order_id)
    tables = await partition.tables()
    account = 0
    if not caller.operator and caller.account is not None:
        account = account_number(caller.account, tables.account_ids)
    reply, _ = await partition.submit(Command(CommandKind.CANCEL, account=account, target=sequence).pack())
    order = cancelled(reply, caller, partition.number, partition.link.tables)
    if order is None:
        order = closed(await find_order(gateway, partition, sequence), caller)
    return Json(order)


@router.patch(
    "/orders/{order_id}",
    responses={200: {"model": Order}, **errors(401, 404, 409, 413, 429, 503, 504)},
    openapi_extra=body_of(ReplaceRequest),
)
async def replace_order(order_id: str, request: Request, gateway: TheGateway, caller: TheCaller) -> Json:
    """Give an order another price and total quantity. It keeps its place only where it just shrinks."""
    wanted = await body_as(ReplaceRequest, request, gateway)
    partition, sequence = partition_of(gateway, order_id)
    order = own(await find_order(gateway, partition, sequence), caller)
    tables = partition.link.tables
    account = account_number(order["account"], tables.account_ids)
    command = replace_command(wanted, tables.symbols[order["symbol"]], account, sequence)
    try:
        reply, _ = await partition.submit(command.pack())
    except ApiError as error:
        if error.code == "outcome_unknown":
            error.more["client_order_id"] = order["client_order_id"]
        raise
    return Json(replaced(reply, partition.number, partition.link.tables))


@router.delete("/orders", responses={200: {"model": MassCancel}, **errors(401, 403, 429, 503, 504)})
async def cancel_all(
    gateway: TheGateway, caller: TheCaller, account: str | None = None, symbol: str | None = None
) -> Json:
    """Cancel all open orders of an account, in one symbol or in all."""
    about = account_of(account, caller)
    partitions = list(gateway.partitions.values()) if symbol is None else [gateway.owner(symbol)]
    count, repeated = 0, False
    for partition in partitions:
        done, again = await _cancel_all(partition, about, symbol)
        count, repeated = count + done, repeated or again
    return Json({"account": about, "cancelled": count, "repeated": repeated})


async def _cancel_all(partition: Partition, account: str, symbol: str | None) -> tuple[int, bool]:
    tables = await partition.tables()
    number = 0
    if symbol is not None:
        if symbol not in tables.symbols:
            raise ApiError("unknown_symbol", f"{shown(symbol)} is no instrument here", "symbol")
        number = tables.symbols[symbol].id
    command = Command(CommandKind.MASS_CANCEL, account=account_number(account, tables.account_ids), symbol=number)
    reply, again = await partition.submit(command.pack())
    return operator_event(reply).quantity, again


def operator_event(reply: Any) -> Any:
    """The one event of a mass cancel, halt or resume; raises ApiError."""
    if not reply.data:
        raise full() if reply.outcome == Outcome.FULL else busy()
    event = reply.events[-1]
    if event.reason:
        raise refusal(event)
    return event
