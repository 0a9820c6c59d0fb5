"""Is this gateway alive, may it take orders, what runs here. Open to everybody: no account and no secret is in it."""

from __future__ import annotations

import asyncio
import platform
from pathlib import Path
from typing import Any

import msgspec
from fastapi import APIRouter
from starlette.responses import Response

from stack.gateway.breaker import Unavailable
from stack.gateway.errors import ApiError
from stack.gateway.gateway import Gateway
from stack.gateway.metrics import everything
from stack.gateway.partition import Partition
from stack.gateway.routes import OPEN, TheGateway, errors
from stack.gateway.schemas import Alive, Health, Version
from stack.gateway.web import Json
from stack.wire.frames import PROTOCOL

router = APIRouter(dependencies=OPEN, tags=["operations"])

STATUS_TIMEOUT_S = 0.5
HISTORY_TIMEOUT_S = 1.0  # who asks how we are waits 2 s at most, and gets an answer while PostgreSQL hangs
_READY: dict[int | str, dict[str, Any]] = {200: {"model": Health}, **errors(503)}


@router.get("/health/live", responses={200: {"model": Alive}, **errors()})
async def live() -> Json:
    """This process answers. Says nothing about anything else."""
    return Json({"status": "alive"})


@router.get("/health/ready", responses=_READY)
async def ready(gateway: TheGateway) -> Json:
    """Orders can be taken: every engine is connected and not stopping. PostgreSQL or Valkey away is `degraded`."""
    return await _health(gateway)


@router.get("/health", responses=_READY)
async def health(gateway: TheGateway) -> Json:
    """The same as /health/ready."""
    return await _health(gateway)


async def _health(gateway: Gateway) -> Json:
    partitions = gateway.partitions.values()
    history, cache, *statuses = await asyncio.gather(_history(gateway), _cache(gateway), *map(_status, partitions))
    durable = {
        number: status.get("durable_sequence") for number, status in zip(gateway.partitions, statuses, strict=True)
    }
    states = _components(gateway, history, cache, durable)
    halted = any(partition.halted for partition in gateway.partitions.values())
    if gateway.stopping:
        raise ApiError("stopping", "this gateway is going away; others go on", components=states, halted=halted)
    away = [partition.number for partition in gateway.partitions.values() if not partition.up]
    if away:
        names = ", ".join(f"engine-{number}" for number in away)
        raise ApiError("not_ready", f"no link to {names}", components=states, halted=halted)
    down = any(state["state"] == "down" for state in states)
    return Json({"status": "degraded" if down else "ready", "halted": halted, "components": states})


async def _history(gateway: Gateway) -> tuple[str, dict[int, int]]:
    """Why PostgreSQL is down (empty when it is up), and its checkpoints."""
    try:
        async with asyncio.timeout(HISTORY_TIMEOUT_S):
            return "", await gateway.history.checkpoints()
    except TimeoutError:
        return f"PostgreSQL does not answer: not within {HISTORY_TIMEOUT_S:g} s", {}
    except Unavailable as error:
        return str(error), {}


async def _cache(gateway: Gateway) -> str:
    try:
        await gateway.cache.ping()
    except Unavailable as error:
        return str(error)
    return ""


async def _status(partition: Partition) -> dict[str, Any]:
    """What the engine says of itself; empty while it is away, which nobody waits for here."""
    if not partition.link.connected:
        return {}
    try:
        async with asyncio.timeout(STATUS_TIMEOUT_S):
            return (await partition.query("status")).document
    except (TimeoutError, ApiError):
        return {}


def _components(
    gateway: Gateway, history: tuple[str, dict[int, int]], cache: str, durable: dict[int, int | None]
) -> list[dict[str, str]]:
    """Those that a gateway has to do with. Of its siblings it knows nothing: they come and go without it."""
    why_not, written = history
    found = [(f"engine-{number}", *_engine(partition)) for number, partition in gateway.partitions.items()]
    found.append((gateway.settings.component, "up", "answers this request"))
    for number in gateway.partitions:
        said = "not seen without PostgreSQL" if why_not else _persister(written.get(number), durable[number])
        found.append((f"persister-{number}", "unseen", said))
    found.append(("postgres-0", *(("down", why_not) if why_not else ("up", "answers"))))
    found.append(("redis", *(("down", cache) if cache else ("up", "answers"))))
    return [{"component": name, "state": state, "message": message} for name, state, message in found]


def _engine(partition: Partition) -> tuple[str, str]:
    welcome = partition.link.welcome
    if not partition.link.connected or welcome is None:
        return "down", f"no link at {partition.link.address}; orders wait for it, then fail with 503"
    if partition.stopping:
        return "down", "connected, but stopping"
    return "up", f"connected, epoch {welcome.epoch}, {'halted by an operator' if welcome.halted else 'takes orders'}"


def _persister(written: int | None, durable: int | None) -> str:
    if written is None:
        return "PostgreSQL has nothing of its partition yet"
    behind = "" if durable is None else f", {max(0, durable - written)} commands behind the engine"
    return f"PostgreSQL has everything up to sequence {written}{behind}"


@router.get("/version", responses={200: {"model": Version}, **errors()})
async def version(gateway: TheGateway) -> Json:
    """Which release stands here, and which implementation each engine runs."""
    partitions = await asyncio.gather(*(_version(partition) for partition in gateway.partitions.values()))
    return Json(
        {
            "release": _release(gateway.settings.release_file),
            "deployment": gateway.settings.deployment,
            "component": gateway.settings.component,
            "partition_map": gateway.settings.map_version,
            "protocol": PROTOCOL,
            "python": platform.python_version(),
            "partitions": partitions,
        }
    )


class Begun(msgspec.Struct, frozen=True):
    """What is read of the file in which whoever deploys keeps the release that was begun last."""

    hash: str


def _release(file: str) -> str | None:
    try:
        return msgspec.json.decode(Path(file).read_bytes(), type=Begun).hash
    except (OSError, msgspec.DecodeError):
        return None


async def _version(partition: Partition) -> dict[str, Any]:
    """A version that cannot be told now is null."""
    welcome = partition.link.welcome
    return {
        "partition": partition.number,
        "implementation": (await _status(partition)).get("implementation"),
        "rules_version": welcome.rules_version if welcome else None,
        "epoch": welcome.epoch if welcome else None,
    }


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}, **errors(404)},
)
async def metrics(gateway: TheGateway) -> Response:
    """The metrics of all components of this deployment, in Prometheus' text format."""
    if not gateway.settings.metrics_enabled:
        raise ApiError("not_found", "metrics are switched off in the profile (monitoring.enable_prometheus)")
    text = await asyncio.to_thread(everything, gateway.settings.metrics_dir)
    return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")
