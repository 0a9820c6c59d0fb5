"""One command of `hftctl tune` on every host of an inventory, over the system's ssh: one alone first, then in waves.

Each host decides for itself by its own facts and keeps its own journal; hftctl has to be installed there. After an apply the
host is verified, and the first one that is not as it was applied, or fails, ends it: the rest is not touched. Looking goes on
whatever happens.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from hftctl.errors import ChangesPending, HftctlError
from hftctl.run import run

TIMEOUT_S = 600.0
SSH = ("ssh", "-o", "BatchMode=yes", "-o", "ConnectTimeout=10")
UNREACHABLE = 255  # ssh's own
CHANGING = ("apply", "revert")
WRONG = ("failed", "regressed", "unreachable")
FINE = (0, ChangesPending.exit_code)
EXPECTED = ("ok", "unsupported", "pending-reboot")


@dataclass(frozen=True)
class HostOutcome:
    host: str
    result: str  # what the host's document says; pending, as wanted, regressed, failed, unreachable, not touched
    message: str
    code: int | None = None  # of the command there


Report = Callable[[HostOutcome], None]


def over(
    hosts: Sequence[str], words: Sequence[str], *, program: str, wave: int, report: Report
) -> tuple[HostOutcome, ...]:
    """`words`: plan, apply, verify, revert or show with their options, without -o; `program`: what hftctl is called there."""
    outcomes: list[HostOutcome] = []
    stopped = ""
    for group in _waves(hosts, wave):
        if stopped:
            outcomes += [HostOutcome(host, "not touched", f"{stopped} came first") for host in group]
            continue
        with ThreadPoolExecutor(len(group)) as pool:
            for outcome in pool.map(lambda host: _one(host, words, program), group):
                outcomes.append(outcome)
                report(outcome)
                if words[0] in CHANGING and outcome.result in WRONG:
                    stopped = stopped or outcome.host
    return tuple(outcomes)


def bad(outcomes: Sequence[HostOutcome]) -> list[HostOutcome]:
    return [one for one in outcomes if one.result in {*WRONG, "not touched"}]


def _waves(hosts: Sequence[str], wave: int) -> Iterator[Sequence[str]]:
    yield hosts[:1]
    for first in range(1, len(hosts), wave):
        yield hosts[first : first + wave]


def _one(host: str, words: Sequence[str], program: str) -> HostOutcome:
    code, document, said = _ask(host, words, program)
    if code == UNREACHABLE:
        return HostOutcome(host, "unreachable", said or "ssh ended with 255", code)
    if code not in FINE or document is None:
        message = document.get("message", said) if document else said or f"no document came back (exit {code})"
        return HostOutcome(host, "failed", message, code)
    if words[0] != "apply" or document.get("result") == "planned":
        return HostOutcome(host, *_told(words[0], document), code)
    _, after, said = _ask(host, ["verify"], program)
    if after is None or "verdicts" not in after:
        return HostOutcome(host, "regressed", f"applied, and could not be verified: {said}", code)
    wrong = [one for one in after["verdicts"] if one["answer"] not in EXPECTED]
    if wrong:
        return HostOutcome(host, "regressed", f"{wrong[0]['subject']}: {wrong[0]['message']}", code)
    return HostOutcome(host, *_told("apply", document), code)


def _ask(host: str, words: Sequence[str], program: str) -> tuple[int, dict[str, Any] | None, str]:
    command = f"{program} tune {shlex.join(words)} -o json"
    try:
        done = run([*SSH, host, "--", command], timeout_s=TIMEOUT_S, check=False)
    except HftctlError as error:
        return UNREACHABLE, None, error.message
    said = " ".join((done.stderr.strip() or done.stdout.strip()).splitlines()[-1:])
    try:
        return done.returncode, dict(json.loads(done.stdout)), said
    except ValueError:
        return done.returncode, None, said


def _told(verb: str, document: dict[str, Any]) -> tuple[str, str]:
    match verb:
        case "plan":
            refused = f", refused: {', '.join(document['refused'])}" if document["refused"] else ""
            message = f"{document['profile']}: {document['pending']} to change{refused}"
            return ("pending" if document["pending"] else "as wanted"), message
        case "verify":
            message = f"{len(document['verdicts'])} places of {document['profile']}, {document['bad']} differ"
            return ("differs" if document["bad"] else "as wanted"), message
        case "show":
            return (document["profile"] or "not tuned"), "; ".join(
                document["bad"]
            ) or f"{document['places']} places as applied"
    reboot = f"; a reboot is needed: {' '.join(document['reboot'])}" if document["reboot"] else ""
    return document["result"], f"{len(document['changes'])} places{reboot}{document['cause']}"
