"""One run of wrk with a Lua script: requests, latencies and failures as wrk itself counted them.

wrk is a closed loop on few cores: a client sends when its last answer came. An answer that is still on its way at the end is
not counted by wrk, so the stack may have done up to one request per connection more. The scripts read their words from the
environment: an API key on a command line could be read by everybody.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

from benchmarks.harness.measured import Answered, Unmeasured

TIMEOUT_EXTRA_S = 30.0
KEY_VARIABLE = "HFTCTL_API_KEY"
REPORT = Path(__file__).with_name("report.lua")
MIX = Path(__file__).with_name("mix.lua")
ORDERS = Path(__file__).with_name("orders.lua")
BATCHES = Path(__file__).with_name("batches.lua")


def version() -> str:
    program = shutil.which("wrk")
    if program is None:
        raise Unmeasured("there is no `wrk` on the PATH; on Debian and Ubuntu: apt install wrk")
    done = subprocess.run([program, "-v"], capture_output=True, text=True, check=False)
    return " ".join((done.stdout + done.stderr).split()[:2])


def run(
    script: Path, port: int, *, seconds: int, clients: int, words: dict[str, str], key: str = "", batch: int = 1
) -> Answered:
    """Raises Unmeasured when a single answer was not 2xx, or a connection failed."""
    version()
    command = [
        "wrk",
        "-t1",
        f"-c{clients}",
        f"-d{seconds}s",
        "--timeout",
        "10s",
        "-s",
        str(script),
        f"http://127.0.0.1:{port}",
    ]
    before = os.times()
    done = subprocess.run(
        command, env=os.environ | {"BENCH_REPORT": str(REPORT), "BENCH_MIX": str(MIX), KEY_VARIABLE: key, **words},
        capture_output=True, text=True, check=False, timeout=seconds + TIMEOUT_EXTRA_S,
    )  # fmt: skip
    after = os.times()
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode != 0 or len(lines) != 1:
        raise Unmeasured(f"{' '.join(command)}: exit {done.returncode}: {(done.stderr or done.stdout)[-400:]}")
    said = json.loads(lines[0])
    failed = {name: count for name, count in said["errors"].items() if count}
    if failed:
        raise Unmeasured(f"{script.name} on port {port}: {failed} of {said['requests']} requests")
    return Answered(
        orders=said["requests"] * batch,
        requests=said["requests"],
        seconds=said["duration_us"] / 1e6,
        latency_ms={name: round(us / 1000, 3) for name, us in said["latency_us"].items()},
        generator_cpu_s=after.children_user + after.children_system - before.children_user - before.children_system,
    )
