"""The lock of a deployment: a Lease that its holder renews, and that anybody may take away once it has not been renewed for a while.

How long ago that was is told by the API server alone: its own time of the last write against its own time now. So neither a clock of
ours nor one of the holder's decides. A holder that could not renew in time stops before its next write.
"""

from __future__ import annotations

import getpass
import os
import random
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any

from hftctl.errors import Failed, HftctlError, LockHeld
from hftctl.targets.kubernetes import names
from hftctl.targets.kubernetes.api import Api, Conflict, Exists, Object

HELD_S = 15.0  # without a renewal: free
RENEW_S = 4.0
LOST_S = 10.0  # a holder that was not heard for so long writes nothing more
POLL_S = 0.5
SHARED = f"{names.LOCK}-shared-"


class Lease:
    """One that we hold."""

    def __init__(self, api: Api, made: Object) -> None:
        self._api, self._made = api, made
        self._renewed = time.monotonic()
        self._lost = ""
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._renew, daemon=True, name="hftctl-lease")
        self._thread.start()

    def check(self) -> None:
        """Before every write: raises Failed when the lock may be somebody else's by now."""
        silent_s = time.monotonic() - self._renewed
        why = self._lost or (f"it could not be renewed for {silent_s:.0f} s" if silent_s > LOST_S else "")
        if why:
            raise Failed(f"the lock was lost: {why}", hint="nothing was written after that; what was begun goes on: "
                         "hftctl rollout continue")  # fmt: skip

    def close(self) -> None:
        self._closed.set()
        self._thread.join()
        with suppress(HftctlError):
            self._api.delete(self._made)

    def _renew(self) -> None:
        while not self._closed.wait(RENEW_S * random.uniform(0.8, 1.0)):
            asked = time.monotonic()
            try:
                wanted = {**self._made, "spec": {**self._made["spec"], "renewTime": now()}}
                self._made = self._api.replace(wanted)
                self._renewed = asked
            except Conflict as error:
                self._lost = error.message
                return
            except HftctlError as error:
                if "not found" in error.message:
                    self._lost = "somebody took it away"
                    return


@contextmanager
def hold(
    api: Api, deployment: str, why: str, *, wait_s: float, shared: bool, held: Callable[[Lease], None]
) -> Iterator[None]:
    """Raises LockHeld naming the holder."""
    deadline = time.monotonic() + wait_s
    cleared = False
    while True:
        lease, other = _try(api, deployment, why, shared)
        if lease is not None:
            break
        if other and _expired(api, other) and not cleared:
            cleared = True  # it was a dead one's, and is gone now
            continue
        if time.monotonic() >= deadline:
            raise _held(api, deployment, why, other)
        time.sleep(POLL_S)
    held(lease)
    try:
        yield
    finally:
        lease.close()


def holder(api: Api, deployment: str) -> str:
    """Who holds it exclusively; empty when nobody does."""
    found = api.get("Lease", names.LOCK, names.namespace(deployment))
    return _described(api, found) if found is not None and not _expired(api, found) else ""


def _try(api: Api, deployment: str, why: str, shared: bool) -> tuple[Lease | None, Object]:
    """Both kinds make their own first and look at the others then: of two that meet, at most one goes on."""
    name = f"{SHARED}{secrets.token_hex(4)}" if shared else names.LOCK
    try:
        made = api.create(_manifest(deployment, name, why))
    except Exists:
        there = api.get("Lease", names.LOCK, names.namespace(deployment))
        if there is not None and _expired(api, there):
            _take_away(api, there)
        return None, there or {}
    for other in api.list("Lease", names.namespace(deployment), names.selector(deployment)):
        if other["metadata"]["name"] == name or (shared and other["metadata"]["name"] != names.LOCK):
            continue
        if _expired(api, other):
            _take_away(api, other)
            continue
        api.delete(made)
        return None, other
    return Lease(api, made), {}


def _take_away(api: Api, there: Object) -> None:
    with suppress(Conflict):  # renewed after all, or somebody was faster
        api.delete(there, version=True)


def _expired(api: Api, lease: Object) -> bool:
    return _silent_s(api, lease) > HELD_S


def _silent_s(api: Api, lease: Object) -> float:
    written = max(_seconds(one["time"]) for one in lease["metadata"]["managedFields"] if one.get("time"))
    return time.time() + api.skew_s - written


def _manifest(deployment: str, name: str, why: str) -> Object:
    who = f"{user()}/{os.getpid()}"
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {
            "name": name,
            "namespace": names.namespace(deployment),
            "labels": names.labels(deployment),
            "annotations": {names.WHY: why},
        },
        "spec": {
            "holderIdentity": who,
            "leaseDurationSeconds": int(HELD_S),
            "acquireTime": now(),
            "renewTime": now(),
        },
    }


def _held(api: Api, deployment: str, why: str, other: Object) -> LockHeld:
    return LockHeld(
        f"cannot lock '{deployment}' for {why!r}: lock held by {_described(api, other)}",
        hint=f"it is free when that ends, or {HELD_S:.0f} s after its holder died; wait for it with --lock-wait 60s",
    )


def _described(api: Api, lease: Object) -> str:
    if not lease:
        return "somebody who let go of it just now"
    spec = lease["spec"]
    who, _, pid = str(spec.get("holderIdentity", "")).rpartition("/")
    since_s = _seconds(spec["acquireTime"])
    at = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(since_s))
    why = lease["metadata"].get("annotations", {}).get(names.WHY, "")
    return f"{who} (pid {pid}) since {at} UTC, last heard {max(_silent_s(api, lease), 0):.0f} s ago ({why})"


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _seconds(text: Any) -> float:
    return datetime.fromisoformat(str(text).replace("Z", "+00:00")).timestamp()


def user() -> str:
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        name = f"uid {os.geteuid()}"
    return f"{name}@{socket.gethostname()}"
