"""Outages of PostgreSQL and Valkey on a deployment that runs, each a context: the fault holds inside and is taken back behind.

They are caused for real: SIGKILL for as long as it lasts, SIGSTOP of every process of the server, every connection taken, a
file system that is full, FLUSHALL, memory that is out.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import psycopg
import redis

from hftctl.targets.local.process import read_record
from tests.faults.evidence import connect
from tests.faults.stack import Stack

KILL_EVERY_S = 0.05
DISK_MIB = 3072
ENLARGED_MIB = 12_288
SLOW_S, AWAKE_S = 0.9, 0.1


def pid_of(stack: Stack, component: str) -> int | None:
    record = read_record(stack.folder / "run", component)
    return record.identity.pid if record else None


@contextmanager
def _meanwhile(work, every_s: float) -> Iterator[None]:
    """`work()` again and again in a thread."""
    ended = threading.Event()

    def run() -> None:
        while not ended.wait(every_s):
            work()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@contextmanager
def killed(stack: Stack, component: str) -> Iterator[None]:
    """Whatever the supervisor starts again is killed again; in the end the repair command brings it back."""

    def kill() -> None:
        pid = pid_of(stack, component)
        with contextlib.suppress(ProcessLookupError):
            if pid is not None:
                os.kill(pid, signal.SIGKILL)

    kill()
    with _meanwhile(kill, KILL_EVERY_S):
        yield
    stack.repair()


@contextmanager
def stopped(stack: Stack, component: str) -> Iterator[None]:
    """SIGSTOP of the server and all its processes: it neither answers nor refuses."""
    pid = pid_of(stack, component)
    assert pid is not None
    server = psutil.Process(pid)
    server.suspend()  # first, so that it starts no other
    family = [server, *server.children(recursive=True)]
    for process in family:
        process.suspend()
    try:
        yield
    finally:
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.resume()


@contextmanager
def no_connections(stack: Stack) -> Iterator[None]:
    """Others hold every connection there is, those of the persister and the gateways included."""
    held: list[psycopg.Connection] = []

    others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> ALL(%s)"

    def take_all() -> None:
        with contextlib.suppress(psycopg.OperationalError):
            while True:
                held.append(connect(stack))
                held[-1].autocommit = True
        held[0].execute(others, ([one.info.backend_pid for one in held],))

    take_all()
    try:
        with _meanwhile(take_all, 0.02):
            yield
    finally:
        for one in held:
            one.close()


@contextmanager
def small_disk(stack: Stack) -> Iterator[Path]:
    """PostgreSQL's data folder on a file system of its own, from before the load on. Needs root."""
    data = stack.folder / "data" / "postgres-0"
    aside = data.with_name("postgres-aside")
    stack.command("stop", "-p", stack.name, "--yes")
    data.rename(aside)
    data.mkdir(mode=0o700)
    shutil.copystat(aside, data)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m,mode=0700", "hftctl-test", str(data)], check=True)
    try:
        subprocess.run(["cp", "-a", f"{aside}/.", str(data)], check=True)
        shutil.rmtree(aside)
        stack.repair()
        yield data
    finally:
        stack.command("stop", "-p", stack.name, "--yes", expect=(0, 13))
        subprocess.run(["umount", str(data)], check=True)


@contextmanager
def full_disk(data: Path) -> Iterator[None]:
    """Not a byte is left: neither rows nor write-ahead log can grow."""
    filler = data / "filler"
    piece = bytes(1 << 20)

    def fill() -> None:
        with contextlib.suppress(OSError), filler.open("ab", buffering=0) as file:
            while file.write(piece):
                pass

    fill()
    try:
        with _meanwhile(fill, 0.2):  # what a crash frees is taken again
            yield
    finally:
        filler.unlink()
        # Room for the rows of what comes after; what is not used takes no memory.
        subprocess.run(["mount", "-o", f"remount,size={ENLARGED_MIB}m", str(data)], check=True)


def valkey(stack: Stack) -> redis.Redis:
    password = (stack.folder / "secrets" / "redis_password").read_text().strip()
    lines = (stack.folder / "config" / "redis.conf").read_text().splitlines()
    port = next(int(line.split()[1]) for line in lines if line.startswith("port "))
    return redis.Redis(port=port, password=password)


@contextmanager
def wiped(stack: Stack) -> Iterator[None]:
    with valkey(stack) as client, _meanwhile(client.flushall, 0.5):
        yield


@contextmanager
def slow(stack: Stack) -> Iterator[None]:
    """Nine tenths of the time it does not run."""
    pid = pid_of(stack, "redis")
    assert pid is not None
    process = psutil.Process(pid)
    asleep = threading.Event()

    def doze() -> None:
        process.suspend()
        asleep.wait(SLOW_S)
        process.resume()

    with _meanwhile(doze, AWAKE_S):
        yield


@contextmanager
def out_of_memory(stack: Stack) -> Iterator[None]:
    with valkey(stack) as client:
        before = {name: client.config_get(name)[name] for name in ("maxmemory", "maxmemory-policy")}
        client.config_set("maxmemory-policy", "noeviction")
        client.config_set("maxmemory", 1)
        try:
            yield
        finally:
            for name, value in before.items():
                client.config_set(name, value)
