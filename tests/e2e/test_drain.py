"""A drain of a stack that runs: with its stores, without PostgreSQL, over a restart of the engine, and its end."""

import os
import signal

import pytest

from hftctl.operations.drain import drain
from hftctl.operations.halt import resume
from stack.matcher.snapshot_file import describe, snapshot_paths

pytestmark = pytest.mark.stack


def point(stack):
    result = drain(stack.name, why="drill", timeout_s=30)
    assert result.error is None, result.error.message
    (one,) = result.partitions
    assert not one.left
    assert (one.written, one.snapshot) == (one.sequence, one.sequence)
    described = describe(snapshot_paths(stack.target.layout.partition(0))[0])
    assert described.point.sequence == one.sequence
    assert described.live_orders == one.live_orders
    assert described.point.events == one.rows
    return result.result, one


def test_nothing_is_under_way_and_it_stays_so(stack):
    order = stack.order(price="9.50").json()["order_id"]
    try:
        done, before = point(stack)
        assert done == "drained"
        assert stack.order().json()["code"] == "halted"
        postgres = stack.pids()["postgres-0"]
        os.kill(postgres, signal.SIGSTOP)  # no logins: its postmaster stands still
        try:
            away = drain(stack.name, timeout_s=1)
            assert away.error.exit_code == 12
            assert "PostgreSQL does not say how far partition 0 is written" in away.error.message
            assert f"hftctl resume -p {stack.name} --why TEXT" in away.error.hint
        finally:
            os.kill(postgres, signal.SIGCONT)
        stack.until_ready()
        _, behind = point(stack)
        assert behind.sequence == before.sequence + 1, "the order that was refused is journalled, the halt stood"
        assert behind.live_orders == before.live_orders
        assert point(stack)[0] == "unchanged"
        stack.kill("engine-0")
        stack.until_ready()
        assert point(stack)[0] == "unchanged", "it began from that very snapshot, and reads no orders"
    finally:
        assert resume(stack.name, why="drill is over").error is None
    assert stack.order(price="9.40").status_code == 201
    assert stack.read(order)["status"] == "open"
