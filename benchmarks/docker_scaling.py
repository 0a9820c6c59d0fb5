"""More gateways on Docker: ours with 1, 4 and 8 against the seed design with as many workers, on the same engine, in one run.

    python -m benchmarks.docker_scaling [--profile compose] [--gateways 1,4,8] [--json] [--short] [--local]

This is the users' table: forty kept-alive clients through nginx, one order a request, each durable before it is answered. Ours is one
deployment that `hftctl scale` changes between runs; the seed design has a deployment's own PostgreSQL, Valkey and nginx, and its workers'
containers stand where gateways would (`seed_design/on_docker.py`). `ratio` is ours with the most gateways against the best number of
them; `ratio_seed` is against the seed design's best. `ratio_cpu` and `ratio_seed_cpu` are the same of processor microseconds per order,
which hardly move with a machine's neighbours. With `--local` the local stack stands beside, as shipped and with its orders through
gateways as on Docker, against the seed design without Docker: what the layout costs, and what Docker does.
"""

from __future__ import annotations

import argparse
import json
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Protocol

import psycopg

from benchmarks import order_entry
from benchmarks.harness import report
from benchmarks.harness.deployment import CATCH_UP_S_MAX, Deployment, deployed
from benchmarks.harness.measured import Groups, Unmeasured, measured
from benchmarks.harness.rounds import TRIES, Run, interleaved, medians
from benchmarks.seed_design.on_docker import SeedOnDocker
from benchmarks.seed_design.servers import seeded
from hftctl.profile.load import load
from hftctl.targets.compose.driver import ComposeTarget
from tests.faults.stack import ROOT
from tests.ports import free_ports

TARGET, TARGET_SHORT = 0.90, 0.70
FACTOR = 1.5  # by which the ratio to the seed design may differ from the local stack's


LOCAL = (  # design, its folder, settings over the profile local
    ("local: ours", "local", ""),
    ("local: ours, by gateways", "local-gateways", "order_entry: gateway\ngateways: 2\n"),
)


class Stands(Protocol):
    """Something that is measured: its processes now."""

    @property
    def groups(self) -> Groups: ...


class Standing(dict[str, Stands]):
    """All designs that are up, by name."""

    def but(self, measured: str) -> Groups:
        """The processes of all others, which are idle meanwhile."""
        return {
            f"{who}: {name}": pids for who, one in self.items() if who != measured for name, pids in one.groups.items()
        }


class OnDocker:
    """A deployment on the Docker engine, changed by hftctl as a person does it."""

    def __init__(self, folder: Path, profile: str, name: str, settings: dict[str, Any]) -> None:
        self.name, self.port, self.target = name, free_ports(1)[0], ComposeTarget(name)
        self._file = folder / f"{name}.yaml"
        values = load(profile).values
        ports = {**values["ports"], "http": self.port}
        # Whole, for what a profile extends is a name and not a file. JSON is YAML.
        self._file.write_text(json.dumps({**values, "name": name, "ports": ports, **settings}))
        self.hftctl("deploy", str(self._file), "--yes")

    def hftctl(self, *words: str) -> dict[str, Any]:
        done = subprocess.run([sys.executable, "-P", "-m", "hftctl", *words, "-o", "json"], cwd=ROOT, check=False,
                              capture_output=True, text=True, stdin=subprocess.DEVNULL)  # fmt: skip
        if done.returncode:
            raise Unmeasured(f"hftctl {' '.join(words)}: exit {done.returncode}: {(done.stderr + done.stdout)[-600:]}")
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def scale(self, gateways: int) -> None:
        self.hftctl("scale", f"gateway={gateways}", "-p", self.name, "--yes")

    @property
    def groups(self) -> Groups:
        containers = self.target.containers
        pids = {one.subject: containers.inspect(one.id)["State"]["Pid"] for one in containers.serving().values()}
        return {subject: [pid] for subject, pid in pids.items() if pid}

    def sequence(self) -> int:
        answer = self.target.ask_engine(0, {"command": "status"}, timeout_s=5.0)
        return int(answer["durable_sequence"])

    def caught_up(self) -> None:
        """What the persister has yet to write would be paid for by the next design."""
        wanted, deadline = self.sequence(), time.monotonic() + CATCH_UP_S_MAX
        with psycopg.connect(**self.target.postgres(0), autocommit=True) as connection:
            while (stands := _checkpoint(connection)) < wanted:
                if time.monotonic() > deadline:
                    raise Unmeasured(f"PostgreSQL stands at {stands} of {wanted} after {CATCH_UP_S_MAX:.0f} s")
                time.sleep(0.05)

    def destroy(self) -> None:
        self.hftctl("destroy", "-p", self.name, "--data", "--yes")


def _checkpoint(connection: psycopg.Connection[Any]) -> int:
    row = connection.execute("SELECT sequence FROM checkpoint WHERE partition = 0").fetchone()
    return int(row[0]) if row else 0


@contextmanager
def on_docker(folder: Path, profile: str, kind: str, **settings: Any) -> Iterator[OnDocker]:
    made = OnDocker(folder, profile, f"bench-{kind}-{secrets.token_hex(2)}", settings)
    try:
        yield made
    finally:
        made.destroy()


