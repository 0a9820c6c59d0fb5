"""The newest trades, as the persister leaves them in Valkey. A cache: whatever is not here is asked elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
from redis.asyncio import Redis as Client
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from stack.gateway.breaker import Breaker, Unavailable
from stack.settings import Redis

TIMEOUT_S = 0.25
PAUSE_S = 1.0


class Cache:
    def __init__(self, settings: Redis) -> None:
        self._settings = settings
        self._client: Client | None = None
        failures = (RedisError, msgspec.DecodeError)
        self._breaker = Breaker("Valkey", failures, timeout_s=TIMEOUT_S, pause_s=PAUSE_S)

    async def close(self) -> None:
        if self._client is not None:
            await self._client.aclose()

    async def trades(self, symbol: str, limit: int) -> list[dict[str, Any]]:
        """Newest first, at most `limit`; empty also when Valkey does not answer."""
        try:
            return await self._breaker.call(lambda: self._trades(symbol, limit))
        except Unavailable:
            return []

    async def ping(self) -> None:
        """Raises Unavailable."""
        await self._breaker.call(self._ping)

    async def _trades(self, symbol: str, limit: int) -> list[dict[str, Any]]:
        items = await self._connection().lrange(f"trades:{symbol}", 0, limit - 1)  # type: ignore[misc]
        return [msgspec.json.decode(item) for item in items]

    async def _ping(self) -> None:
        await self._connection().ping()  # type: ignore[misc]

    def _connection(self) -> Client:
        if self._client is None:
            self._client = Client(
                host=self._settings.host,
                port=self._settings.port,
                password=Path(self._settings.password_file).read_text().strip(),
                socket_timeout=TIMEOUT_S,
                socket_connect_timeout=TIMEOUT_S,
                max_connections=16,
                retry=Retry(NoBackoff(), 0),  # the breaker decides when to try again
            )
        return self._client
