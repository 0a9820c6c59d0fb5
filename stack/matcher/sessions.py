"""The binary door: a listening TCP socket and the sessions that came in by it.

Who authentication names is asked at HELLO and again after each reload of the API keys (SIGHUP): a session whose key is
gone, or means somebody else now, ends with ERROR `key_revoked`. At most SESSIONS_MAX are open at once, those that have not said
HELLO included.
"""

from __future__ import annotations

import asyncio
import importlib
import ipaddress
import itertools
import logging
import secrets
import socket
from collections.abc import Callable
from typing import Any

import msgspec

from engine.records import RULES_VERSION
from stack.door.sweep import Sweeper
from stack.keys import ANYBODY, Caller, Keys, hashed
from stack.matcher.door_keys import read_keys
from stack.matcher.listeners import BACKLOG
from stack.matcher.partition import Partition
from stack.matcher.queries import Queries
from stack.matcher.refusal import StartRefused
from stack.matcher.session import Session
from stack.matcher.session_python import Frames
from stack.settings import EngineSettings
from stack.wire.frames import PROTOCOL
from stack.wire.session import COMMANDS_MAX, FRAME_BYTES_MAX, OPEN_MAX, Limits, WelcomeDocument
from stack.wire.tables import Tables

logger = logging.getLogger(__name__)

SESSIONS_MAX = 1024


class Sessions:
    def __init__(self, partition: Partition, keys: Keys | None, queries: Queries) -> None:
        """`keys` is None exactly where authentication is off."""
        self.partition = partition
        self.queries = queries
        self.frames = frames_class(partition)
        self.open: set[Session] = set()
        self.tally = partition.tally.sessions
        self._keys = keys
        self._ids = itertools.count(secrets.randbits(40) << 20)  # of no earlier run of this engine either
        self._server: asyncio.AbstractServer | None = None
        self._sweeper: Sweeper | None = None
        self._last_gone: asyncio.Future[None] | None = None

    async def listen(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Session(self), sock=listener, backlog=BACKLOG)
        self._sweeper = Sweeper(loop, self.open)  # type: ignore[arg-type]  # a set of what it sweeps
        logger.info(
            "taking sessions on %s", listener.getsockname(), extra={"fields": {"frames": self.frames.implementation}}
        )

    # ---- for sessions

    def next_id(self) -> str:
        return f"{next(self._ids):016x}"

    def opened(self, session: Session) -> tuple[str, str] | None:
        """Code and message of the refusal, if it is one too many."""
        if len(self.open) >= SESSIONS_MAX:
            return "too_many_sessions", f"{SESSIONS_MAX} sessions are open already; try again later"
        self.open.add(session)
        self.tally.open = len(self.open)
        return None

    def closed(self, session: Session) -> None:
        self.open.discard(session)
        self.tally.open = len(self.open)
        if self._last_gone is not None and not self.open and not self._last_gone.done():
            self._last_gone.set_result(None)

    def caller(self, key: bytes) -> Caller | None:
        return self.caller_hashed(hashed(key))

    def caller_hashed(self, key_hash: bytes) -> Caller | None:
        return ANYBODY if self._keys is None else self._keys.find_hashed(key_hash)

    def tables(self, account: int) -> Tables:
        """All instruments; of the accounts the session's own, or all where it has none of its own."""
        tables = self.partition.tables
        if account == 0:
            return tables
        return Tables(tables.instruments.values(), [(account, tables.accounts[account])])

    def welcome(self, session_id: str, caller: Caller, account: int) -> dict[str, Any]:
        partition = self.partition
        about = WelcomeDocument(
            protocol=PROTOCOL,
            session=session_id,
            partition=partition.number,
            epoch=partition.epoch,
            rules_version=RULES_VERSION,
            sequence=partition.durable_sequence,
            halted=partition.halted,
            role=caller.role,
            account=account,
            limits=Limits(COMMANDS_MAX, OPEN_MAX, FRAME_BYTES_MAX),
        )
        return {**msgspec.to_builtins(about), **self.tables(account).as_json()}

    # ---- for the engine's process

    @property
    def address(self) -> str:
        """Where it listens, host:port."""
        if self._server is None or not self._server.sockets:
            return ""
        host, port = self._server.sockets[0].getsockname()[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def notice(self, notice: str) -> None:
        for session in list(self.open):
            session.notice(notice)

    def reload_keys(self) -> None:
        """Read the API keys again; raises KeysError and keeps the old ones."""
        if self._keys is not None:
            self._keys.reload()
            for session in list(self.open):
                session.check_key()

    def stop(self) -> None:
        """Let nobody in any more; who is in gets the replies that are due."""
        if self._server is not None:
            self._server.close()
        if self._sweeper is not None:
            self._sweeper.stop()

    async def close(self, timeout_s: float) -> None:
        """Say that we stop; what was written still leaves, if it is read in time."""
        for session in list(self.open):
            session.leave()
        if self.open:
            self._last_gone = asyncio.get_running_loop().create_future()
            await asyncio.wait([self._last_gone], timeout=timeout_s)


def frames_class(partition: Partition) -> Callable[..., Any]:
    """The compiled one where it is built."""
    if partition.intake is None:
        return Frames
    compiled: Callable[..., Any] = importlib.import_module("stack.matcher.session_frames").Frames
    return compiled


async def serve(partition: Partition, settings: EngineSettings, listener: socket.socket, queries: Queries) -> Sessions:
    """Open the door on a listening socket. Raises StartRefused and OSError."""
    host = listener.getsockname()[0]
    if settings.authentication == "none" and not ipaddress.ip_address(host).is_loopback:
        raise StartRefused(
            f"session_address is {host} and authentication is none: everybody on the network could trade. "
            "Set authentication: api_key, or bind 127.0.0.1"
        )
    sessions = Sessions(partition, read_keys(settings), queries)
    await sessions.listen(listener)
    return sessions
