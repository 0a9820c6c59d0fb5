"""How long an engine that was killed takes no orders: from its newest snapshot, and with nothing but its journal.

    python -m benchmarks.recovery [--json] [--short] [--commands N] [--resting N] [--rounds N] [--data DIR]

A journal of so many commands is made (recovery_journal.py), and a snapshot of it as the engine takes them: by
`stack.matcher.snapshot`, from the journal. It lies as far back as it may under `snapshot_commands`, which is the worst
moment to be killed at. Then `python -m stack.matcher` is killed (SIGKILL) and started at once, again and again, with the
snapshots and, as the peer, without. Counted is from the kill to the 201 for one new order, durable, through its own door.

Nothing supervises the process here: what a supervisor waits before it starts an engine again comes on top. The files are
in the page cache as far as the engine left them there; it drops itself what it has not seen synced of the newest segments.
"""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

import engine
from benchmarks.harness import report
from benchmarks.harness.cpu import Watch
from benchmarks.harness.measured import Unmeasured
from benchmarks.harness.rounds import Run, interleaved, medians
from benchmarks.recovery_journal import MIDDLE_TICKS, timed
from stack.settings import EngineSettings
from tests.ports import free_ports

SECONDS_MAX, REPLAYED_PER_S_MIN = 2.0, 2_000_000
SHORT_SECONDS_MAX, SHORT_REPLAYED_PER_S_MIN = 5.0, 300_000  # on any machine
SHORT_COMMANDS, SHORT_RESTING = 1_000_000, 50_000
START_S_MAX = 180.0
LEFT_OUT = 1_000  # commands before the next snapshot would be due
SEED = 1
ROOT = Path(__file__).resolve().parents[1]


