"""What all routes share: the partitions and their map, who is calling, history, the cache of trades, metrics."""

from __future__ import annotations

import asyncio
import logging

from stack.gateway.cache import Cache
from stack.gateway.errors import ApiError, shown
from stack.gateway.history import History
from stack.gateway.metrics import Metrics
from stack.gateway.partition import Held, Partition
from stack.gateway.partitions import PartitionMap
from stack.gateway.web import Scope, header
from stack.keys import ANYBODY, Caller, Keys, KeysError
from stack.settings import GatewaySettings

logger = logging.getLogger(__name__)

LINK_GAUGE_S = 1.0


class Gateway:
    def __init__(self, settings: GatewaySettings, keys: Keys | None) -> None:
        """Inside a running event loop; `keys` is None exactly where authentication is off."""
        self.settings = settings
        self.keys = keys
        self.stopping = False
        self.map = PartitionMap(settings.partitions)
        self.metrics = Metrics(settings.component, settings.latency_sample_rate)
        self.held = Held(settings.max_held, self.metrics.held.set)
        self.partitions: dict[int, Partition] = {
            entry.partition: Partition(
                entry, settings, self.held, round_trip=self.metrics.round_trip(entry.partition).observe
            )
            for entry in settings.partitions
        }
        self.history = History(settings.postgres)
        self.cache = Cache(settings.redis)

    def start(self) -> None:
        for partition in self.partitions.values():
            partition.link.start()
        self._watch = asyncio.get_running_loop().create_task(self._watch_links())

    async def _watch_links(self) -> None:
        gauges = {number: self.metrics.link(number) for number in self.partitions}
        while True:
            for number, gauge in gauges.items():
                gauge.set(int(self.partitions[number].up))
            await asyncio.sleep(LINK_GAUGE_S)

    async def close(self) -> None:
        self._watch.cancel()
        await asyncio.gather(self._watch, return_exceptions=True)
        for partition in self.partitions.values():
            await partition.link.close()
        await self.history.close()
        await self.cache.close()

    def caller(self, scope: Scope) -> Caller:
        """Who sent this request; raises ApiError."""
        if self.keys is None:
            return ANYBODY
        caller = self.keys.caller(header(scope, b"authorization"))
        if caller is None:
            raise ApiError("unauthenticated", "an API key is needed here: Authorization: Bearer KEY")
        return caller

    def owner(self, symbol: str) -> Partition:
        """The partition that owns a symbol of a body; raises ApiError."""
        number = self.map.owner(symbol)
        if number is None:
            message = f"{shown(symbol)} is no instrument here; GET /instruments lists them"
            raise ApiError("unknown_symbol", message, "symbol")
        return self.partitions[number]

    def reload_keys(self) -> None:
        if self.keys is None:
            return
        try:
            self.keys.reload()
            logger.info("API keys read again: %d", len(self.keys))
        except KeysError as error:
            logger.error("API keys stay as they were: %s", error)
