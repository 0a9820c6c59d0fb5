"""Starts a traffic process against a deployment and reads its report."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from hftctl import paths
from hftctl.cli.sender import WITH_REPORT, ended
from hftctl.cli.trading import trader
from hftctl.errors import Failed, HftctlError, NotFound, Refused, UsageError
from hftctl.targets.base import Target

WITHOUT: dict[int, type[HftctlError]] = {kind.exit_code: kind for kind in (UsageError, Refused, NotFound)}


def run(module: str, name: str | None, words: Sequence[str], *, i_mean: str | None) -> tuple[dict[str, Any], int]:
    """The report and the exit code that goes with it. Raises Refused on production, unless it is called by its name."""
    who = trader(name)
    refuse_production(who.target, i_mean)
    argv = [sys.executable, "-m", module, "--url", who.target.endpoint(), "--json", *words]
    with _key_file(who.api_key) as handle:
        if handle is not None:
            argv += ["--api-key-file", f"/dev/fd/{handle}"]
        said, last, code = ended(argv, [] if handle is None else [handle])
    report = _report(said)
    if code in WITH_REPORT and report:
        return report, code
    kind = WITHOUT.get(code, Failed)
    said = last.removeprefix(f"python -m {module}: error: ").removeprefix(f"{(verb := module.rpartition('.')[2])}: ")
    raise kind(f"{verb}: {said or f'ended with exit code {code} and no report'}")


def refuse_production(target: Target, i_mean: str | None) -> None:
    revisions = target.revisions()
    if not revisions:
        raise NotFound(f"'{target.deployment}' was never deployed whole", hint=f"hftctl deploy {target.deployment}")
    if revisions[-1].release.environment != "production" or i_mean == target.deployment:
        return
    meant = f", not '{i_mean}'" if i_mean else ""
    raise Refused(
        f"'{target.deployment}' is production{meant}: no made-up orders go there by mistake",
        hint=f"if you do mean it: --i-mean {target.deployment}",
    )


def sync_probe(name: str | None) -> list[str]:
    """The disk whose syncs are measured beside the load: the one that holds the journals."""
    from hftctl.operations.standing import open_standing

    data = paths.layout(open_standing(name).deployment).data
    return ["--sync-probe", str(data)] if data.is_dir() else []


@contextmanager
def _key_file(key: str | None) -> Iterator[int | None]:
    """A key as a file without a name: a command line can be read by everybody on the machine, a pipe cannot."""
    if not key:
        yield None
        return
    reader, writer = os.pipe()
    os.write(writer, key.encode())
    os.close(writer)
    try:
        yield reader
    finally:
        os.close(reader)


def _report(said: str) -> dict[str, Any]:
    try:
        report = json.loads(said or "{}")
    except ValueError:
        return {}
    kept = report.items() if isinstance(report, dict) else ()
    return {key: value for key, value in kept if key not in {"apiVersion", "kind"}}
