"""Ways into a pod that need no address of it: a port and a command, both through the API server."""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from typing import Any

from hftctl.errors import HftctlError, NotFound
from hftctl.targets.kubernetes.api import Api, pod_path

PIECE_BYTES = 1 << 16
RUN_S = 30.0


class Tunnel:
    """A port on loopback that leads to one of a pod, as long as this process lives. Each connection finds the pod anew."""

    def __init__(self, api: Api, namespace: str, pod: Callable[[], str], port: int) -> None:
        self._api, self._namespace, self._pod, self._port = api, namespace, pod, port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True, name="hftctl-tunnel").start()

    def _accept(self) -> None:
        while True:
            try:
                client = self._listener.accept()[0]
            except OSError:
                return
            threading.Thread(target=self._carry, args=(client,), daemon=True).start()

    def _carry(self, client: socket.socket) -> None:
        with client, suppress(HftctlError, OSError):
            join(client, connect(self._api, self._namespace, self._pod(), self._port))


def connect(api: Api, namespace: str, pod: str, port: int) -> socket.socket:
    """Raises NotFound."""
    from kubernetes.client.exceptions import ApiException
    from kubernetes.stream import ws_client

    library: Any = ws_client

    url, headers = api.websocket(pod_path(namespace, pod, "portforward"), [("ports", str(port))])
    try:
        made: Any = library.portforward_call(api.client.configuration, "GET", url, headers=headers)
    except ApiException as error:
        raise NotFound(f"cannot reach port {port} of the pod {pod}: {error.reason}") from error
    found: socket.socket = made.socket(port)
    return found


def join(one: socket.socket, other: Any) -> None:
    """Until either end closes."""
    ends = {one.fileno(): (one, other), other.fileno(): (other, one)}
    with closing(other):
        while True:
            ready, _, _ = select.select(list(ends), [], [])
            for number in ready:
                source, sink = ends[number]
                piece = source.recv(PIECE_BYTES)
                if not piece:
                    return
                sink.sendall(piece)


def run(api: Api, namespace: str, pod: str, argv: Sequence[str], *, timeout_s: float = RUN_S) -> tuple[int, str]:
    """A command in a running pod: its exit code and what it said. Raises NotFound."""
    from kubernetes.client.exceptions import ApiException
    from kubernetes.stream import ws_client

    library: Any = ws_client

    query = [("stdout", "true"), ("stderr", "true"), *(("command", word) for word in argv)]
    url, headers = api.websocket(pod_path(namespace, pod, "exec"), query)
    try:
        made: Any = library.websocket_call(
            api.client.configuration, "GET", url, headers=headers, _preload_content=False
        )
        made.run_forever(timeout=timeout_s)
        if made.is_open():
            made.close()
            raise NotFound(f"no answer from a command in the pod {pod} within {timeout_s:g} s")
        code = int(made.returncode or 0)  # first: reading all forgets what it came by
        return code, str(made.read_all()).strip()
    except (ApiException, OSError, TypeError, KeyError, ValueError) as error:
        why = getattr(error, "reason", "") or str(error)
        raise NotFound(f"cannot run a command in the pod {pod}: {why}") from error
