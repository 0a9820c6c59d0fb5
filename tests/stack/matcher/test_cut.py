"""Where a journal can be cut: a copy that ends there is a whole journal, and comes to what the original was then."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

import engine
from engine.journal import HEADER_BYTES
from engine.records import RECORD_BYTES, Side
from stack.matcher import cut
from stack.matcher.partition import Partition
from stack.matcher.segment_read import Damage
from stack.matcher.verify import Verification
from stack.settings import EngineSettings
from tests.stack.matcher.engines import new, submit, with_partition
from tests.stack.matcher.filled import compiled_settings, stand

pytestmark = pytest.mark.skipif(bool(engine.implementations()["cython"]), reason="the compiled engine is not built")
ORDERS = 130  # of 50 to a segment


@pytest.fixture
def compiled(settings: EngineSettings) -> Iterator[EngineSettings]:
    with compiled_settings(settings) as compiled:
        yield compiled


@pytest.fixture
def states(compiled: EngineSettings) -> dict[int, int]:
    """Sequence -> the state the engine was in then; three segments."""

    async def fill(partition: Partition) -> dict[int, int]:
        found = {partition.engine.sequence: partition.engine.state_hash()}
        for number in range(ORDERS):
            await submit(partition, new(f"a{number}", Side(1 + number % 2), price=10_000 + number % 3))
            found[partition.engine.sequence] = partition.engine.state_hash()
        return found

    return dict(with_partition(compiled, fill))


def copied(settings: EngineSettings, folder: Path) -> EngineSettings:
    """What a backup has of it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    shutil.copy(Path(settings.data_dir) / "limits.json", folder)
    shutil.copytree(Path(settings.data_dir) / "journal", folder / "journal")
    return replace(settings, data_dir=str(folder))


def test_a_copy_that_was_cut_comes_to_what_the_journal_was_there(
    compiled: EngineSettings, states: dict[int, int], tmp_path: Path
) -> None:
    last = max(states)
    seed = random.randrange(1 << 32)
    points = [*random.Random(seed).sample(sorted(states), 10), 54, 50, 51, last]  # 50 records fill a segment
    for sequence in points:
        copy = copied(compiled, tmp_path / "copy")
        data = Path(copy.data_dir)
        found = cut.find(data, sequence, None)
        cut.apply(data, found)
        assert cut.find(data, None, None)[1:3] == (sequence, found.chain), f"seed {seed}, command {sequence}"
        look = Verification(data, "cython")
        look.run()
        assert look.report["problems"] == [] and look.report["torn_tail"] == ""
        assert (look.report["records"], look.report["state_hash"]) == (sequence, states[sequence])
        assert with_partition(copy, stand) == (sequence, states[sequence]), "an engine starts from it"

        async def goes_on(partition: Partition) -> int:
            await submit(partition, new("later"))
            return partition.engine.sequence

        assert with_partition(copy, goes_on) == sequence + 1
        assert with_partition(copy, stand)[0] == sequence + 1


def test_a_time_is_before_the_first_command_that_is_later(compiled: EngineSettings, states: dict[int, int]) -> None:
    data = Path(compiled.data_dir)
    for sequence in (20, 50, 51, 120):
        at = cut.find(data, sequence, None).time_ns
        assert cut.find(data, None, at).sequence >= sequence
        assert cut.find(data, None, at - 1).sequence < sequence
    assert cut.find(data, None, 1).sequence == 0
    assert cut.find(data, None, 1 << 62).sequence == max(states)


def test_what_is_not_there_or_not_whole_is_named(
    compiled: EngineSettings, states: dict[int, int], tmp_path: Path
) -> None:
    data = Path(copied(compiled, tmp_path / "copy").data_dir)
    last = max(states)
    with pytest.raises(Damage, match=f"it has no command {last + 1}, its records end with {last}"):
        cut.find(data, last + 1, None)
    third = data / "journal" / "00000003.journal"
    flipped = bytearray(third.read_bytes())
    flipped[HEADER_BYTES + 3 * RECORD_BYTES + 70] ^= 1
    third.write_bytes(flipped)
    with pytest.raises(Damage, match=r"00000003\.journal offset 4528: record 104"):
        cut.find(data, last, None)
    (data / "journal" / "00000002.journal").unlink()
    with pytest.raises(Damage, match=r"segment 00000002 is missing"):
        cut.find(data, last, None)


def test_the_process_says_what_a_copy_needs_and_cuts_no_journal_in_use(
    compiled: EngineSettings, states: dict[int, int]
) -> None:
    def asked(*words: str) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-m", "stack.matcher.cut", "--data", compiled.data_dir, *words]
        return subprocess.run(argv, capture_output=True, text=True, timeout=60)

    found = json.loads(asked("--until", "60", "--known", "40").stdout)
    assert (found["sequence"], found["known_chain"]) == (60, cut.find(Path(compiled.data_dir), 40, None).chain)
    assert [(one["number"], one["end"]) for one in found["segments"]] == [
        (1, HEADER_BYTES + 50 * RECORD_BYTES),
        (2, HEADER_BYTES + 10 * RECORD_BYTES),
    ]

    async def in_use(_partition: Partition) -> subprocess.CompletedProcess[str]:
        return asked("--until", "60", "--apply")

    refused = with_partition(compiled, in_use)
    assert refused.returncode == 6 and "another engine works on" in refused.stderr
    assert asked("--until", "999").returncode == 10
