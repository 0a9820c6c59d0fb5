"""Where services share no folder, as pods of a cluster: gateway and engine meet at host:port, and orders enter at one."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from stack.settings import PartitionSettings
from tests.ports import free_ports
from tests.stack.gateway.processes import NO_POSTGRES, NO_REDIS, START_S, Process, engine, gateway, order

Start = Callable[[Process], Process]


@pytest.fixture(autouse=True)
def _password(run: Path) -> None:
    (run / "password").write_text("none")


def ready(client: httpx.Client, process: Process) -> None:
    deadline = time.monotonic() + START_S
    while True:
        try:
            if client.get("/health/ready").status_code == 200:
                return
        except httpx.TransportError:
            assert process.process.poll() is None, process.log()
        assert time.monotonic() < deadline, process.log()
        time.sleep(0.05)


def test_an_order_enters_by_tcp_and_waits_out_an_engine_that_was_killed(run: Path) -> None:
    link, door = (f"127.0.0.1:{port}" for port in free_ports(2))
    partitions = [PartitionSettings(partition=0, link_socket=link, ranges=["0-9", "A-Z"])]
    parts = [
        engine(run, link_socket=link),
        gateway(run, NO_POSTGRES, NO_REDIS, socket=door, partitions=partitions, hold_s=20.0),
    ]
    for part in parts:
        part.start(wait=False)
    try:
        with httpx.Client(base_url=f"http://{door}", timeout=20) as client:
            ready(client, parts[1])
            first = client.post("/orders", json=order())
            assert first.status_code == 201, first.text
            parts[0].kill()
            with ThreadPoolExecutor(1) as pool:
                waiting = pool.submit(client.post, "/orders", json=order(client_order_id="c-2"))
                parts[0].start(wait=False)
                assert waiting.result().status_code == 201
            assert client.get(f"/orders/{first.json()['order_id']}").json() == first.json()
    finally:
        codes = [part.stop() for part in reversed(parts)]
    assert codes == [0, 0]
