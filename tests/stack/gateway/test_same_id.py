"""One client_order_id, sent twenty times at once through every door: one order and one answer, also over kills and cuts."""

import http.client
import json
import signal
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import engine as engines
from stack.settings import PartitionSettings
from tests.stack.gateway.cut import CutLink
from tests.stack.gateway.processes import NO_POSTGRES, NO_REDIS, Client, Process, answers, engine, gateway, order

Start = Callable[[Process], Process]
TIMES = 20
COMPILED = not engines.implementations()["cython"]

pytestmark = pytest.mark.lab


@pytest.fixture(autouse=True)
def _password(run: Path) -> None:
    (run / "password").write_text("none")


def doors(run: Path, started: Start) -> tuple[Process, list[tuple[Path, str]]]:
    """An engine, and every (path, route) that takes orders for it: two gateways, and the engine's own where there is one."""
    changes = {"implementation": "cython", "order_socket": "orders.sock"} if COMPILED else {}
    behind = started(engine(run, **changes))
    sockets = [
        run / started(gateway(run, NO_POSTGRES, NO_REDIS, component=f"gateway-{n}", socket=f"gateway-{n}.sock")).socket
        for n in (0, 1)
    ]
    if COMPILED:
        sockets.append(run / "orders.sock")
    return behind, [(path, route) for path in sockets for route in ("/orders", "/orders/batch")]


def send(path: Path, route: str, body: dict[str, Any], settled: threading.Event | None = None) -> tuple[int, bytes]:
    """Status and bytes of the Order. Without an answer it is sent again, as a client does that does not know."""
    while True:
        try:
            status, content = _post(path, route, json.dumps([body] if route.endswith("batch") else body).encode())
        except (OSError, http.client.HTTPException):
            if settled is not None:
                settled.wait(20)
            continue
        if not route.endswith("batch"):
            return status, content
        (item,) = json.loads(content)
        _, _, rest = content.strip().partition(b'"order":')
        return item["status"], rest.removesuffix(b"}]")


def _post(path: Path, route: str, content: bytes) -> tuple[int, bytes]:
    client = http.client.HTTPConnection("door", timeout=20)
    with socket.socket(socket.AF_UNIX) as client.sock:
        client.sock.settimeout(20)
        client.sock.connect(str(path))
        client.request("POST", route, content, {"Content-Type": "application/json", "Connection": "close"})
        answer = client.getresponse()
        return answer.status, answer.read()


def all_at_once(
    where: list[tuple[Path, str]], body: dict[str, Any], meanwhile: Callable[[], object] = lambda: None
) -> list[tuple[int, bytes]]:
    ready, settled = threading.Barrier(TIMES + 1), threading.Event()

    def one(number: int) -> tuple[int, bytes]:
        ready.wait()
        return send(*where[number % len(where)], body, settled)

    with ThreadPoolExecutor(TIMES) as pool:
        sent = [pool.submit(one, number) for number in range(TIMES)]
        ready.wait()
        meanwhile()
        settled.set()
        return [future.result() for future in sent]


def assert_one_order(answered: list[tuple[int, bytes]], statuses: list[int]) -> bytes:
    assert sorted(status for status, _ in answered) == statuses
    assert len({order for _, order in answered}) == 1, "everybody is told the same, byte by byte"
    return answered[0][1]


def test_twenty_at_once_through_every_door_make_one_order_and_a_kill_changes_nothing(run: Path, started: Start) -> None:
    behind, where = doors(run, started)
    body = order(client_order_id="same", time_in_force="GTC")
    first = assert_one_order(all_at_once(where, body), [200] * (TIMES - 1) + [201])
    behind.kill()
    behind.start()
    assert assert_one_order(all_at_once(where, body), [200] * TIMES) == first

    def die() -> None:
        behind.process.send_signal(signal.SIGSTOP)
        behind.kill()
        behind.start()

    answered = all_at_once(where, {**body, "client_order_id": "dies"}, die)
    assert len({order for _, order in answered}) == 1
    assert {status for status, _ in answered} <= {200, 201}
    assert [status for status, _ in answered].count(201) <= 1, "at most one is told that it made the order"


def test_another_body_under_the_same_id_is_refused_at_every_door(run: Path, started: Start) -> None:
    _, where = doors(run, started)
    body = order(client_order_id="same", time_in_force="GTC")
    assert send(*where[0], body)[0] == 201
    for path, route in where:
        assert send(path, route, {**body, "quantity": "11"})[0] == 409


def test_a_link_cut_after_the_command_passed_is_unknown_and_settled_by_a_look(run: Path, started: Start) -> None:
    started(engine(run))
    entry = PartitionSettings(partition=0, link_socket="cut.sock", ranges=["0-9", "A-Z"])
    with CutLink(run / "cut.sock", run / "link-0.sock") as link:
        door = started(gateway(run, NO_POSTGRES, NO_REDIS, partitions=[entry], hold_s=0.5))
        with Client(door) as client:
            resting = client.place(client_order_id="resting")[1]
            requests: dict[str, tuple[str, str, Any]] = {
                "cut-1": ("POST", "/orders", order(client_order_id="cut-1")),
                "cut-2": ("POST", "/orders/batch", [order(client_order_id="cut-2")]),
                "resting": ("DELETE", f"/orders/{resting['order_id']}", None),
            }
            for number, (name, request) in enumerate(requests.items(), 1):
                link.cut_after_next_command()
                status, answer = client.call(*request)
                if isinstance(answer, list):
                    status, answer = answer[0]["status"], answer[0]["error"]
                assert (status, answer["code"], answer["outcome"]) == (504, "outcome_unknown", "unknown")
                assert request[0] == "DELETE" or answer["client_order_id"] == name
                assert link.cuts == number
                link.heal()
                status, page = client.call("GET", f"/orders?account=alice&client_order_id={name}")
                assert status == 200
                (found,) = page["orders"]
                status, again = client.call(*request)
                again = again[0]["order"] if isinstance(again, list) else again
                assert (status, again) == (200, found), "sent again, it is answered with what stands"
            assert found["status"] == "cancelled"
            _, page = client.call("GET", "/orders?account=alice&live=true")
            assert [one["client_order_id"] for one in page["orders"]] == ["cut-1", "cut-2"]
    assert answers(run / "link-0.sock")
