"""The container that is the lock of a deployment and writes into its volumes: our side of `stack/images/keeper.py`.

Its name makes it the only one; it ends, and is removed, as soon as nobody holds its standard input or says anything for 15 s. So
a lock dies with its holder wherever that was, and a holder whose keeper is gone cannot write any more.
"""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from docker.errors import APIError
from docker.utils.socket import next_frame_header, read_exactly

from hftctl.errors import Failed, LockHeld, NotFound
from hftctl.targets.compose import names
from hftctl.targets.compose.daemon import Missing, saying

ROOT = "/srv/hftctl"
FOLDERS = (*names.STATE_VOLUMES, *names.SECRET_VOLUMES)
BEAT_S = 4.0
ANSWER_S = 15.0
GONE_S = 10.0
CONFLICT = 409


class Keeper:
    """Raises NameTaken when a container of that name is there."""

    def __init__(
        self, api: Any, deployment: str, image: str, *, name: str, role: str, record: Mapping[str, Any]
    ) -> None:
        self._api, self.name = api, name
        self._turn = threading.Lock()
        self._closed = threading.Event()
        body = body_of(deployment, image)
        body["Cmd"] = ["/opt/hftctl/keeper.py"]
        body |= {"OpenStdin": True, "StdinOnce": True, "AttachStdin": True, "AttachStdout": True, "Tty": False}
        body["HostConfig"]["AutoRemove"] = True
        body["Labels"] = {names.DEPLOYMENT: deployment, names.ROLE: role, names.RECORD: json.dumps(record)}
        try:
            self._id = api.create_container_from_config(body, name=name)["Id"]
        except APIError as error:
            if error.status_code == CONFLICT:
                raise NameTaken(name) from error
            with saying(f"make the container {name}"):
                raise
        try:
            with saying(f"start the container {name}"):
                stream = api.attach_socket(self._id, params={"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1})
                self._socket: socket.socket = getattr(stream, "_sock", stream)
                self._stream = stream  # closing it would close the socket under us
                self._socket.settimeout(ANSWER_S)
                api.start(self._id)
            self._answer("start")
        except BaseException:
            self.close()
            raise
        self._beats = threading.Thread(target=self._beat, daemon=True, name="hftctl-keeper")
        self._beats.start()

    def write(self, path: str, data: bytes, *, mode: int = 0o640) -> None:
        self._ask({"do": "write", "path": path, "mode": mode}, data)

    def append(self, path: str, data: bytes, at: int) -> None:
        self._ask({"do": "append", "path": path, "at": at}, data)

    def remove(self, path: str) -> None:
        self._ask({"do": "remove", "path": path})

    def names(self, path: str) -> list[str]:
        return list(self._ask({"do": "list", "path": path})["names"])

    def check(self) -> None:
        """Raises Failed when the lock is lost."""
        self._ask({"do": "beat"})

    def close(self) -> None:
        self._closed.set()
        with suppress(OSError, AttributeError):
            self._socket.shutdown(socket.SHUT_RDWR)
        with suppress(OSError, AttributeError):
            self._stream.close()
            self._socket.close()
        deadline = time.monotonic() + GONE_S
        while time.monotonic() < deadline:  # its name is free when we return
            with suppress(APIError):
                try:
                    state = self._api.inspect_container(self._id)["State"]["Status"]
                except Missing:
                    return
                if state == "created":
                    self._api.remove_container(self._id, force=True)
                    return
            time.sleep(0.02)
        with suppress(APIError):
            self._api.remove_container(self._id, force=True)

    def _beat(self) -> None:
        while not self._closed.wait(BEAT_S):
            with suppress(Failed, OSError):  # whoever writes next is told
                self.check()

    def _ask(self, request: Mapping[str, Any], data: bytes = b"") -> dict[str, Any]:
        with self._turn:
            try:
                self._socket.sendall(json.dumps({**request, "length": len(data)}).encode() + b"\n" + data)
                found = self._answer(request["do"])
            except OSError as error:
                raise self._lost(error.strerror or str(error)) from error
        if not found["ok"]:
            raise OSError(found["errno"], found["error"], request.get("path"))
        return found

    def _answer(self, to: str) -> dict[str, Any]:
        line = b""
        while not line.endswith(b"\n"):
            kind, length = next_frame_header(self._socket)
            if length < 0:
                raise self._lost(line.decode(errors="replace").strip() or "it ended")
            piece = read_exactly(self._socket, length)
            if kind == 2:  # standard error
                raise self._lost(piece.decode(errors="replace").strip().splitlines()[-1])
            line += piece
        found: dict[str, Any] = json.loads(line)
        return found

    def _lost(self, why: str) -> Failed:
        return Failed(f"the container {self.name}, which holds the lock and writes for us, is gone: {why}",
                      hint="nothing was written after that; what was begun goes on: hftctl rollout continue")  # fmt: skip


class NameTaken(Exception):
    pass


def body_of(deployment: str, image: str) -> dict[str, Any]:
    """A container of ours that sees all volumes of records and secrets, and nothing else."""
    mounts = [
        {"Type": "volume", "Source": names.volume(deployment, name), "Target": f"{ROOT}/{name}",
         "VolumeOptions": {"Labels": {names.DEPLOYMENT: deployment}}}
        for name in FOLDERS
    ]  # fmt: skip
    host = {
        "NetworkMode": "none", "ReadonlyRootfs": True, "CapDrop": ["ALL"], "SecurityOpt": ["no-new-privileges:true"],
        "Memory": 128 << 20, "MemorySwap": 128 << 20, "PidsLimit": 32, "Mounts": mounts,
    }  # fmt: skip
    return {
        "Image": image,
        "User": "1000:1000",
        "WorkingDir": "/",
        "Healthcheck": {"Test": ["NONE"]},
        "HostConfig": host,
    }


def lock_name(deployment: str) -> str:
    return names.container(deployment, "lock")


def described(labels: Mapping[str, str]) -> str:
    try:
        read = json.loads(labels[names.RECORD])
        since_s = read["since_ns"] / 1e9
        at = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(since_s))
        return f"{read['holder']} (pid {read['pid']}) since {at} UTC, {time.time() - since_s:.0f} s ago ({read['why']})"
    except (ValueError, KeyError, TypeError):
        return "somebody who has not said who"


def held(deployment: str, why: str, labels: Mapping[str, str]) -> LockHeld:
    return LockHeld(
        f"cannot lock '{deployment}' for {why!r}: lock held by {described(labels)}",
        hint="it is free as soon as that ends; wait for it with --lock-wait 60s",
    )


def no_image() -> NotFound:
    return NotFound("no image of ours is on this Docker engine, and its containers are made of it",
                    hint="build it: hftctl build --only images")  # fmt: skip
