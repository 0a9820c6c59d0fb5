"""The process around the application: sockets, signals, the end."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import logging
import os
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import uvicorn
import uvloop

from stack import logs
from stack.gateway.app import Application
from stack.gateway.gateway import Gateway
from stack.gateway.partitions import MapError
from stack.gateway.protocol import protocol
from stack.keys import Keys, KeysError
from stack.process_name import process_name
from stack.settings import GatewaySettings
from stack.wire.link import is_path

try:
    from stack.gateway.quick import Quick
except ImportError:  # no compiler: orders take the ordinary way
    Quick = None  # type: ignore[assignment, misc]

logger = logging.getLogger(__name__)

LISTEN_FDS = "HFTCTL_LISTEN_FDS"  # JSON {"http": fd}: a supervisor holds the socket, so that restarts refuse nobody
BACKLOG = 2048
LOOK_S = 0.02
READY_FD = (
    "HFTCTL_READY_FD"  # set when another gateway serves the socket still: a byte tells that this one can take over
)
DRAIN_S = 50  # what is in flight when SIGTERM comes has this long


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are ours: uvicorn would end the process by SIGTERM again, and we exit 0."""
        yield


def run(settings: GatewaySettings) -> int:
    logs.start(settings)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)  # its start and end are told in our own words
    try:
        keys = _keys(settings)
        uvloop.run(_serve(settings, keys))
    except (KeysError, MapError, OSError) as error:
        logger.error("cannot start: %s", error)
        print(f"{settings.component}: cannot start: {error}", file=sys.stderr)
        return 1
    return 0


def _keys(settings: GatewaySettings) -> Keys | None:
    if settings.authentication == "none":
        return None
    if settings.api_keys_file is None:
        raise KeysError("authentication is api_key, but the settings name no api_keys_file")
    return Keys(settings.api_keys_file)


async def _serve(settings: GatewaySettings, keys: Keys | None) -> None:
    gateway = Gateway(settings, keys)
    quick = Quick(gateway) if Quick is not None else None
    listener, fresh = listen(settings.socket)
    server = _Server(
        uvicorn.Config(
            Application(gateway),
            loop="none",
            http=protocol(quick),
            ws="none",
            lifespan="off",
            access_log=False,
            log_config=None,
            server_header=False,
            date_header=False,
            backlog=BACKLOG,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=DRAIN_S,
        )
    )

    def stop() -> None:
        logger.info("stopping: in-flight requests are answered first")
        gateway.stopping = True
        server.should_exit = True

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    loop.add_signal_handler(signal.SIGHUP, gateway.reload_keys)
    gateway.start()
    ready_fd = os.environ.pop(READY_FD, "")
    if ready_fd or (fresh and _served(settings.socket)):
        if not await _linked(gateway, server):
            await gateway.close()
            if fresh:
                os.unlink(fresh)  # noqa: PTH108 - asyncio's rule forbids pathlib here
            return
        if ready_fd:
            _tell(int(ready_fd))
    if fresh:
        # When it listens already: nginx never meets a name without a listener behind it.
        os.rename(fresh, settings.socket)  # noqa: PTH104
    gc.collect()
    gc.freeze()  # what was imported lives as long as the process; a collection need not look at it again
    logger.info("listening at %s", settings.socket)
    try:
        await server.serve(sockets=[listener])
    finally:
        if quick is not None:
            quick.close()
        await gateway.close()
    logger.info("stopped")


async def _linked(gateway: Gateway, server: _Server) -> bool:
    """Wait until every engine is connected; until then the gateway before this one takes all requests."""
    wanted = {partition.link.address: partition for partition in gateway.partitions.values()}
    logger.warning("waits for engines at %s; the gateway before this one serves meanwhile", ", ".join(wanted))
    while not all(partition.up for partition in wanted.values()):
        if server.should_exit:
            return False
        await asyncio.sleep(LOOK_S)
    return True


def _tell(ready_fd: int) -> None:
    with contextlib.suppress(OSError):  # nobody waits for it any more: then it just serves
        os.write(ready_fd, b"1")
    os.close(ready_fd)


def _served(path: str) -> bool:
    """Whether another gateway listens there, as one in the container that this one's is to replace."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asked:
        asked.settimeout(1.0)
        try:
            asked.connect(path)
        except OSError:
            return False
    return True


def listen(path: str) -> tuple[socket.socket, str]:
    """The inherited socket; one at host:port; or a new one beside `path`, with its name, to be renamed when it shall be reached."""
    inherited = json.loads(os.environ.get(LISTEN_FDS, "{}"))
    if "http" in inherited:
        return socket.socket(fileno=int(inherited["http"])), ""
    if not is_path(path):
        host, _, port = path.rpartition(":")
        return socket.create_server((host, int(port)), backlog=BACKLOG), ""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    fresh = f"{path}.{process_name()}"
    Path(fresh).unlink(missing_ok=True)
    listener.bind(fresh)
    Path(fresh).chmod(0o600)
    listener.listen(BACKLOG)
    return listener, fresh
