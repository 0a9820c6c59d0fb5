"""Halt and resume: operators only, in all partitions at once, each reported for itself."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import APIRouter, Request

from engine.records import Command, CommandKind, EventKind
from stack.gateway.errors import ApiError
from stack.gateway.gateway import Gateway
from stack.gateway.model import WhyRequest
from stack.gateway.orders import operator_event
from stack.gateway.partition import Partition
from stack.gateway.routes import WITH_KEY, Operator, TheGateway, body_as, body_of, errors
from stack.gateway.schemas import Halt
from stack.gateway.web import Json

router = APIRouter(dependencies=WITH_KEY, tags=["operations"])

_RESPONSES: dict[int | str, dict[str, Any]] = {200: {"model": Halt}, **errors(401, 403, 413, 429, 503, 504)}


@router.post("/halt", responses=_RESPONSES, openapi_extra=body_of(WhyRequest))
async def halt(request: Request, gateway: TheGateway, _operator: Operator) -> Json:
    """Stop taking orders, everywhere. Cancels go on. Holds over restarts, until somebody resumes."""
    wanted = await body_as(WhyRequest, request, gateway)
    return await _everywhere(gateway, CommandKind.HALT, wanted.why)


@router.post("/resume", responses=_RESPONSES, openapi_extra=body_of(WhyRequest))
async def resume(request: Request, gateway: TheGateway, _operator: Operator) -> Json:
    """Take orders again."""
    wanted = await body_as(WhyRequest, request, gateway)
    return await _everywhere(gateway, CommandKind.RESUME, wanted.why)


async def _everywhere(gateway: Gateway, kind: CommandKind, why: str) -> Json:
    command = Command(kind, text=why.encode()).pack()
    partitions = list(gateway.partitions.values())
    outcomes = await asyncio.gather(*(_at(partition, command) for partition in partitions), return_exceptions=True)
    states: list[dict[str, Any]] = []
    failed: ApiError | None = None
    for partition, outcome in zip(partitions, outcomes, strict=True):
        if isinstance(outcome, ApiError):
            failed = failed or outcome
            states.append({"partition": partition.number, "halted": partition.halted, "error": outcome.body()})
        elif isinstance(outcome, BaseException):
            raise outcome
        else:
            halted, sequence = outcome
            states.append({"partition": partition.number, "halted": halted, "sequence": sequence})
    if failed is not None:
        done = len(partitions) - sum("error" in state for state in states)
        message = f"{kind.name.lower()} was done in {done} of {len(partitions)} partitions: {failed.message}"
        raise ApiError(failed.code, message, failed.field, **{**failed.more, "partitions": states})
    return Json({"halted": kind == CommandKind.HALT, "partitions": states})


async def _at(partition: Partition, command: bytes) -> tuple[bool, int]:
    reply, _ = await partition.submit(command)
    event = operator_event(reply)
    return event.kind == EventKind.HALTED, event.sequence
