"""kill -9 and real write errors: what was acknowledged is there, what is there has no gap, nothing is doubled."""

from __future__ import annotations

import asyncio
import random
import resource
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from stack.matcher import journal_files
from stack.matcher.partition import Partition
from stack.settings import EngineSettings
from stack.wire.frames import Outcome
from stack.wire.link import Link, LinkLost
from tests.stack.matcher.engines import Process, new, opened, submit
from tests.stack.matcher.test_process import verify

SEGMENT_BYTES = 4096 + 500 * 144  # many segments are begun under load


async def load(link: Link, clients: int, acknowledged: dict[str, int], name: str) -> None:
    """Clients that send one order after the other until the link breaks; each acknowledgement is noted."""

    async def client(number: int) -> None:
        for count in range(1_000_000):
            text = f"{name}-{number}-{count}"
            try:
                reply = await link.submit(new(text, price=1 + (number * 7 + count) % 900))
            except LinkLost:
                return
            if reply.outcome == Outcome.STOPPED:
                return
            assert reply.outcome == Outcome.DONE
            acknowledged[text] = reply.events[0].order

    await asyncio.gather(*(client(number) for number in range(clients)))


async def check(link: Link, acknowledged: dict[str, int], names: list[str]) -> None:
    """Every acknowledged id is a repeat of the same order; every other id in doubt exists at most once."""
    for text in names:
        reply = await link.submit(new(text, price=price_of(text)))
        if text in acknowledged:
            assert (reply.outcome, reply.events[0].order) == (Outcome.REPEAT, acknowledged[text]), text


def price_of(text: str) -> int:
    _, number, count = text.rsplit("-", 2)
    return 1 + (int(number) * 7 + int(count)) % 900


@pytest.mark.parametrize("which", ["python", "auto"])
def test_kill_9_under_load_loses_and_doubles_nothing(process: Process, settings: EngineSettings, which: str) -> None:
    seeded = random.Random(7)
    process.settings = replace(
        settings, segment_bytes=SEGMENT_BYTES, implementation=which, max_live_orders=1 << 17, client_ids_max=1 << 17
    )
    acknowledged: dict[str, int] = {}

    async def round_(number: int) -> None:
        async with process.link() as link:
            await link.wait_connected(30)
            assert len(set(acknowledged.values())) == len(acknowledged)
            await check(link, acknowledged, seeded.sample(sorted(acknowledged), min(200, len(acknowledged))))
            running = asyncio.ensure_future(load(link, 20, acknowledged, f"r{number}"))
            enough = len(acknowledged) + seeded.randrange(1, 600)
            while len(acknowledged) < enough:
                await asyncio.sleep(0)
            process.process.send_signal(signal.SIGKILL)
            await running

    async def final() -> int:
        async with process.link() as link:
            welcome = await link.wait_connected(30)
            await check(link, acknowledged, sorted(acknowledged))
            return welcome.sequence

    for number in range(6):
        process.start()
        asyncio.run(asyncio.wait_for(round_(number), 60))
        process.end(signal.SIGKILL)
    process.start()
    durable = asyncio.run(asyncio.wait_for(final(), 60))
    assert process.end() == 0
    code, report = verify(process)
    assert (code, report["problems"]) == (0, [])
    assert report["records"] == durable >= len(acknowledged) + 4
    assert report["live_orders"] == durable - 4  # each command a resting order: none twice, no gap
    assert report["segments"] > 1


def test_a_full_disk_stops_the_engine_and_the_next_start_has_all_that_was_acknowledged(
    process: Process, settings: EngineSettings
) -> None:
    """RLIMIT_FSIZE gives a real write error of the kernel."""
    process.settings = replace(settings, segment_bytes=SEGMENT_BYTES, max_live_orders=1 << 17, client_ids_max=1 << 17)
    acknowledged: dict[str, int] = {}

    async def until_it_stops() -> None:
        async with process.link() as link:
            await link.wait_connected(30)
            await link.submit(new("x-0-0"))  # makes the event log's files
            # From here on no write may go beyond this, in the segment that is written or in the next one.
            resource.prlimit(process.process.pid, resource.RLIMIT_FSIZE, (60_000, 60_000))
            await load(link, 10, acknowledged, "f")

    process.start()
    asyncio.run(asyncio.wait_for(until_it_stops(), 60))
    assert process.process.wait(20) == 1
    critical = [line["message"] for line in process.log() if line["level"] == "critical"]
    assert len(critical) == 1 and "stopping for good: cannot write the journal: " in critical[0]
    process.end()

    async def after() -> None:
        async with process.link() as link:
            await link.wait_connected(30)
            await check(link, acknowledged, sorted(acknowledged))

    process.start()
    asyncio.run(asyncio.wait_for(after(), 60))
    assert len(acknowledged) > 100
    assert process.end() == 0
    assert verify(process)[0] == 0


