"""How fast events become rows: our persister against one that is written down in an hour, over the same engine and tables.

    python -m benchmarks.persist [--json] [--short] [--orders N] [--rounds N]

Two figures: rows per second into PostgreSQL while a long backlog is written, because that is what decides whether a persister
ever catches up; and processor microseconds per row of persister, PostgreSQL and engine, because all share the machine with the
order path. Engine, PostgreSQL and Valkey are those of a deployment, with its settings; each run has a database of its own, and
its rows are counted there. The deployment's own persister is stopped meanwhile.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import psycopg

from benchmarks.harness import report
from benchmarks.harness.cpu import Watch
from benchmarks.harness.deployment import Deployment, deployed
from benchmarks.harness.measured import Unmeasured
from benchmarks.harness.rounds import Run, interleaved, medians
from stack.schema.__main__ import connect, create_database
from stack.schema.migrations import load as migrations
from stack.schema.migrations import migrate
from stack.settings import PersisterSettings, Postgres, load
from tests.faults.feed import feed

TARGET = 2.5
ROUND_S_MAX = 120.0
MODULES = {"ours": "stack.persister", "peer": "benchmarks.persist_peer"}


class Rig:
    def __init__(self, ours: Deployment) -> None:
        self.ours = ours
        self.run = ours.folder / "run"
        self.settings = load(ours.folder / "config" / "persister-0.json", PersisterSettings)
        self.numbers = 0

    def postgres(self, database: str) -> Postgres:
        file = self.ours.folder / "secrets" / Path(self.settings.postgres.password_file).name
        return msgspec.structs.replace(self.settings.postgres, database=database, password_file=str(file))

    def written(self, design: str, seconds: float) -> Run:
        """One run: from the first row that stands to the last event there is, or to the end of the time."""
        self.numbers += 1
        name = f"bench_{self.numbers}"
        postgres = self.postgres(name)
        create_database(postgres)
        with connect(postgres) as connection:
            migrate(connection, migrations())
        settings = msgspec.structs.replace(
            self.settings, component="persister-9", log_file=str(self.run / f"{name}.log"), postgres=postgres,
            metrics_dir=str(self.run / f"{name}-metrics"),
        )  # fmt: skip
        config = self.run / f"{name}.json"
        config.write_bytes(msgspec.json.encode(settings))
        process = subprocess.Popen(
            [sys.executable, "-m", MODULES[design], "--config", str(config)],
            cwd=self.run, env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        )  # fmt: skip
        try:
            return self._watch(process, postgres, seconds)
        finally:
            process.terminate()
            process.wait()
            with psycopg.connect(conninfo="", **_arguments(self.postgres("postgres")), autocommit=True) as connection:
                connection.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def _watch(self, process: subprocess.Popen[bytes], postgres: Postgres, seconds: float) -> Run:
        end = self.ours.status()["durable_events"]
        with connect(postgres) as connection:
            first, began = self._reached(connection, process, 1, time.monotonic() + ROUND_S_MAX)
            groups = {name: self.ours.groups[name] for name in ("engine-0", "postgres-0", "redis", "persister-0")}
            watch = Watch({"persister": [process.pid], **groups})
            last, ended = self._reached(connection, process, end, began + seconds)
            spent = watch.spent()
            rows = connection.execute("SELECT count(*) FROM events").fetchone()
        if not rows or rows[0] < last:
            raise Unmeasured(f"the checkpoint says {last} rows, there are {rows}")
        written = last - first
        if not written:
            raise Unmeasured("everything stood in the first batch: give more --orders")
        return {
            "per_s": round(written / (ended - began), 1),
            "rows": written,
            "seconds": round(ended - began, 3),
            "cpu_us_per_row": {name: round(s * 1e6 / written, 3) for name, s in spent.seconds.items()},
            "memory_mib": _peak_mib(process.pid),
            "kernel_cores": spent.kernel_cores,
            "foreign_cores": spent.foreign_cores,
        }

    def _reached(
        self, connection: psycopg.Connection[Any], process: subprocess.Popen[bytes], wanted: int, deadline: float
    ) -> tuple[int, float]:
        while True:
            row = connection.execute("SELECT ordinal FROM checkpoint").fetchone()
            now = time.monotonic()
            if row and (row[0] >= wanted or (row[0] and now > deadline)):
                return int(row[0]), now
            if process.poll() is not None or now > deadline:
                raise Unmeasured(f"the persister wrote nothing (exit {process.poll()})")
            time.sleep(0.01)  # another process works: nothing tells us


def _arguments(postgres: Postgres) -> dict[str, Any]:
    return {
        "host": postgres.host, "port": postgres.port, "dbname": postgres.database, "user": postgres.user,
        "password": Path(postgres.password_file).read_text().strip(),
    }  # fmt: skip


def _peak_mib(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return round(int(line.split()[1]) / 1024, 1)
    return 0.0


def measure(orders: int, rounds: int, seconds: float) -> dict[str, Any]:
    with deployed() as ours:
        ours.caught_up_s()
        with ours.without_persister():
            began = time.monotonic()
            asyncio.run(feed(str(ours.folder / "run" / "engine-0.link.sock"), orders))
            events = ours.status()["durable_events"]
            print(f"{orders} orders, {events} events in {time.monotonic() - began:.1f} s", file=sys.stderr)
            rig = Rig(ours)
            runs = interleaved({name: partial(rig.written, name, seconds) for name in MODULES}, rounds)
        designs = {name: medians(found) for name, found in runs.items()}
        ratio = designs["ours"]["per_s"] / designs["peer"]["per_s"]
        return {
            "benchmark": "persist",
            "ratio": round(ratio, 2),
            "target": TARGET,
            "met": ratio >= TARGET,
            "rows_per_s": designs["ours"]["per_s"],
            "orders": orders,
            "events": events,
            "rounds": rounds,
            "designs": designs,
            **report.beside(ours.folder),
        }


def main() -> int:
    parser = report.options("persist", __doc__.splitlines()[0])
    parser.add_argument(
        "--orders", type=int, default=1_000_000, help="how long the backlog is; one order makes about two rows"
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=15.0, help="longest run")
    given = parser.parse_args()
    if given.short:
        given.orders, given.rounds = min(given.orders, 100_000), 1
    return report.guarded(lambda: report.finish(measure(given.orders, given.rounds, given.seconds), as_json=given.json))


if __name__ == "__main__":
    sys.exit(main())
