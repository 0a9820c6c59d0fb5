"""One engine process from start to stop: recover, define, listen, serve, flush, leave."""

from __future__ import annotations

import asyncio
import importlib
import logging
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.records import Event, EventKind, Reason
from stack import logs
from stack.matcher.admin_server import LINE_BYTES_MAX, AdminServer
from stack.matcher.definitions import missing
from stack.matcher.latency import JUDGE_S
from stack.matcher.link_server import LinkServer
from stack.matcher.listeners import BACKLOG, bind, inherited
from stack.matcher.memory import hold_in_memory
from stack.matcher.partition import Partition
from stack.matcher.refusal import EXIT_FAILED, StartRefused
from stack.matcher.room import LOOK_S
from stack.matcher.sessions import Sessions
from stack.matcher.sessions import serve as serve_sessions
from stack.matcher.snapshots import EVERY_S, Snapshots
from stack.matcher.start import lock_data, open_partition
from stack.settings import EngineSettings, load

if TYPE_CHECKING:
    from stack.matcher.metrics import Metrics

logger = logging.getLogger(__name__)

CLOCK_S = 0.05  # how late an order that ends by the clock may go where nothing else comes
DRAIN_S = 2.0  # how long clients get to read their last replies


class Service:
    def __init__(self, config: Path, settings: EngineSettings) -> None:
        self._config = config
        self._settings = settings
        self._loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[int] = self._loop.create_future()
        self._servers: list[asyncio.AbstractServer] = []
        self._door: Any = None
        self._sessions: Sessions | None = None
        self._metrics: Metrics | None = None
        self._snapshots: Snapshots | None = None
        self._timers: dict[Callable[[], None], asyncio.TimerHandle] = {}

    async def run(self) -> int:
        """Returns the exit code. Raises StartRefused, and OSError while starting."""
        settings = self._settings
        started_ns = time.time_ns()
        with lock_data(Path(settings.data_dir)):
            listeners = inherited()
            partition = open_partition(settings, self._failed)
            link = LinkServer(partition, started_ns)
            try:
                await self._define(partition)
                self._snapshots = Snapshots(partition, settings, self._config)
                await self._serve(partition, listeners, link, AdminServer(partition, started_ns, self._snapshots))
                return await self._ended
            finally:
                await self._stop(partition, link)

    async def _serve(
        self, partition: Partition, listeners: dict[str, socket.socket], link: LinkServer, admin: AdminServer
    ) -> None:
        settings = self._settings
        for signal_number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(signal_number, self._end, 0)
        self._loop.add_signal_handler(signal.SIGHUP, self._reload)
        if settings.session_address is not None:
            listener = listeners.get("sessions") or bind(settings.session_address, 0o600)
            self._sessions = await serve_sessions(partition, settings, listener, link.queries)
            partition.on_notice = self._notice_all(link, self._sessions)
        # The admin socket opens last of what readiness speaks of.
        listener = listeners.get("admin") or bind(settings.admin_socket, 0o600)
        # Not start_unix_server: from Python 3.13 on it removes the path, on which a supervisor may keep listening.
        self._servers.append(await asyncio.start_server(admin.serve, sock=listener, limit=LINE_BYTES_MAX))
        listener = listeners.get("link") or bind(settings.link_socket, 0o600)
        self._servers.append(await self._loop.create_server(link.protocol, sock=listener, backlog=BACKLOG))
        if settings.order_socket is not None:
            self._door = await self._open_door(partition, listeners.get("orders"), settings.order_socket)
        self._every(LOOK_S, partition.room.look)
        self._every(CLOCK_S, partition.look_at_clock)
        if partition.latency.measures:
            self._every(JUDGE_S, lambda: partition.latency.judge(time.monotonic()))
        if settings.metrics_enabled:
            from stack.matcher.metrics import PUBLISH_S, Metrics

            self._metrics = Metrics(partition, settings.latency_sample_rate, self._door)
            self._every(PUBLISH_S, self._metrics.publish)
        if self._snapshots is not None and self._snapshots.on:
            self._every(EVERY_S, self._snapshots.look)
        if settings.hft_mode:
            partition.log.close()  # opened again when it is used: what a long replay mapped is not to be held in memory
            hold_in_memory()
        logger.info("serving", extra={"fields": {"sequence": partition.durable_sequence, "halted": partition.halted}})

    async def _define(self, partition: Partition) -> None:
        settings = self._settings
        for command in list(missing(partition.tables, settings.instruments, settings.accounts)):
            taken = _Definition()
            partition.submit(command, taken, 0)
            event = await taken.future
            if event is None:
                raise StartRefused(f"cannot journal the definitions: {partition.stopped}", exit_code=EXIT_FAILED)
            if event.kind == EventKind.REFUSED:
                raise StartRefused(f"the engine refuses to define {event.text!r}: {Reason(event.reason).name.lower()}")

    async def _open_door(self, partition: Partition, listener: socket.socket | None, address: str) -> Any:
        try:
            door = importlib.import_module("stack.matcher.order_door")  # compiled, so it need not be there
        except ImportError as error:
            raise StartRefused(
                f"order_socket is set, but the order door cannot be loaded ({error}); "
                "build it, or deploy with order_entry: gateway"
            ) from None
        where = listener or bind(address, 0o666)  # nginx's workers may run as another user
        return await door.serve(self._loop, partition, self._settings, where)

    @staticmethod
    def _notice_all(link: LinkServer, sessions: Sessions) -> Callable[[str], None]:
        def notice(text: str) -> None:
            link.notice(text)
            sessions.notice(text)

        return notice

    def _every(self, seconds: float, act: Callable[[], None]) -> None:
        """Now and then again and again, until the end."""
        try:
            act()
        except Exception:  # watching goes on, whatever one look met
            logger.exception("could not take a look at the engine's own figures")
        self._timers[act] = self._loop.call_later(seconds, self._every, seconds, act)

    def _failed(self, why: str) -> None:
        logger.critical("stopping for good: %s", why)
        self._end(EXIT_FAILED)

    def _end(self, code: int) -> None:
        if not self._ended.done():
            self._ended.set_result(code)

    def _reload(self) -> None:
        try:
            settings = load(self._config, EngineSettings)
            logs.set_level(settings.log_level)
            if self._door is not None:
                self._door.reload_keys()
            if self._sessions is not None:
                self._sessions.reload_keys()
        except Exception as error:  # a bad file must not end a running engine
            logger.error("reload refused, the old values stay: %s", error)
            return
        logger.info("reloaded the log level and the API keys", extra={"fields": {"log_level": settings.log_level}})

    async def _stop(self, partition: Partition, link: LinkServer) -> None:
        for server in self._servers:
            server.close()
        if self._door is not None:
            self._door.stop()
        if self._sessions is not None:
            self._sessions.stop()
        if self._snapshots is not None:
            await self._snapshots.close()
        await partition.close()
        for timer in self._timers.values():
            timer.cancel()
        if self._metrics is not None:
            self._metrics.publish()
        if self._sessions is not None:
            await asyncio.gather(self._sessions.close(DRAIN_S), link.close(DRAIN_S))
        else:
            await link.close(DRAIN_S)
        partition.log.close()
        if self._snapshots is not None:
            self._snapshots.take_at_stop()
        for signal_number in (signal.SIGTERM, signal.SIGINT):  # a second one must not spoil the exit code
            self._loop.remove_signal_handler(signal_number)
            signal.signal(signal_number, signal.SIG_IGN)
        logger.info("stopped", extra={"fields": {"sequence": partition.durable_sequence}})


class _Definition:
    """The reply to one command of our own."""

    def __init__(self) -> None:
        self.future: asyncio.Future[Event | None] = asyncio.get_running_loop().create_future()

    def reply(self, _token: int, _outcome: int, events: bytes) -> None:
        self.future.set_result(Event.unpack(events) if events else None)

    def lost(self, _token: int) -> None:
        self.future.set_result(None)