class Rig:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (self.port,) = free_ports(1)
        self.settings = EngineSettings(
            deployment="bench", component="engine-0", log_file="engine.log", metrics_dir="metrics",
            partition=0, data_dir=str(folder / "data"), link_socket="link", admin_socket="admin",
            order_socket=f"127.0.0.1:{self.port}", instruments=[], accounts=["bench"], authentication="none",
        )  # fmt: skip
        self.config = folder / "engine.json"
        self.process: subprocess.Popen[bytes] | None = None
        self.pids: list[int] = []
        self.orders = 0  # answered, in all
        self.journal: dict[str, int] = {}

    def build(self, commands: int, resting: int) -> dict[str, float]:
        """The journal and its snapshot, unless they are there already; seconds that took."""
        known, took = self.folder / "journal.json", {}
        if known.exists():
            self.journal = msgspec.json.decode(known.read_bytes())
        else:
            self.journal, took["journal"] = timed(self.settings, commands, resting, SEED)
            self.configure(self.settings)
            back = min(self.settings.snapshot_commands, commands // 2) - LEFT_OUT
            began_s = time.monotonic()
            done = subprocess.run(
                [
                    sys.executable, "-m", "stack.matcher.snapshot", "--config", self.config.name,
                    "--until", str(commands - back),
                ],
                cwd=self.folder, env=_environment(), capture_output=True, check=False,
            )  # fmt: skip
            if done.returncode:
                raise Unmeasured(done.stderr.decode().strip())
            took["snapshot"] = time.monotonic() - began_s
            known.write_bytes(msgspec.json.encode(self.journal))
        return {name: round(seconds, 1) for name, seconds in took.items()}

    def configure(self, settings: EngineSettings) -> None:
        self.config.write_bytes(msgspec.json.encode(settings))

    def start(self) -> None:
        with (self.folder / "engine.err").open("ab") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "stack.matcher", "--config", self.config.name],
                cwd=self.folder, env=_environment(), stderr=err,
            )  # fmt: skip
        self.pids.append(self.process.pid)

    def kill(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()

    def order(self) -> None:
        """One new order, once somebody listens; it is answered when it is durable."""
        assert self.process is not None
        body = {
            "client_order_id": f"after-{time.time_ns()}", "account": "bench", "symbol": "S1", "side": "buy",
            "type": "limit", "price": f"{(MIDDLE_TICKS - 150) / 100:.2f}", "quantity": "1", "time_in_force": "GTC",
        }  # fmt: skip
        deadline_s = time.monotonic() + START_S_MAX
        while True:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=START_S_MAX)
            try:
                connection.connect()
                break
            except ConnectionRefusedError:
                if self.process.poll() is not None or time.monotonic() > deadline_s:
                    said = (self.folder / "engine.err").read_text()[-500:]
                    raise Unmeasured(f"the engine does not listen (exit {self.process.poll()}): {said}") from None
                time.sleep(0.001)  # another process starts: nothing tells us
        connection.request("POST", "/orders", msgspec.json.encode(body), {"Content-Type": "application/json"})
        answer = connection.getresponse()
        if answer.status != 201:
            raise Unmeasured(f"an order was answered with {answer.status}: {answer.read()[:300]!r}")
        connection.close()
        self.orders += 1

    def recovered(self, snapshots: bool) -> Run:
        """Kill, start, order."""
        settings = self.settings if snapshots else replace(self.settings, snapshot_commands=0)
        self.configure(settings)
        there, aside = self.folder / "data" / "snapshots", self.folder / "aside"
        watch = Watch({"engine": self.pids})
        began_s = time.monotonic()
        self.kill()
        if not snapshots:
            there.rename(aside)
        try:
            self.start()
            self.order()
        finally:
            if not snapshots:
                aside.rename(there)
        seconds = time.monotonic() - began_s
        spent = watch.spent()
        found = self._said()
        due = {"sequence": self.journal["sequence"] + self.orders - 1}
        due["live_orders"] = self.journal["live_orders"] + self.orders - 1
        if {name: found[name] for name in due} != due or bool(found["from_snapshot"]) != snapshots:
            raise Unmeasured(f"the engine came to {found}, and should have to {due}")
        return {
            "per_s": round(due["sequence"] / seconds, 1),
            "seconds": round(seconds, 3),
            "opened_s": found["took_s"],
            "replayed": found["replayed"],
            "replayed_per_s": round(found["replayed"] / found["took_s"]),
            "engine_cpu_s": round(spent.seconds["engine"], 3),
            "kernel_cores": spent.kernel_cores,
            "foreign_cores": spent.foreign_cores,
        }

    def _said(self) -> dict[str, Any]:
        """What the newest start logged of its replay."""
        lines = [msgspec.json.decode(line) for line in (self.folder / "engine.log").read_bytes().splitlines()]
        newest: dict[str, Any] = [line["fields"] for line in lines if line["message"] == "replayed the journal"][-1]
        return newest


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def measure(commands: int, resting: int, rounds: int, *, short: bool, data: Path | None) -> dict[str, Any]:
    if why_not := engine.implementations()["cython"]:
        raise Unmeasured(f"the compiled engine is not there: {why_not}")
    with ExitStack() as stack:
        folder = data or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="recovery-")))
        folder.mkdir(parents=True, exist_ok=True)
        rig = Rig(folder)
        stack.callback(rig.kill)
        took = rig.build(commands, resting)
        print(f"journal of {rig.journal['sequence']} commands: {took or 'there already'}", file=sys.stderr)
        (folder / "engine.log").unlink(missing_ok=True)
        rig.configure(rig.settings)
        rig.start()
        rig.order()
        before = rig._said()
        rig.journal |= {"sequence": before["sequence"], "live_orders": before["live_orders"]}
        runs = interleaved(
            {"snapshot": partial(rig.recovered, True), "full replay": partial(rig.recovered, False)}, rounds
        )
        designs = {name: medians(found) for name, found in runs.items()}
        ours, peer = designs["snapshot"], designs["full replay"]
        seconds_max, per_s_min = (
            (SHORT_SECONDS_MAX, SHORT_REPLAYED_PER_S_MIN) if short else (SECONDS_MAX, REPLAYED_PER_S_MIN)
        )
        snapshot = next((folder / "data" / "snapshots").glob("*.snapshot"))
        return {
            "benchmark": "recovery",
            "ratio": round(peer["seconds"] / ours["seconds"], 2),
            "target": {"seconds_max": seconds_max, "replayed_per_s_min": per_s_min},
            "met": ours["seconds"] <= seconds_max and peer["replayed_per_s"] >= per_s_min,
            "seconds": ours["seconds"],
            "full_replay_seconds": peer["seconds"],
            "replayed_per_s": peer["replayed_per_s"],
            "commands": rig.journal["sequence"],
            "live_orders": rig.journal["live_orders"],
            "snapshot_commands": rig.settings.snapshot_commands,
            "snapshot_bytes": snapshot.stat().st_size,
            "built_s": took,
            "rounds": rounds,
            "designs": designs,
            **report.beside(folder),
        }


def main() -> int:
    parser = report.options("recovery", __doc__.splitlines()[0])
    parser.add_argument("--commands", type=int, default=20_000_000, help="in the journal")
    parser.add_argument("--resting", type=int, default=1_000_000, help="orders, at its end")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--data", type=Path, help="build here and leave it; the journal that is here already is used")
    given = parser.parse_args()
    if given.short:
        given.commands, given.resting, given.rounds = SHORT_COMMANDS, SHORT_RESTING, 1
    return report.guarded(
        lambda: report.finish(
            measure(given.commands, given.resting, given.rounds, short=given.short, data=given.data),
            as_json=given.json,
        )
    )


if __name__ == "__main__":
    sys.exit(main())
