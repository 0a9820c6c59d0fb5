"""Starts a traffic process against a deployment and reads its report. Its talk goes straight to stderr."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from hftctl.cli.trading import KEY_VARIABLE, trader
from hftctl.errors import BelowTarget, Failed, NotFound, Refused
from hftctl.paths import package_folder
from hftctl.targets.base import Target

END_S = 15.0
CODES = (0, BelowTarget.exit_code)


def run(module: str, name: str | None, words: Sequence[str], *, i_mean: str | None) -> tuple[dict[str, Any], int]:
    """The report, and 0 or 11. Raises Refused on production, unless it is called by its name."""
    who = trader(name)
    refuse_production(who.target, i_mean)
    # A key goes through the environment: a command line can be read by everybody on the machine.
    env = os.environ | ({KEY_VARIABLE: who.api_key} if who.api_key else {})
    argv = [sys.executable, "-m", module, "--url", who.target.endpoint(), "--json", *words]
    report, code = _ended(argv, env)
    if code not in CODES:
        raise Failed(f"{module} ended with exit code {code}; what it said stands above")
    return report, code


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


def _ended(argv: Sequence[str], env: dict[str, str]) -> tuple[dict[str, Any], int]:
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, env=env, cwd=package_folder("stack").parent)
    try:
        said, _ = process.communicate()
    except KeyboardInterrupt:
        # The terminal told the process too: it cancels what it left. A second Ctrl-C leaves at once.
        process.wait(END_S)
        raise
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    if not said.strip():
        return {}, process.returncode or 1
    try:
        report = json.loads(said)
    except ValueError:
        raise Failed(f"{argv[2]} did not end with a report (exit code {process.returncode})") from None
    if not isinstance(report, dict):
        raise Failed(f"{argv[2]} reported a {type(report).__name__}, not an object")
    return {key: value for key, value in report.items() if key not in {"apiVersion", "kind"}}, process.returncode
