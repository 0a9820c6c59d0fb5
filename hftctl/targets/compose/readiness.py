"""Whether each component does its work yet, told by Docker's own account of it; nothing is asked in a container but by who waits."""

from __future__ import annotations

import http.client
import re
import time
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from hftctl.errors import Failed
from hftctl.plan.actuator import Answer, Readiness
from hftctl.targets.compose import names
from hftctl.targets.compose.containers import Containers, Found
from hftctl.targets.local import exits, log_stream, nginx

DEATHS_MAX = 3  # of one container: what dies again and again does so for a reason
ASK_TIMEOUT_S = 2.0
ASK_EVERY_S = 0.3
SHOWN_LINES = 3
WITH_PROBE = ("engine", "gateway", "persister")


def of(containers: Containers, found: Found, *, ask: bool, endpoint: str = "", edge: str = "") -> Readiness:
    """`ask`: also inside, as soon as it runs, instead of waiting for Docker's next look."""
    seen = containers.inspect(found.id)
    if not seen:
        return Readiness(Answer.WAITING, f"{found.subject} is gone")
    state, kind = seen["State"], names.kind(found.subject)
    if kind == "schema":
        return _job(containers, found, state)
    if dead := _dead(containers, found, seen):
        return dead
    if state["Paused"]:
        return Readiness(Answer.WAITING, f"{found.subject} is paused: docker unpause {found.name}")
    if cut := _cut_off(found.subject, seen):
        return Readiness(Answer.WAITING, cut)
    if kind == "nginx":
        return _nginx(endpoint, edge)
    health = state.get("Health", {})
    code, said = _last_look(health)
    # Docker calls it healthy until three looks in a row have failed: what the last of them said is of one that is not.
    healthy = health.get("Status") == "healthy"
    if healthy and code == 0:
        return Readiness(Answer.READY, said or f"{found.subject} is healthy")
    if ask and (answer := _asked(containers, found, seen["Config"].get("Healthcheck", {}).get("Test", []))) is not None:
        return answer
    if healthy:
        return Readiness(Answer.READY, f"{found.subject} is healthy")
    return Readiness(Answer.WAITING, said or f"{found.subject} is starting", _progress(said))


def _asked(containers: Containers, found: Found, test: Sequence[str]) -> Readiness | None:
    """What its health check says now, or said a moment ago; None where it cannot be run just now."""
    # A look costs a process: many a second would take the processor from what is starting.
    if (last := containers.asked.get(found.id)) is not None and time.monotonic() - last[0] < ASK_EVERY_S:
        return last[1]
    answer = _ask(containers, found, test)
    if answer is not None:
        containers.asked[found.id] = time.monotonic(), answer
    return answer


def _ask(containers: Containers, found: Found, test: Sequence[str]) -> Readiness | None:
    try:
        code, said = containers.run_in(found.id, test[1:])
    except Failed:
        return None  # it ended, or restarts; the next look at its state tells
    sentence = said.splitlines()[-1] if said else ""
    if code == 0:
        return Readiness(Answer.READY, sentence or f"{found.subject} is healthy")
    sentence = sentence if sentence.startswith(found.subject) else f"{found.subject} is starting"
    return Readiness(Answer.WAITING, sentence, _progress(sentence))


def _progress(said: str) -> int:
    replaying = re.search(r"replaying (\d+) of", said)
    return int(replaying[1]) if replaying else 0


def _job(containers: Containers, found: Found, state: Mapping[str, Any]) -> Readiness:
    if state["Status"] != "exited":
        return Readiness(Answer.WAITING, "the schema is being brought up to date")
    if state["ExitCode"] == 0:
        return Readiness(Answer.READY, "the schema has everything that its release brings")
    said = " | ".join(containers.last_lines(found.id, SHOWN_LINES)[-SHOWN_LINES:])
    return Readiness(
        Answer.FAILED, f"{found.subject}: the migrations ended with exit status {state['ExitCode']}: {said}"
    )


