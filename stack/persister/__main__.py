"""`python -m stack.persister --config FILE`: one partition's events into PostgreSQL, and the news into Valkey.

Exit codes: 0 after SIGTERM or SIGINT; 6 another persister writes this partition; 10 PostgreSQL and the engine do not
belong together; 2 bad configuration.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import sys
from pathlib import Path

import asyncpg
import msgspec
import uvloop

from stack import logs
from stack.persister.database import RETRIED, Conflict, Damage, Database
from stack.persister.days import index_closed_days
from stack.settings import PersisterSettings, load
from stack.wire.link import Link

logger = logging.getLogger("stack.persister")

EXIT_BAD_CONFIGURATION = 2
EXIT_CONFLICT = 6
EXIT_DAMAGE = 10
INDEX_EVERY_S = 600
STOP_S = 5.0  # for what is beside the writing


async def serve(settings: PersisterSettings) -> int:
    # prometheus-client decides at its import where values are kept
    from stack.persister.persister import Persister
    from stack.persister.publish import Publisher
    from stack.persister.watch import Watch

    async with Link(settings.link_socket, settings.component) as link:
        watch = Watch(settings, link)
        publisher = Publisher(settings, link, watch)
        database = Database(settings.postgres, settings.partition, settings.component)
        persister = Persister(settings, link, database, watch, publisher.offer)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, persister.stop)
        publishing = asyncio.create_task(publisher.run())
        beside = [asyncio.create_task(_index_days(settings)), asyncio.create_task(watch.run())]
        try:
            await persister.run()
        except Conflict as error:
            logger.error("%s", error)
            return EXIT_CONFLICT
        except Damage as error:
            logger.critical("%s", error)
            return EXIT_DAMAGE
        finally:
            publisher.stop()
            for task in beside:
                task.cancel()
            await asyncio.wait((publishing, *beside), timeout=STOP_S)
    return 0


async def _index_days(settings: PersisterSettings) -> None:
    while True:
        try:
            await index_closed_days(settings.postgres, f"{settings.component} indexes")
        except RETRIED as error:
            if not isinstance(error, asyncpg.UndefinedFunctionError):  # no schema yet; the writer says so
                logger.info("closed days are indexed later: %s: %s", type(error).__name__, error)
        await asyncio.sleep(INDEX_EVERY_S)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m stack.persister", description=__doc__.splitlines()[0])
    parser.add_argument("--config", required=True, help="JSON file with the settings of a persister")
    path = parser.parse_args(arguments).config
    try:
        settings = load(path, PersisterSettings)
    except (OSError, msgspec.ValidationError, msgspec.DecodeError) as error:
        print(f"cannot read the settings {path}: {error}", file=sys.stderr)
        return EXIT_BAD_CONFIGURATION
    logs.start(settings)
    if settings.metrics_enabled:
        Path(settings.metrics_dir).mkdir(parents=True, exist_ok=True)
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = settings.metrics_dir
        from stack.metric_files import allocate_ahead

        allocate_ahead()
    try:
        return uvloop.run(serve(settings))
    except Exception:
        logger.critical("our own bug", exc_info=True)
        return 70


if __name__ == "__main__":
    raise SystemExit(main())
