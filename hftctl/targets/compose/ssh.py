"""A Docker engine behind ssh, as `docker` itself reaches it: each connection is `ssh HOST docker system dial-stdio`.

So keys, agents, aliases and jump hosts are those of the person's own ssh, and nothing is asked on a terminal. One connection is made
and shared by all others, unless the person's settings share one already. It ends with this process, however that one ends.
"""

from __future__ import annotations

import functools
import socket
import subprocess
import time
from collections.abc import Sequence
from urllib.parse import unquote, urlsplit

from hftctl.errors import HftctlError, NotFound
from hftctl.run import run
from hftctl.targets.compose.piped import Piped

CONNECT_S = 10
POLL_S = 0.02
# A way that broke without a word is given up after as long as the lock lives without us.
ALIVE = ("-o", "ServerAliveInterval=5", "-o", "ServerAliveCountMax=3")
HINT = "it works when this does: {}"


@functools.cache
def tunnel(url: str) -> Tunnel:
    """Raises NotFound."""
    return Tunnel(url)


def hostname(url: str) -> str:
    """The machine's own name, where the one in the URL is an alias of ssh's settings."""
    return _settings(url).get("hostname") or urlsplit(url).hostname or ""


class Tunnel:
    def __init__(self, url: str) -> None:
        self._url = url
        self._piped = Piped("docker.sock", self._carry)
        self._said = self._piped.folder / "said"
        self._shared = ["-o", "ControlMaster=no", "-o", f"ControlPath={self._piped.folder / 'shared'}"]
        if _settings(url).get("controlpath", "none") != "none":
            self._shared = []
        else:
            self._share()

    @property
    def address(self) -> str:
        return f"unix://{self._piped.path}"

    def why(self) -> str:
        """What ssh, or the docker on the other machine, said last."""
        lines = self._said.read_text(errors="replace").splitlines() if self._said.exists() else []
        return next((line.strip() for line in reversed(lines) if line.strip()), "")

    def _share(self) -> None:
        """The first connection, which holds a pipe of ours: it, and all that use it, end when we do."""
        path = self._piped.folder / "shared"
        shared = ["-o", "ControlMaster=yes", "-o", "ControlPersist=no", "-o", f"ControlPath={path}"]
        with self._said.open("ab") as said:
            try:
                first = subprocess.Popen(self._words(shared), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                                         stderr=said, start_new_session=True)  # fmt: skip
            except OSError as error:
                raise NotFound(f"cannot reach a Docker engine at {self._url}: cannot run ssh: {error.strerror}",
                               hint="install an ssh client") from error  # fmt: skip
        self._first = first
        deadline = time.monotonic() + 2 * CONNECT_S
        while not path.exists():
            if first.poll() is not None or time.monotonic() > deadline:
                first.kill()
                first.wait()
                raise NotFound(
                    f"cannot reach a Docker engine at {self._url}: {self.why() or 'ssh does not connect'}",
                    hint=self.hint,
                )
            time.sleep(POLL_S)

    @property
    def hint(self) -> str:
        return HINT.format(" ".join(["ssh", *_place(self._url), "docker", "version"]))

    def _carry(self, client: socket.socket) -> None:
        # A session of its own: Ctrl-C is meant for us, who end a rollout safely, and not for what we do it with.
        with client, self._said.open("ab") as said:
            process = subprocess.Popen(
                self._words(self._shared),
                stdin=client.fileno(),
                stdout=client.fileno(),
                stderr=said,
                start_new_session=True,
            )
        process.wait()

    def _words(self, shared: Sequence[str]) -> list[str]:
        path = urlsplit(self._url).path
        there = ["--host", f"unix://{path}"] if path not in ("", "/") else []
        return [
            "ssh", "-T", "-o", "BatchMode=yes", "-o", f"ConnectTimeout={CONNECT_S}", *ALIVE, *shared, *_place(self._url), "docker", *there,
            "system", "dial-stdio",
        ]  # fmt: skip


def _place(url: str) -> list[str]:
    parts = urlsplit(url)
    user = ["-l", unquote(parts.username)] if parts.username else []
    port = ["-p", str(parts.port)] if parts.port else []
    return [*user, *port, "--", parts.hostname or ""]


@functools.cache
def _settings(url: str) -> dict[str, str]:
    """Of ssh for this machine; empty where it does not tell."""
    try:
        told = run(["ssh", "-G", *_place(url)], timeout_s=CONNECT_S).stdout
    except HftctlError:
        return {}
    return dict(line.split(" ", 1) for line in told.splitlines() if " " in line)