@pytest.mark.parametrize("error", [5, 28], ids=["EIO", "ENOSPC"])
@pytest.mark.parametrize("slow", [False, True], ids=["inline", "thread"])
def test_a_sync_error_is_for_good_even_when_the_disk_recovers(
    settings: EngineSettings, monkeypatch: pytest.MonkeyPatch, error: int, slow: bool
) -> None:
    """An fsync that fails once and then succeeds is how Linux reports lost pages; it cannot be caused without a faulty disk."""
    failing, calls = [False], [0]
    real = journal_files.fdatasync

    def sync(fd: int) -> None:
        calls[0] += 1
        if failing[0]:
            failing[0] = False
            raise OSError(error, "injected")
        real(fd)

    monkeypatch.setattr(journal_files, "fdatasync", sync)
    failures: list[str] = []

    async def test() -> None:
        partition = await opened(settings, failures)
        assert (await submit(partition, new("a")))[0] == Outcome.DONE
        await asyncio.sleep(0.05)  # the idle sync of the watermark is over
        if slow:
            partition._commits._slow_s = 1.0
        failing[0] = True
        before = calls[0]
        replies = [submit(partition, new(f"b{number}")) for number in range(3)]
        for reply in replies:
            with pytest.raises(ConnectionAbortedError):
                await reply
        assert (await submit(partition, new("c")))[0] == Outcome.STOPPED
        assert calls[0] == before + 1  # never a second try
        assert partition.log.end == 5
        await partition.close()
        assert calls[0] == before + 1

    asyncio.run(asyncio.wait_for(test(), 30))
    assert len(failures) == 1 and "cannot write the journal" in failures[0]


KILLED_AT = """
import asyncio, os, sys
from pathlib import Path
import msgspec
from stack.matcher import journal_files
from stack.settings import EngineSettings
from tests.stack.matcher.engines import new, opened, submit

at, when, settings = int(sys.argv[1]), sys.argv[2], msgspec.json.decode(sys.argv[3], type=EngineSettings)
calls = 0


def killed(real, name):
    def call(*arguments):
        global calls
        calls += 1
        if calls == at and when == "before":
            os.kill(os.getpid(), 9)
        if calls == at and when == "half" and name == "pwrite":
            real(arguments[0], arguments[1][: len(arguments[1]) // 2], arguments[2])
            os.kill(os.getpid(), 9)
        done = real(*arguments)
        if calls == at and when == "after":
            os.kill(os.getpid(), 9)
        return done

    return call


os.pwrite = killed(os.pwrite, "pwrite")
journal_files.fdatasync = killed(journal_files.fdatasync, "fdatasync")


async def main():
    partition = await opened(settings)
    for number in range(12):
        replies = [submit(partition, new(f"{number}-{i}", price=1 + i)) for i in range(3)]
        for reply in replies:
            events = (await reply)[1]
            print(events[0].text.decode(), events[0].order, flush=True)


asyncio.run(main())
"""


@pytest.mark.parametrize("when", ["before", "half", "after"])
def test_a_kill_at_any_write_or_sync_leaves_a_journal_the_next_start_repairs(
    settings: EngineSettings, process: Process, when: str
) -> None:
    """The process is killed at its nth write or sync, for many n, on the same growing journal with segments of 20 records."""
    small = replace(settings, segment_bytes=4096 + 20 * 144, implementation="auto")
    acknowledged: dict[str, int] = {}
    for at in (1, 2, 3, 5, 8, 11, 14, 17, 20, 23, 26, 29, 32, 35, 38):
        done = subprocess.run(
            [sys.executable, "-c", KILLED_AT, str(at), when, msgspec.json.encode(small).decode()],
            cwd=Path(__file__).parents[3], capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode in (0, -9), done.stderr
        for line in done.stdout.splitlines():
            text, order = line.split()
            assert acknowledged.setdefault(text, int(order)) == int(order)  # a repeat is the same order

    async def check_all() -> None:
        partition: Partition = await opened(small)
        for text, order in acknowledged.items():
            outcome, events = await submit(partition, new(text, price=1 + int(text.split("-")[1])))
            assert (outcome, events[0].order) == (Outcome.REPEAT, order)
        assert partition.engine.live == partition.engine.sequence - 4
        await partition.close()
        partition.log.close()

    asyncio.run(check_all())
    assert len(acknowledged) == 36
    assert verify(process)[0] == 0
