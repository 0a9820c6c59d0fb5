"""A running book against its journal: the journal is replayed by a process of the data plane."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

from hftctl import paths
from hftctl.errors import DamageFound, Failed, NotFound
from hftctl.operations.standing import open_standing
from hftctl.run import Completed, run

TIMEOUT_S = 3600.0
DEPTH = 1000  # levels of each side, as far as the public door tells
VERDICTS = (0, DamageFound.exit_code)


def owner(symbol: str, profile: Mapping[str, Any]) -> int:
    """Exact symbols win over ranges."""
    partitions = list(enumerate(profile["partitions"]))
    exact = [number for number, partition in partitions if symbol in partition["symbols"]]
    ranged = [number for number, p in partitions if any(r[0] <= symbol[0] <= r[-1] for r in p["ranges"])]
    if not exact and not ranged:
        raise NotFound(f"no partition owns {symbol}", hint="hftctl profile show")
    return int((exact or ranged)[0])


def replayed(deployment: str, partition: int, symbol: str) -> dict[str, Any]:
    argv = _verifier(deployment, partition)
    done = _run([*argv, "--book", symbol])
    if done.returncode not in VERDICTS:  # damage may stand before the symbol's definition: then there is no book of it
        whole = _run(argv)
        done = whole if whole.returncode == DamageFound.exit_code else done
    if done.returncode not in VERDICTS:
        said = done.stderr.strip().splitlines()[-1:] or ["it said nothing"]
        raise Failed(f"the journal of partition {partition} could not be verified: {said[0]}")
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def _verifier(deployment: str, partition: int) -> list[str]:
    """Where the journal is: on this machine, or beside the engine that writes it."""
    words = ["-m", "stack.matcher.verify", "--json", "--data"]
    if deployment in paths.deployments():
        return [sys.executable, *words, str(paths.layout(deployment).partition(partition))]
    return [*open_standing(deployment).surroundings(f"engine-{partition}").before, "python", *words, "../data"]


def _run(argv: list[str]) -> Completed:
    return run(argv, timeout_s=TIMEOUT_S, check=False, cwd=paths.package_folder("stack").parent)


def differences(running: Mapping[str, Any], replayed: Mapping[str, Any]) -> list[str]:
    """The first level of each side that is not the same."""
    found: list[str] = []
    for side in ("bids", "asks"):
        levels = [(r, j) for r, j in _beside(running[side], replayed[side][:DEPTH]) if r != j]
        if levels:
            found.append(
                f"{side}: the running book has {_shown(levels[0][0])}, the journal gives {_shown(levels[0][1])}"
            )
    return found


def _beside(first: list[Any], second: list[Any]) -> list[tuple[Any, Any]]:
    longest = max(len(first), len(second))
    return list(zip(first + [None] * (longest - len(first)), second + [None] * (longest - len(second)), strict=True))


def _shown(level: Mapping[str, Any] | None) -> str:
    return "nothing" if level is None else f"{level['quantity']} at {level['price']} in {level['orders']} orders"
