"""Releases that bake on a stack that is traded on: what does worse is taken back and stays away, what does not stays."""

import asyncio
import threading
import time
from contextlib import contextmanager

import pytest

from hftctl.operations import bake
from tests.faults.clients import Crowd
from tests.faults.history import Op, Result

pytestmark = [pytest.mark.lab, pytest.mark.stack]  # a minute of trading is too long for `make test`

CLIENTS = 8


@contextmanager
def traded_on(stack):
    crowd = Crowd(stack.profile["ports"]["http"], seed=1)
    thread = threading.Thread(target=lambda: asyncio.run(crowd.run(CLIENTS)))
    thread.start()
    try:
        yield crowd
    finally:
        crowd.stopping = True
        thread.join()


def test_under_load_a_bad_release_is_taken_back_and_a_good_one_stays(stack, monkeypatch):
    monkeypatch.setattr(bake, "BEFORE_S", 2.0)
    before = stack.profile
    watched = {**before["rollout"], "bake_s": 6, "min_requests": 100, "max_p99_us": 10_000_000}
    told = []
    with traded_on(stack) as crowd:
        good = stack.deploy(rollout=watched, max_latency_us=before["max_latency_us"] + 1)
        assert good.result == "ready", good
        assert "nothing got worse: orders turned away" in good.baked

        # a fraction of what these clients reach here: the proof comes through sooner or later, most of theirs do not
        begun, started = len(crowd.history), time.monotonic()
        stack.until(lambda: time.monotonic() - started > 2, "their rate is known")
        rate = (len(crowd.history) - begun) / (time.monotonic() - started)
        bad = stack.deploy(trading={**before["trading"], "max_orders_per_second": max(1, int(rate / 4))})
        assert (bad.result, bad.revision) == ("reverted", good.revision + 2), bad
        told.append(bad.error.message.splitlines()[0])
        stack.profile = {**before, "rollout": watched, "max_latency_us": before["max_latency_us"] + 1}
        done = len(crowd.history)
        stack.until(lambda: len(crowd.history) > done + 20 * CLIENTS, "the clients go on")
        assert any(one.op is Op.PLACE and one.result is Result.OK for one in crowd.history[done + 10 * CLIENTS :])
    assert "orders turned away" in told[0] and "0 us" not in told[0]
    last = stack.target.revisions()[-1]
    assert last.release.hash == good.release and last.proof["orders"]
    started = stack.start()
    assert not started.plan.pending, "the newest revision is the one that stands"
    assert started.revision == last.number, started
    assert stack.order().status_code == 201
