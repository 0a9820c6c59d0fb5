"""python -m stack.matcher --config FILE: one engine, for one partition."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from pathlib import Path

import msgspec
import uvloop

from stack import logs
from stack.matcher.refusal import EXIT_FAILED, EXIT_REFUSED, StartRefused
from stack.settings import EngineSettings, load

logger = logging.getLogger("stack.matcher")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m stack.matcher", description=__doc__)
    parser.add_argument("--config", required=True, type=Path, metavar="FILE", help="the engine's settings, JSON")
    config = parser.parse_args().config
    try:
        settings = load(config, EngineSettings)
        logs.start(settings)
        if settings.metrics_enabled:
            # prometheus_client reads it when it is imported.
            Path(os.environ.setdefault("PROMETHEUS_MULTIPROC_DIR", settings.metrics_dir)).mkdir(
                parents=True, exist_ok=True
            )
            from stack.metric_files import allocate_ahead

            allocate_ahead()
    except (OSError, msgspec.DecodeError) as error:
        print(f"engine: cannot use the settings {config}: {error}", file=sys.stderr)
        return EXIT_REFUSED
    try:
        return uvloop.run(_run(config, settings))
    except StartRefused as refusal:
        return _say(settings, f"does not start: {refusal}", refusal.exit_code)
    except OSError as error:
        return _say(settings, f"does not start: {error}", EXIT_FAILED)


async def _run(config: Path, settings: EngineSettings) -> int:
    from stack.matcher.service import Service

    return await Service(config, settings).run()


def _say(settings: EngineSettings, message: str, code: int) -> int:
    logger.critical(message, extra={"fields": {"exit_code": code}})
    print(f"{settings.component}: {message}", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