def run_ours(ours: OnDocker, gateways: int, seconds: int, standing: Standing) -> Run:
    ours.scale(gateways)
    order_entry.generate(ours.port, order_entry.WARM_UP_S)
    ours.caught_up()
    before = ours.sequence()
    found = measured(ours.groups, lambda: order_entry.generate(ours.port, seconds), standing.but("ours"))
    grown = ours.sequence() - before
    rolls = found["orders"] // 100_000 + 1
    if not found["orders"] <= grown <= found["orders"] + order_entry.CLIENTS + rolls:
        raise Unmeasured(f"{found['orders']} orders were answered, the journal has {grown} commands more")
    ours.caught_up()
    return found


def run_seed(seed: SeedOnDocker, workers: int, seconds: int, standing: Standing) -> Run:
    with seed.serving(workers):
        order_entry.generate(seed.port, order_entry.WARM_UP_S)
        before = seed.settled()
        found = measured(seed.groups, lambda: order_entry.generate(seed.port, seconds), standing.but("seed design"))
        written = seed.settled() - before
    if not found["orders"] <= written <= found["orders"] + order_entry.CLIENTS:
        raise Unmeasured(f"the seed design answered {found['orders']} orders and wrote {written} rows")
    return found


def measure(options: argparse.Namespace) -> dict[str, Any]:
    counts = sorted({int(word) for word in options.gateways.split(",")})
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        ours = stack.enter_context(on_docker(folder, options.profile, "ours"))
        stands = stack.enter_context(on_docker(folder, options.profile, "seed", gateways=1))
        seed = stack.enter_context(SeedOnDocker.instead_of(stands.target, stands.port))

        standing = Standing({"ours": ours, "seed design": seed})

        def our(count: int) -> Callable[[], Run]:
            return lambda: run_ours(ours, count, options.seconds, standing)

        def theirs(count: int) -> Callable[[], Run]:
            return lambda: run_seed(seed, count, options.seconds, standing)

        designs = {f"ours, {count} gateways": our(count) for count in counts}
        designs |= {f"seed design, {count} workers": theirs(count) for count in counts}
        if options.local:
            designs |= without_docker(stack, folder, options.seconds, standing)
        beside = report.beside()
        runs = interleaved(designs, options.rounds, options.tries)
    return summary(counts, {name: medians(kept) for name, kept in runs.items()}, options) | beside | {"runs": runs}


def without_docker(stack: ExitStack, folder: Path, seconds: int, standing: Standing) -> dict[str, Callable[[], Run]]:
    """The local stack as shipped and in the layout of Docker, and the seed design with the numbers of workers that are its best here."""

    def our(made: Deployment, who: str) -> Callable[[], Run]:
        return lambda: order_entry.run_ours(made, seconds, standing.but(who))

    def theirs(count: int) -> Callable[[], Run]:
        return lambda: order_entry.run_seed(peer, count, seconds, standing.but("local: seed design"))

    designs = {}
    for who, folder_name, settings in LOCAL:
        standing[who] = made = stack.enter_context(deployed(settings, home=folder / folder_name))
        designs[who] = our(made, who)
    standing["local: seed design"] = peer = stack.enter_context(seeded(folder / "local-seed", {}))
    return designs | {f"local: seed design, {count} workers": theirs(count) for count in (1, 2, 4)}


def summary(counts: list[int], found: dict[str, Run], options: argparse.Namespace) -> dict[str, Any]:
    def best(start: str) -> float:
        return max((float(run["per_s"]) for name, run in found.items() if name.startswith(start)), default=0.0)

    def least(start: str) -> float:
        return min(float(run["cpu_us_per_order"]["all"]) for name, run in found.items() if name.startswith(start))

    most = found[f"ours, {counts[-1]} gateways"]
    ratio, target = float(most["per_s"]) / best("ours"), TARGET_SHORT if options.short else TARGET
    document = {
        "benchmark": "docker_scaling",
        "ratio": round(ratio, 3),
        "target": target,
        "met": ratio >= target,
        "ratio_cpu": round(least("ours") / float(most["cpu_us_per_order"]["all"]), 3),
        "ratio_seed": round(best("ours") / best("seed design"), 2),
        "ratio_seed_cpu": round(least("seed design") / least("ours"), 2),
    }
    if local := best("local: seed design"):
        there = best("local: ours") / local
        within = 1 / FACTOR <= document["ratio_seed"] / there <= FACTOR
        document |= {
            "ratio_seed_local": round(there, 2),
            "ratio_seed_local_cpu": round(least("local: seed design") / least("local: ours"), 2),
            "within_the_factor": within,
            "met": document["met"] and within,
        }
    conditions = {
        "clients": order_entry.CLIENTS,
        "rounds": options.rounds,
        "seconds": options.seconds,
        "profile": options.profile,
    }
    return document | {"conditions": conditions, "designs": found}


def main(words: list[str] | None = None) -> int:
    parser = report.options("docker_scaling", "More gateways on Docker, ours and the seed design's.")
    parser.add_argument("--profile", default="compose", help="of ours, by name or file; of the target compose")
    parser.add_argument("--gateways", default="1,4,8", help="numbers to compare")
    parser.add_argument("--rounds", type=int, help="runs of each; 3, with --short 1")
    parser.add_argument("--seconds", type=int, help="of each run; 4, with --short 2")
    parser.add_argument("--tries", type=int, help="of a run that others disturb; 3, with --short 1")
    parser.add_argument("--local", action="store_true", help="measure the local stack's ratio too")
    options = parser.parse_args(words)
    options.tries = options.tries or (1 if options.short else TRIES)
    options.rounds = options.rounds or (1 if options.short else 3)
    options.seconds = options.seconds or (2 if options.short else 4)
    return report.guarded(lambda: report.finish(measure(options), as_json=options.json))


if __name__ == "__main__":
    sys.exit(main())
