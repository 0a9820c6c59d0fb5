"""The peer of `benchmarks.persist`: a persister as one writes it first, with the same guarantee and the same tables.

Batches from the engine become tuples of Python, and asyncpg's `copy_records_to_table` writes them, in one transaction with
the checkpoint. `python -m benchmarks.persist_peer --config FILE` takes the settings of a persister and ends by SIGTERM.
"""

from __future__ import annotations

import argparse
import contextlib

import uvloop

from engine.records import EVENT_BYTES, Event, unpack_events
from stack.persister.database import connect
from stack.persister.rows import COLUMNS, row_of
from stack.settings import PersisterSettings, load
from stack.wire.link import Link

LIMIT = 20_000


async def serve(settings: PersisterSettings) -> None:
    connection = await connect(settings.postgres, "benchmark peer")
    sequence = ordinal = 0
    await connection.execute("INSERT INTO checkpoint (partition, sequence, ordinal, time_ns) VALUES (0, 0, 0, 0)")
    async with Link(settings.link_socket, "benchmark peer") as link:
        await link.wait_connected()
        while True:
            events = (await link.query("events", **{"from": ordinal}, limit=LIMIT, wait_ms=1000)).data
            if not events:
                continue
            if not ordinal:
                day = Event.unpack(events, len(events) - EVENT_BYTES).time_ns // 86_400_000_000_000
                await connection.execute("SELECT create_day(date '1970-01-01' + $1::integer)", day)
            rows = [row_of(settings.partition, event) for event in unpack_events(events)]
            async with connection.transaction():
                moved = await connection.execute(
                    "UPDATE checkpoint SET sequence = $1, ordinal = $2 WHERE partition = 0 AND sequence = $3",
                    rows[-1][0], ordinal + len(rows), sequence,
                )  # fmt: skip
                assert moved == "UPDATE 1", moved
                await connection.copy_records_to_table("events", records=rows, columns=COLUMNS)
            sequence, ordinal = int(rows[-1][0]), ordinal + len(rows)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.persist_peer", description=__doc__.splitlines()[0])
    parser.add_argument("--config", required=True, help="JSON file with the settings of a persister")
    settings = load(parser.parse_args().config, PersisterSettings)
    with contextlib.suppress(KeyboardInterrupt):
        uvloop.run(serve(settings))


if __name__ == "__main__":
    main()
