"""The HTTP door for orders over this process's own partition."""

from __future__ import annotations

import asyncio
import logging
import socket

from stack.door.orders import Door
from stack.door.sweep import Sweeper
from stack.gateway.refusals import refused
from stack.matcher.door_keys import read_keys
from stack.matcher.listeners import BACKLOG
from stack.matcher.partition import Partition
from stack.settings import EngineSettings

logger = logging.getLogger(__name__)


async def serve(
    loop: asyncio.AbstractEventLoop, partition: Partition, settings: EngineSettings, listener: socket.socket
) -> Door:
    """Open the door on a listening socket. Raises StartRefused and OSError."""
    door = Door(partition, partition.intake, read_keys(settings), refused)
    # Not create_unix_server: from Python 3.13 on it removes the path, on which a supervisor keeps listening.
    door.server = await loop.create_server(door.connection, sock=listener, backlog=BACKLOG)
    door.sweeper = Sweeper(loop, door.connections)
    logger.info("taking orders on %s", listener.getsockname())
    return door
