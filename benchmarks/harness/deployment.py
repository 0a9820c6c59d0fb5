"""A deployment for one benchmark: brought up by `hftctl deploy` from a temporary profile, on free ports, in a state folder of
its own, and taken down whole. What it did is counted in its journal and in PostgreSQL, never in the generator alone."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from benchmarks.harness.measured import Unmeasured
from tests.faults.evidence import connect
from tests.faults.stack import Stack

CATCH_UP_S_MAX = 300.0
ADMIN_TIMEOUT_S = 10.0
ACCOUNT = "demo"


class Deployment:
    """Use as `with deployed(...) as ours`."""

    def __init__(self, stack: Stack, authentication: str) -> None:
        self._stack = stack
        self.authentication = authentication
        self.port = stack.http
        self.folder = stack.folder
        self.groups = {name: [pid] for name, pid in stack.pids().items()}

    @property
    def stack(self) -> Stack:
        return self._stack

    @property
    def journal(self) -> Path:
        return self.folder / "data" / "partition-0" / "journal"

    def key(self, account: str = ACCOUNT) -> str:
        """The account's API key; empty without authentication."""
        if self.authentication == "none":
            return ""
        return (self.folder / "secrets" / f"api_key.{account}").read_text().strip()

    def status(self, partition: int = 0) -> dict[str, Any]:
        """Of the engine, asked at its admin socket."""
        with socket.socket(socket.AF_UNIX) as admin:
            admin.settimeout(ADMIN_TIMEOUT_S)
            admin.connect(str(self.folder / "run" / f"engine-{partition}.admin.sock"))
            admin.sendall(b'{"command": "status"}\n')
            answer = b""
            while not answer.endswith(b"\n"):
                piece = admin.recv(1 << 16)
                if not piece:
                    raise Unmeasured(f"engine-{partition} closed its admin socket")
                answer += piece
        return dict(json.loads(answer))

    def checkpoint(self, partition: int = 0) -> int:
        """The last command whose events all stand in PostgreSQL."""
        with connect(self._stack) as connection:
            row = connection.execute("SELECT sequence FROM checkpoint WHERE partition = %s", [partition]).fetchone()
        return int(row[0]) if row else 0

    def rows(self) -> int:
        with connect(self._stack) as connection:
            row = connection.execute("SELECT count(*) FROM events").fetchone()
        return int(row[0]) if row else 0

    def caught_up_s(self, partition: int = 0) -> float:
        """Waits until PostgreSQL has all that is durable now; how long that took."""
        wanted = self.status(partition)["durable_sequence"]
        began = time.monotonic()
        while (stands := self.checkpoint(partition)) < wanted:
            if time.monotonic() - began > CATCH_UP_S_MAX:
                raise Unmeasured(f"PostgreSQL stands at {stands} of {wanted} after {CATCH_UP_S_MAX:.0f} s")
            time.sleep(0.05)
        return time.monotonic() - began

    @contextmanager
    def without_persister(self, partition: int = 0) -> Iterator[None]:
        """Stops it by SIGSTOP: rows come later, orders do not know."""
        pid = self.groups[f"persister-{partition}"][0]
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    def bytes_on_disk(self) -> dict[str, int]:
        folders = {
            "journal": self.journal,
            "events": self.journal.parent / "events",
            "postgres": self.folder / "data" / "postgres-0",
        }
        return {
            name: sum(f.stat().st_blocks * 512 for f in folder.rglob("*") if f.is_file())
            for name, folder in folders.items()
        }


class Counted:
    """What the journal says of a run: begin before it, then `orders()`."""

    def __init__(self, ours: Deployment, partitions: int = 1) -> None:
        self._ours = ours
        self._partitions = range(partitions)
        self._before = [ours.status(number) for number in self._partitions]
        self.checkpoint = ours.checkpoint()

    def difference(self) -> dict[str, int]:
        """What the engines did since."""
        after = [self._ours.status(number) for number in self._partitions]
        pairs = list(zip(after, self._before, strict=True))
        found = {
            name: sum(a[name] - b[name] for a, b in pairs)
            for name in ("durable_sequence", "durable_events", "fills", "groups", "repeats", "busy")
        }
        found["refused"] = sum(sum(a["refusals"].values()) - sum(b["refusals"].values()) for a, b in pairs)
        found["live_orders"] = sum(a["live_orders"] for a in after)
        return found

    def check(self, orders: int, *, in_flight: int) -> dict[str, int]:
        """Every answered order stands in the journal, at most those in flight besides; none was refused or a repeat."""
        found = self.difference()
        # The rolls of the ids are commands too.
        rolls = orders // 100_000 + 1
        if not orders <= found["durable_sequence"] <= orders + in_flight + rolls:
            raise Unmeasured(
                f"{orders} orders were answered with 2xx, the journal has {found['durable_sequence']} commands more than before"
            )
        if found["refused"] or found["repeats"]:
            raise Unmeasured(
                f"of {orders} orders {found['refused']} were refused and {found['repeats']} taken as repeats"
            )
        return found


@contextmanager
def deployed(
    settings: str = "",
    *,
    authentication: str = "none",
    home: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Deployment]:
    """`settings`: lines of YAML over the profile `local`; `environment`: of hftctl. Destroyed at the end, data and all."""
    name = f"bench-{secrets.token_hex(3)}"
    settings += f"authentication: {authentication}\n"
    stack = Stack.make(name, settings) if home is None else Stack(name, _made(home), settings)
    stack.environment |= environment or {}
    try:
        try:
            stack.deploy()
        except AssertionError as error:
            raise Unmeasured(f"the deployment did not come up: {error}") from None
        yield Deployment(stack, authentication)
    finally:
        stack.destroy()
        if home is None:
            shutil.rmtree(stack.home, ignore_errors=True)


def _made(home: Path) -> Path:
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    return home


def connected(ours: Deployment) -> psycopg.Connection[Any]:
    return connect(ours.stack)
