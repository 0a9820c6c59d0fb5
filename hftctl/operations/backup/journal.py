"""What is asked of a journal, answered by processes of the data plane."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hftctl.errors import DamageFound, Failed, NotFound
from hftctl.run import run

TIMEOUT_S = 3600.0
NO_JOURNAL = 2
DIFFERENT = DamageFound.exit_code


def cut(
    data: Path,
    *,
    until: int | None = None,
    until_ns: int | None = None,
    known: int | None = None,
    apply: bool = False,
) -> dict[str, Any]:
    """Where a partition's journal can be cut; see stack/matcher/cut.py. Raises DamageFound and NotFound."""
    words = ["stack.matcher.cut", "--data", str(data)]
    words += ["--until", str(until)] if until is not None else []
    words += ["--until-ns", str(until_ns)] if until_ns is not None else []
    words += ["--known", str(known)] if known is not None else []
    return _asked([*words, *(["--apply"] if apply else [])])


def verified(data: Path) -> dict[str, Any]:
    """Every record read and replayed, the report of stack/matcher/verify.py. Raises DamageFound naming the first problem."""
    return _asked(["stack.matcher.verify", "--data", str(data), "--json"])


def compared(run_folder: Path, partition: int, wait_s: float) -> dict[str, Any]:
    """PostgreSQL's rows against the journal, byte by byte; the report of stack/persister/compare.py. Raises DamageFound."""
    config = ["--config", f"../config/engine-{partition}.json", "--postgres", f"../config/persister-{partition}.json"]
    return _asked(["stack.persister.compare", *config, "--wait-s", str(wait_s), "--json"], cwd=run_folder)


def _asked(words: Sequence[str], cwd: Path | None = None) -> dict[str, Any]:
    done = run([sys.executable, "-P", "-m", *words], timeout_s=TIMEOUT_S, cwd=cwd, check=False)
    said = (done.stderr.strip().splitlines() or ["it said nothing"])[-1].partition(": ")[2]
    if done.returncode == DIFFERENT:
        problems = _document(done.stdout).get("problems")
        raise DamageFound("; ".join(map(str, problems[:3])) if problems else said)
    if done.returncode == NO_JOURNAL:
        raise NotFound(said)
    if not done.ok:
        raise Failed(f"{words[0]} ended with {done.returncode}: {said}")
    return _document(done.stdout)


def _document(text: str) -> dict[str, Any]:
    try:
        document: dict[str, Any] = json.loads(text)
    except ValueError:
        return {}
    return document
