"""Where an order's time went: every request is in every stage once, and the stages of all add up to the whole."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from msgspec.structs import replace
from prometheus_client import CollectorRegistry
from prometheus_client.multiprocess import MultiProcessCollector

from stack.matcher.partition import Partition
from stack.settings import EngineSettings
from tests.stack.matcher.engines import Process, cancel, new, with_partition
from tests.stack.matcher.test_process import ask_admin

stages = pytest.importorskip("stack.matcher.stages", reason="nothing is compiled here")
packed = pytest.importorskip("stack.matcher.packed", reason="nothing is compiled here")
PARTS = ("door", "match", "journal", "reply")


class Deaf:
    def replies(self, _token: int, _count: int, _payload: bytes) -> None:
        return

    lost = replies


@pytest.mark.parametrize(("rate", "measured"), [(1.0, 40), (0.25, 10), (0.0, 0)])
def test_the_stages_of_measured_batches_add_up(settings: EngineSettings, rate: float, measured: int) -> None:
    async def test(partition: Partition) -> None:
        for number in range(40):
            packed.submit(partition.intake, new(f"a{number}") + new(f"b{number}", price=1), Deaf(), number)
            while partition.unacknowledged:
                await asyncio.sleep(0)
        found = partition.intake.stages.read()
        assert {name: sum(counts) for name, (_, counts) in found.items()} == dict.fromkeys((*PARTS, "total"), measured)
        assert sum(found[name][0] for name in PARTS) == found["total"][0]
        assert (found["journal"][0] > found["match"][0] > 0) == bool(measured)

    with_partition(replace(settings, latency_sample_rate=rate), test)


def test_what_was_turned_away_is_in_no_stage(settings: EngineSettings) -> None:
    async def test(partition: Partition) -> None:
        packed.submit(partition.intake, new("a"), Deaf(), 1)
        assert sum(partition.intake.stages.read()["total"][1]) == 0

    with_partition(replace(settings, max_unacknowledged=1), _full_first(test))


def _full_first(test):  # type: ignore[no-untyped-def]
    async def run(partition: Partition) -> None:
        waiting = asyncio.get_running_loop().create_future()
        partition.when_durable(lambda: waiting.set_result(None), lambda: None)
        await test(partition)
        await waiting

    return run


def test_a_value_stands_in_the_bucket_whose_bound_is_next() -> None:
    counts = [0] * (len(stages.BOUNDS_NS) + 1)
    counts[3] = 99
    counts[10] = 1
    assert stages._quantile_us(counts, 50.0) == stages.BOUNDS_NS[3] / 1000
    assert stages._quantile_us(counts, 99.9) == stages.BOUNDS_NS[10] / 1000
    assert stages._quantile_us([*[0] * len(stages.BOUNDS_NS), 5], 2.5) is None
    steps = [after / before for before, after in zip(stages.BOUNDS_NS, stages.BOUNDS_NS[1:], strict=False)]
    assert min(steps) > 1 and max(steps) <= 1.25


def test_metrics_and_status_show_the_same_stages(process: Process, settings: EngineSettings, tmp_path: Path) -> None:
    process.settings = replace(settings, metrics_enabled=True)

    async def trade() -> None:
        async with process.link() as link:
            await link.wait_connected(20)
            for number in range(5):
                await link.submit(new(f"a{number}"))
            await link.submit(cancel(5))

    process.start()
    asyncio.run(asyncio.wait_for(trade(), 30))
    shown = ask_admin(process, command="status")
    assert process.end() == 0
    found = shown.get("status", shown)["stages"]
    assert found["total"]["requests"] == 6
    assert found["total"]["p50_us"] <= found["total"]["p99_9_us"]
    registry = CollectorRegistry()
    MultiProcessCollector(registry, path=str(tmp_path / "metrics"))
    for name in (*PARTS, "total"):
        of = {"partition": "0", "stage": name}
        assert registry.get_sample_value("hft_stage_seconds_count", of) == 6
        value = registry.get_sample_value("hft_stage_seconds_sum", of)
        assert value is not None and abs(value * 1e6 - found[name]["sum_us"]) < 2
