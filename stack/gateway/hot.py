"""POST /orders and POST /orders/batch as a bare ASGI application in front of FastAPI.

An order is answered when its command is durable. Nothing is sent to an engine before the whole body was checked, and a
client that goes away after that gets its order all the same: that is what its client_order_id is for.
"""

from __future__ import annotations

import asyncio
from typing import Any

from stack.gateway import strict
from stack.gateway.errors import ApiError
from stack.gateway.gateway import Gateway
from stack.gateway.model import OrderRequest, to_command, validated
from stack.gateway.replies import placed
from stack.gateway.web import Receive, Scope, Send, read_body, send_json
from stack.keys import Caller


async def place_one(gateway: Gateway, scope: Scope, receive: Receive, send: Send) -> None:
    caller = gateway.caller(scope)
    body = await read_body(scope, receive, gateway.settings.max_body_bytes)
    status, order = await _place(gateway, strict.read(body), caller)
    await send_json(send, status, order)


async def place_batch(gateway: Gateway, scope: Scope, receive: Receive, send: Send) -> None:
    caller = gateway.caller(scope)
    documents = strict.read(await read_body(scope, receive, gateway.settings.max_body_bytes))
    if not isinstance(documents, list):
        raise ApiError("wrong_type", "a batch is a JSON array of orders")
    if not 1 <= len(documents) <= gateway.settings.max_batch:
        most = gateway.settings.max_batch
        raise ApiError("batch_size", f"a batch has 1 to {most} orders, this one {len(documents)}")
    # Tasks start in this order, and each submits before it waits: orders reach their engine as they stand in the batch.
    answers = await asyncio.gather(*(_place_of_batch(gateway, document, caller) for document in documents))
    await send_json(send, 200, answers)


async def _place_of_batch(gateway: Gateway, document: Any, caller: Caller) -> dict[str, Any]:
    try:
        status, order = await _place(gateway, document, caller)
    except ApiError as error:
        return {"status": error.status, "error": error.body()}
    return {"status": status, "order": order}


async def _place(gateway: Gateway, document: Any, caller: Caller) -> tuple[int, dict[str, Any]]:
    request: OrderRequest = validated(OrderRequest, document)
    partition = gateway.owner(request.symbol)
    tables = await partition.tables()
    command = to_command(request, tables.symbols, tables.account_ids, caller)
    try:
        reply, _ = await partition.submit(command.pack())
    except ApiError as error:
        if error.code == "outcome_unknown":
            error.more["client_order_id"] = request.client_order_id
        raise
    return placed(reply, partition.number, partition.link.tables)
