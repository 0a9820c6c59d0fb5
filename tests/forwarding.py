"""`hftctl forward` as a person runs it, for as long as a test needs the port."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[1]


@contextmanager
def forwarded(name: str, component: str, env: Mapping[str, str]) -> Iterator[int]:
    """The port. It ends as by Ctrl-C, and must end so."""
    words = [sys.executable, "-P", "-m", "hftctl", "forward", component, "-p", name, "-o", "json"]
    with subprocess.Popen(words, cwd=ROOT, env={**os.environ, **env}, stdout=subprocess.PIPE, text=True) as process:
        try:
            text = ""
            for line in process.stdout:
                text += line
                if line == "}\n":
                    break
            document = json.loads(text)
            assert (document["kind"], document["deployment"]) == ("Forward", name)
            yield document["port"]
            process.send_signal(signal.SIGINT)
            assert process.wait(15) == 130
        finally:
            process.kill()


def said(port: int, question: bytes, enough: bytes, seconds: float = 20.0) -> bytes:
    """What is answered until `enough` stands in it."""
    with socket.create_connection(("127.0.0.1", port), seconds) as connection:
        connection.sendall(question)
        answer = b""
        while enough not in answer and (piece := connection.recv(65536)):
            answer += piece
    return answer
