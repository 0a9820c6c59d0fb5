"""The same records give the same events whatever the process, its hash seed, or how the records were cut into batches."""

from __future__ import annotations

import os
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import engine
from tests.engine import streams

ROOT = Path(__file__).parents[2]
NAME, SEED = "many accounts and symbols", 11
REGIME = streams.REGIMES[NAME]
SIZES = {"max_live_orders": REGIME.max_live_orders, "client_ids_max": REGIME.client_ids_max}


def outcome(implementation: str, batch: int) -> str:
    book = engine.create(implementation, **SIZES)  # type: ignore[arg-type]
    digest = sha256()
    for piece in streams.records(streams.commands(REGIME, SEED), batch):
        digest.update(book.apply(piece))
    return f"{digest.hexdigest()} {book.state_hash()}"


def test_batches_make_no_difference(implementation: str) -> None:
    assert len({outcome(implementation, batch) for batch in (1, 3, 255, 256, 100_000)}) == 1


def test_processes_and_hash_seeds_make_no_difference(implementation: str) -> None:
    script = f"from tests.engine.test_determinism import outcome; print(outcome({implementation!r}, 64))"
    seen = {outcome(implementation, 64)}
    for seed in ("0", "1", "4242"):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT), "TZ": "Asia/Tokyo"}
        command = [sys.executable, "-c", script]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
        seen.add(done.stdout.strip())
    assert len(seen) == 1
