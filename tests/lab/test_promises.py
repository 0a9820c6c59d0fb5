"""What the README promises, shown on a whole stack through the public door and the command line, in a short form.

`python -m tests.lab.promises` is the long form of the same: whole captured days, a minute of load; its report is committed.
"""

import asyncio
import json

import pytest

from tests.faults.clients import Connection
from tests.faults.evidence import gather
from tests.faults.stack import Stack
from tests.lab.promises import CAPTURED, load_problems, replay_problems
from tests.stack.gateway.bad_orders import DOCUMENTS, GOOD, MEMBERS

pytestmark = [pytest.mark.lab, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def stack():
    stack = Stack.make("promises")
    stack.deploy()
    yield stack
    stack.destroy()


def send(stack, method, path, body=b""):
    async def once():
        connection = Connection(stack.http)
        try:
            return await connection.request(method, path, body)
        finally:
            connection.close()

    return asyncio.run(once())


def sequence(stack):
    return send(stack, "GET", "/book/AAPL?depth=1")[1]["sequence"]


def test_bad_orders_get_one_clear_error_at_the_public_door_and_change_nothing(stack):
    before = sequence(stack)
    known = json.dumps({**GOOD, "account": "nobody-we-know"}).encode()
    cases = {**DOCUMENTS, **MEMBERS, "unknown account": (known, "unknown_account", "account")}
    assert len(cases) >= 40
    wrong = {}
    for name, (body, code, field) in cases.items():
        status, error = send(stack, "POST", "/orders", body)
        if status != 422 or (error["code"], error["field"]) != (code, field) or not error["message"]:
            wrong[name] = (status, error)
    status, error = send(stack, "POST", "/orders", b" " * ((1 << 20) + 1))
    assert (status, error["code"]) == (413, "body_too_large")
    assert not wrong
    assert sequence(stack) == before, "something was journalled"
    status, order = send(stack, "POST", "/orders", json.dumps({**GOOD, "client_order_id": "after-all-that"}).encode())
    assert (status, order["status"]) == (201, "open"), "the next good request works"


@pytest.mark.parametrize(("name", "limit"), [("futures", 10_000), ("bitcoin", 6_000)])
def test_a_captured_day_is_answered_as_the_reference_book_answers_it(stack, name, limit):
    file = CAPTURED[name]
    if not file.exists():
        pytest.skip(f"no captured data at {file}: set HFTCTL_DATA_DIR")
    assert not replay_problems(stack, file, limit)


def test_forty_clients_succeed_at_every_order_and_the_report_is_honest(stack):
    report, problems = load_problems(stack, clients=40, duration="5s")
    assert not problems
    assert report["loop"].startswith("closed loop")
    assert report["latency_ms"]["p99_9"] >= report["latency_ms"]["p50"] > 0
    assert report["disk_sync"]["p50_us"] > 0


def test_postgres_and_books_equal_the_journal_after_all_that(stack):
    evidence = gather(stack)
    assert not evidence.incomplete
    assert not evidence.problems
    assert evidence.rows == len(evidence.truth.events) > 10_000
