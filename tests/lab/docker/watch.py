"""Clients that trade through the door while a deployment is changed, and what they met."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from tests.faults.clients import Crowd
from tests.faults.history import Operation
from tests.lab.docker.scene import Scene

SETTLE_S = 1.0
Change = tuple[str, Callable[[], dict[str, Any]]]


async def traded(
    scene: Scene, changes: Sequence[Change], *, traders: int, pause_s: float = 0.02
) -> tuple[dict[str, Any], Crowd]:
    """Make the changes one after the other, with traders at the door from before the first until after the last."""
    scene.crowds += 1  # no two of them use the same ids
    crowd = Crowd(scene.http, scene.crowds, pause_s=pause_s)
    results: dict[str, Any] = {}
    async with asyncio.TaskGroup() as group:
        group.create_task(crowd.run(traders))
        try:
            await asyncio.sleep(SETTLE_S)
            for name, change in changes:
                results[name] = await asyncio.to_thread(change)
                await asyncio.sleep(SETTLE_S)
        finally:
            crowd.stopping = True
    scene.history += crowd.history
    return results, crowd


def failures(crowd: Crowd) -> list[str]:
    """Requests that got no answer, 5xx or 429."""
    return [told for one in crowd.history if (told := _failed(one))]


def _failed(one: Operation) -> str:
    if one.completed_ns is None:
        return f"{one.op} {one.client_order_id} got no answer: {one.response.get('code')}"
    if one.status >= 500 or one.status == 429:
        return f"{one.op} {one.client_order_id} -> {one.status} {one.response.get('code')}"
    return ""
