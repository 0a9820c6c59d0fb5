"""Records of a deployment in its Docker volumes: read through the API from a container that never runs, written by the keeper.

So reading starts nothing and writes nothing, and whoever talks to the same engine, from whichever machine, reads the same.
"""

from __future__ import annotations

import getpass
import io
import os
import secrets
import socket
import tarfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from docker.errors import APIError

from hftctl.errors import Failed, LockHeld
from hftctl.plan.journal_file import NONE
from hftctl.targets.compose import names
from hftctl.targets.compose.daemon import Missing, saying
from hftctl.targets.compose.keeper import CONFLICT, ROOT, Keeper, NameTaken, body_of, described, held, lock_name

POLL_S = 0.05
STUCK_S = 5.0  # a container with the lock's name that has not started in so long belongs to somebody who was killed


class Store:
    """`image` says which image of ours may be used for writing."""

    def __init__(self, api: Any, deployment: str, image: Callable[[], str]) -> None:
        self._api, self._deployment, self._image = api, deployment, image
        self._keeper: Keeper | None = None
        self._afterwards: list[Callable[[], None]] = []

    @property
    def state_container(self) -> str:
        return names.container(self._deployment, "state")

    # reading

    def read(self, path: str) -> bytes | None:
        """A file below /srv/hftctl; None where there is none."""
        found = self.tree(path)
        return next(iter(found.values()), None)

    def tree(self, path: str) -> dict[str, bytes]:
        """Every file of a folder by its name, or one file."""
        try:
            with saying(f"read {path} of '{self._deployment}'"):
                data = b"".join(self._api.get_archive(self.state_container, f"{ROOT}/{path}")[0])
        except Failed as error:
            if isinstance(error.__cause__, Missing):
                return {}
            raise
        found: dict[str, bytes] = {}
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            for member in archive:
                if member.isfile() and (content := archive.extractfile(member)) is not None:
                    found[member.name.rpartition("/")[2]] = content.read()
        return found

    def exists(self) -> bool:
        try:
            with saying(f"look for '{self._deployment}'"):
                self._api.inspect_container(self.state_container)
        except Failed as error:
            if isinstance(error.__cause__, Missing):
                return False
            raise
        return True

    # writing

    @contextmanager
    def writer(self) -> Iterator[Keeper]:
        """The keeper that holds our lock, or one for this write alone."""
        if self._keeper is not None:
            yield self._keeper
            return
        name = names.container(self._deployment, f"writer-{secrets.token_hex(4)}")
        keeper = self._start(name, "writer", {})
        try:
            yield keeper
        finally:
            keeper.close()

    def check(self) -> None:
        """Before a change of anything else: raises Failed when our lock is lost."""
        if self._keeper is not None:
            self._keeper.check()

    @property
    def holds_lock(self) -> bool:
        return self._keeper is not None

    def forget(self) -> None:
        """The container that is read from; the deployment does not stand any more."""
        with saying(f"remove {self.state_container}"):
            try:
                self._api.remove_container(self.state_container, force=True)
            except Missing:
                return

    # the lock

    @contextmanager
    def lock(self, why: str, *, wait_s: float, shared: bool) -> Iterator[None]:
        record = {"holder": holder(), "pid": os.getpid(), "since_ns": time.time_ns(), "why": why, "shared": shared}
        deadline = time.monotonic() + wait_s
        stuck: dict[str, float] = {}
        while True:
            try:
                keeper = self._take(why, record, shared)
                break
            except LockHeld:
                self._clear_stuck(stuck)
                if time.monotonic() >= deadline and not stuck:
                    raise
                time.sleep(POLL_S)
        before, self._keeper = self._keeper, keeper
        try:
            yield
        finally:
            self._keeper = before
            keeper.close()
            while self._afterwards:
                self._afterwards.pop()()

    def afterwards(self, act: Callable[[], None]) -> None:
        """When no container of ours uses the volumes any more."""
        if self._keeper is None:
            act()
        else:
            self._afterwards.append(act)

    def lock_holder(self) -> str:
        """Who holds it exclusively; empty when nobody does."""
        for one in self._locks():
            if one["Names"][0] == f"/{lock_name(self._deployment)}" and one["State"] == "running":
                return described(one["Labels"])
        return ""

    def _take(self, why: str, record: dict[str, Any], shared: bool) -> Keeper:
        """Both kinds make their container first and look at the others then: of two that meet, at most one goes on."""
        own = lock_name(self._deployment)
        name = f"{own}-shared-{secrets.token_hex(4)}" if shared else own
        try:
            keeper = self._start(name, "lock", record)
        except NameTaken:
            labels: dict[str, str] = next((one["Labels"] for one in self._locks() if one["Names"][0] == f"/{own}"), {})
            raise held(self._deployment, why, labels) from None
        for other in self._locks():
            exclusive = other["Names"][0] == f"/{own}"
            if other["Names"][0] != f"/{name}" and (exclusive or not shared):
                keeper.close()
                raise held(self._deployment, why, other["Labels"])
        return keeper

    def _locks(self) -> list[dict[str, Any]]:
        filters = {"label": [f"{names.DEPLOYMENT}={self._deployment}", f"{names.ROLE}=lock"]}
        with saying(f"see who works on '{self._deployment}'"):
            found: list[dict[str, Any]] = self._api.containers(all=True, filters=filters)
        return found

    def _clear_stuck(self, seen: dict[str, float]) -> None:
        """Killed between making and starting it, its maker left a name that nobody holds."""
        now = time.monotonic()
        idle = {one["Id"] for one in self._locks() if one["State"] != "running"}
        for gone in set(seen) - idle:
            del seen[gone]
        for one in idle:
            if now - seen.setdefault(one, now) >= STUCK_S:
                del seen[one]
                with saying("remove a lock that nobody holds"):
                    try:
                        self._api.remove_container(one, force=True)
                    except Missing:
                        continue

    def _start(self, name: str, role: str, record: dict[str, Any]) -> Keeper:
        image = self._image()
        self._make_state_container(image)
        return Keeper(self._api, self._deployment, image, name=name, role=role, record=record)

    def _make_state_container(self, image: str) -> None:
        body = body_of(self._deployment, image)
        body["Cmd"] = ["/opt/hftctl/keeper.py"]
        body["Labels"] = {names.DEPLOYMENT: self._deployment, names.ROLE: "state"}
        if self.exists():
            return
        with saying(f"make the container {self.state_container}"):
            try:
                self._api.create_container_from_config(body, name=self.state_container)
            except APIError as error:
                if error.status_code != CONFLICT:
                    raise


class StoredJournal:
    """`hftctl.plan.journal_file.JournalFile` in a volume."""

    PATH = "state/rollout.journal"

    def __init__(self, store: Store) -> None:
        self._store = store

    def read(self) -> bytes:
        return self._store.read(self.PATH) or b""

    def size(self) -> int:
        return len(self.read()) or NONE

    def append(self, data: bytes, at: int) -> None:
        with self._store.writer() as keeper:
            keeper.append(self.PATH, data, at)

    def replace(self, data: bytes) -> None:
        with self._store.writer() as keeper:
            keeper.write(self.PATH, data, mode=0o600)


def holder() -> str:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = f"uid {os.geteuid()}"
    return f"{user}@{socket.gethostname()}"
