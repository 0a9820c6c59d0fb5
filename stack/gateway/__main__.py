"""`python -m stack.gateway --config FILE`: one gateway process on a Unix socket.

SIGTERM: not ready any more, what is in flight is answered, exit 0. SIGHUP: API keys are read again.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import msgspec

from stack.settings import GatewaySettings, load


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m stack.gateway", description=__doc__)
    parser.add_argument("--config", required=True, help="JSON file of GatewaySettings")
    path = parser.parse_args().config
    try:
        settings = load(path, GatewaySettings)
    except (OSError, msgspec.ValidationError, msgspec.DecodeError) as error:
        print(f"gateway: cannot use {path}: {error}", file=sys.stderr)
        return 2
    if settings.metrics_enabled:
        Path(settings.metrics_dir).mkdir(parents=True, exist_ok=True)
        # Read once, when prometheus_client is imported: so before anything that imports it.
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = settings.metrics_dir
        from stack.metric_files import allocate_ahead

        allocate_ahead()
    from stack.gateway.serve import run

    return run(settings)


if __name__ == "__main__":
    sys.exit(main())