def _dead(containers: Containers, found: Found, seen: Mapping[str, Any]) -> Readiness | None:
    """Of one that does not run, or dies again and again."""
    state, subject = seen["State"], found.subject
    code, deaths = state["ExitCode"], seen.get("RestartCount", 0)
    # While it waits for its next try, Docker calls it restarting; between tries it runs for a moment, and is none the better.
    # Docker counts the deaths of a whole life: nginx, which has no health check, is asked whatever their number.
    # What needs more memory than it has needs it at the next try too: clients wait meanwhile, so whoever waits sees that once.
    too_big = state.get("OOMKilled") and deaths > containers.deaths.setdefault(found.id, deaths)
    if state["Status"] == "running" and not too_big and (deaths < DEATHS_MAX or names.kind(subject) == "nginx"):
        return None
    if state["Status"] == "running" and state.get("Health", {}).get("Status") == "healthy":
        return None
    if state["Status"] == "paused":
        return None
    for_good = exits.ENGINE if names.kind(subject) == "engine" else exits.SERVICE
    ours = names.service(subject) in WITH_PROBE
    said = last_words(containers, found)
    told = f"; it said: {said}" if said else ""
    if state.get("OOMKilled"):
        limit = seen["HostConfig"]["Memory"] >> 20
        return Readiness(
            Answer.FAILED, f"{subject} was killed for its memory: its limit is {limit} MiB (exit status {code}){told}"
        )
    if state["Status"] == "created" and state.get("Error"):
        return Readiness(Answer.FAILED, f"{subject} could not be started: {state['Error']}")
    if ours and code in for_good and state["Status"] != "created":
        why = _why(subject, code)
        return Readiness(Answer.FAILED, f"{subject} ended for good: {why}{told}")
    if deaths >= DEATHS_MAX:
        return Readiness(Answer.FAILED, f"{subject} dies again and again: exit status {code}{told}")
    if state["Status"] in ("exited", "dead"):
        return Readiness(Answer.WAITING, f"{subject} does not run: it ended with exit status {code}{told}")
    return Readiness(
        Answer.WAITING,
        f"{subject} died (exit status {code}) and is started again" if deaths else f"{subject} does not run yet",
    )


def _why(subject: str, code: int) -> str:
    if code == exits.LOCKED:
        return "exit status 6, another engine works on its volume: stop that container first"
    if code == exits.DAMAGED:
        return "exit status 10, its journal is damaged; delete nothing, look closer: hftctl logs " + subject
    return "exit status 2, it cannot work with its settings: mend the profile, then hftctl deploy PROFILE"


def _cut_off(subject: str, seen: Mapping[str, Any]) -> str:
    wanted = seen["HostConfig"]["NetworkMode"]
    there = seen["NetworkSettings"]["Networks"]
    if wanted in ("none", "host", "default") or wanted in there:
        return ""
    return f"{subject} was cut off from its network: docker network connect --alias {subject} {wanted} {seen['Name'].lstrip('/')}"


def _nginx(endpoint: str, edge: str) -> Readiness:
    parts = urlsplit(endpoint)
    client = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=ASK_TIMEOUT_S)
    try:
        client.request("GET", nginx.EDGE)
        answer = client.getresponse()
        text = answer.read(1 << 16).decode(errors="replace")
        if f'"{edge}"' not in text:
            return Readiness(Answer.WAITING, "nginx still runs its old configuration")
        client.request("GET", "/health")
        answer = client.getresponse()
        answer.read(1 << 20)
    except (OSError, http.client.HTTPException) as error:
        return Readiness(Answer.WAITING, f"nginx does not answer at {endpoint} yet: {error}")
    finally:
        client.close()
    if answer.status == 200:
        return Readiness(Answer.READY, f"{endpoint} answers")
    return Readiness(Answer.WAITING, f"{endpoint}/health says {answer.status}")


def last_words(containers: Containers, found: Found) -> str:
    """Each line once, without its time: what dies again and again says the same every time."""
    lines = [
        log_stream.parse(line)[1].splitlines()[-1]
        for line in containers.last_lines(found.id, SHOWN_LINES)
        if line.strip()
    ]
    return " | ".join(list(dict.fromkeys(lines))[-SHOWN_LINES:])


def _last_look(health: Mapping[str, Any]) -> tuple[int | None, str]:
    """The exit status of the check and what it said; None before the first one."""
    log: Sequence[Mapping[str, Any]] = health.get("Log") or []
    said = str(log[-1]["Output"]).strip() if log else ""
    return (log[-1]["ExitCode"] if log else None), (said.splitlines()[-1] if said else "")
