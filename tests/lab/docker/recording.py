"""A proxy on the Docker socket that writes down which calls pass."""

from __future__ import annotations

import re
import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

REQUEST = re.compile(rb"(?:^|\n|\r\n\r\n)((?:GET|HEAD|POST|PUT|DELETE|PATCH) /\S+) HTTP/1\.1\r\n")


@dataclass
class Proxy:
    address: str
    calls: list[str] = field(default_factory=list)


@contextmanager
def recorded(engine: Path) -> Iterator[Proxy]:
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        path = Path(folder, "docker.sock")
        proxy = Proxy(f"unix://{path}")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            listener.bind(str(path))
            listener.listen(64)
            thread = threading.Thread(target=_serve, args=(listener, engine, proxy), daemon=True)
            thread.start()
            yield proxy
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(5)


def _serve(listener: socket.socket, engine: Path, proxy: Proxy) -> None:
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        there = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        there.connect(str(engine))
        for source, sink, watched in ((client, there, proxy.calls), (there, client, None)):
            threading.Thread(target=_pipe, args=(source, sink, watched), daemon=True).start()


def _pipe(source: socket.socket, sink: socket.socket, calls: list[str] | None) -> None:
    with suppress(OSError):
        while data := source.recv(1 << 16):
            if calls is not None:
                calls += [call.decode() for call in REQUEST.findall(data)]
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
