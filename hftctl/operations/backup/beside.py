"""A deployment for a while: the same name in a state home of its own, on free ports, beside the one that runs.

Whoever uses it holds the lock of its folder. What a killed one left, processes included, the next command ends and removes.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from hftctl import paths
from hftctl.errors import HftctlError, Interrupted
from hftctl.operations.request import Prover, Request
from hftctl.operations.rollout import new_id, roll
from hftctl.operations.terms import Report, RolloutResult
from hftctl.release import Release, code_artifacts, schema_range
from hftctl.targets.local import LocalTarget

PREFIX = ".beside-"
LOCK = "lock"
PORT_TRIES = 50


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder of ours in the state home, so that what is in it can be moved to its place at once; gone at the end, with
    everything that runs from it."""
    home = paths.make_folder(paths.home())
    _sweep(home)
    folder, lock = _own(home)
    before = None
    if threading.current_thread() is threading.main_thread():
        before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield folder
    finally:
        try:
            _remove(folder)
        finally:
            os.close(lock)
            if before is not None:
                signal.signal(signal.SIGTERM, before)


def _own(home: Path) -> tuple[Path, int]:
    while True:
        folder = paths.make_folder(home / f"{PREFIX}{new_id()}", mode=0o700)
        with suppress(FileNotFoundError):  # somebody who sweeps may be faster than we with its lock
            lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(lock, fcntl.LOCK_EX)
            if (folder / LOCK).exists():
                return folder, lock
            os.close(lock)


def _interrupt(_number: int, _frame: Any) -> None:
    raise KeyboardInterrupt


def _sweep(home: Path) -> None:
    for folder in home.glob(f"{PREFIX}*"):
        try:
            lock = os.open(folder / LOCK, os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            with suppress(OSError):
                folder.rmdir()  # whoever made it was killed before its lock was there
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _remove(folder)
        except BlockingIOError:
            continue  # somebody works in it
        finally:
            os.close(lock)


def _remove(folder: Path) -> None:
    for journal in folder.glob("*/rollout.journal"):
        with suppress(
            HftctlError, OSError
        ):  # what does not stop is told of by its own files: they are removed under it
            LocalTarget(journal.parent.name, home=folder).stop()
    remove_tree(folder, last=LOCK)


def remove_tree(folder: Path, *, last: str) -> None:
    """Delete a folder, and the last thing in it by whose name the next one knows what we leave when we are killed here."""
    for one in folder.iterdir():
        if one.name != last:
            shutil.rmtree(one, ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)


class Beside:
    """In a folder of `scratch`."""

    def __init__(self, folder: Path, release: Release) -> None:
        self.target = LocalTarget(release.deployment, home=folder)
        self.layout = self.target.layout
        self.release = replace(
            release,
            profile=_elsewhere(release.profile),
            artifacts=code_artifacts(),
            schema=schema_range(),
        )
        paths.make_folder(self.layout.root, mode=0o700)
        paths.make_folder(self.layout.data, mode=0o700)

    def secrets(self, files: Mapping[str, bytes]) -> None:
        """Instead of new ones."""
        paths.make_folder(self.layout.secrets, mode=0o700)
        for name, content in files.items():
            paths.write_atomic(self.layout.secrets / name, content, mode=0o600)

    def bring_up(self, why: str, prove: Prover, report: Report) -> RolloutResult:
        timeout_s = float(self.release.profile["rollout"]["timeout_s"])
        asked = Request("restore", why, prove, report=report, timeout_s=timeout_s, bake=False)
        try:
            return roll(self.target, self.release, asked)
        except Interrupted as error:  # its words are about a deployment that is gone in a moment
            raise KeyboardInterrupt from error

    def stop(self) -> None:
        self.target.stop()


def _elsewhere(profile: Mapping[str, Any]) -> dict[str, Any]:
    """On free ports, on loopback. The binary door's are one after the other."""
    count = len(profile["partitions"])
    with ExitStack() as held:
        http, postgres, redis = (_listen(held, 0) for _ in range(3))
        binary = _neighbours(count) if profile.get("binary_door", False) else profile["ports"]["binary"]
    ports = {**profile["ports"], "http": http, "postgres": postgres, "redis": redis, "binary": binary}
    return {**profile, "ports": ports, "bind": "127.0.0.1"}


def _listen(held: ExitStack, port: int) -> int:
    return int(held.enter_context(socket.create_server(("127.0.0.1", port))).getsockname()[1])


def _neighbours(count: int) -> int:
    for _ in range(PORT_TRIES):
        with ExitStack() as held, suppress(OSError, OverflowError):
            first = _listen(held, 0)
            for port in range(first + 1, first + count):
                _listen(held, port)
            return first
    raise OSError(f"no {count} free ports one after the other were found")
