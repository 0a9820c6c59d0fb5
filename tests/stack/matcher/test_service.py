"""The engine's process around its partition."""

import asyncio
from pathlib import Path
from types import SimpleNamespace

from stack.matcher.service import Service


def test_a_look_that_fails_once_is_taken_again():
    looks = []

    def look():
        looks.append(1)
        if len(looks) == 1:
            raise OSError("the metrics folder is full")
        seen.set()

    async def run():
        service = Service(Path("engine.json"), SimpleNamespace())
        service._every(0.001, look)
        await asyncio.wait_for(seen.wait(), 10)
        service._timers[look].cancel()

    seen = asyncio.Event()
    asyncio.run(run())
    assert len(looks) >= 2
