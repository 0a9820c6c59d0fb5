"""What stands on the Docker engine, read from containers, their labels and the volume of settings. Changes nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from hftctl.plan.change import Spec, State
from hftctl.targets.base import ComponentStatus
from hftctl.targets.compose import components, names
from hftctl.targets.compose.containers import STARTED, Containers, Found
from hftctl.targets.compose.store import Store
from hftctl.targets.differing import AWAY, EDITED

LOADED = "state/nginx.spec.json"  # what nginx loaded last: it takes a new configuration without a new container


def observe(containers: Containers, store: Store, cluster: str) -> State:
    """What runs, with the spec it runs with. What does not run is not there, so that a plan starts it.

    `cluster`: when the volume of the database was made; what migrated another one does not count.
    """
    serving = containers.serving()
    if not serving:
        return {}
    written = store.tree("config")
    found: dict[str, Spec] = {}
    for subject, one in serving.items():
        if names.kind(subject) == "schema":
            done = one.state == "exited" and containers.inspect(one.id).get("State", {}).get("ExitCode") == 0
            if done and one.labels.get(names.CLUSTER) == cluster:
                found[subject] = one.spec
            continue
        if one.state not in STARTED:
            continue
        spec = loaded(store, one) if components.reloadable(one.spec) else one.spec
        marks = {EDITED: edited(subject, spec, written), AWAY: away(one)}
        found[subject] = {**spec, **{mark: value for mark, value in marks.items() if value}}
    return {subject: found[subject] for subject in components.order(found)}


def loaded(store: Store, one: Found) -> Spec:
    """Of nginx: what its container was made with, or took since."""
    text = store.read(LOADED)
    spec: Spec = json.loads(text) if text else one.spec
    return spec if components.digest(spec) == one.labels[names.DIGEST] else one.spec


def away(one: Found) -> str:
    """What keeps one that is there from its work, and a start takes away."""
    network = one.spec["container"]["HostConfig"].get("NetworkMode", "none")
    if one.state == "paused":
        return "paused"
    return "" if network == "none" or network in one.networks else f"cut off from {network}"


def edited(subject: str, spec: Spec, written: Mapping[str, bytes]) -> list[str]:
    _, files = components.rendered(subject, spec)
    return [name for name, content in files.items() if written.get(name) != content]


def status(one: Found, seen: Mapping[str, Any], ready: bool, message: str) -> ComponentStatus:
    state = seen.get("State", {})
    shown = {"created": "stopped", "exited": "stopped", "dead": "failed", "removing": "restarting"}
    return ComponentStatus(
        component=one.subject,
        state=shown.get(one.state, one.state),
        ready=ready,
        message=message,
        pid=state.get("Pid") or None,
        started_ns=_ns(state.get("StartedAt", "")) if one.state in STARTED else None,
        restarts=int(seen.get("RestartCount", 0)),
    )


def _ns(text: str) -> int | None:
    """Docker tells nanoseconds, which Python does not read."""
    from datetime import datetime

    try:
        whole, _, fraction = text.rstrip("Z").partition(".")
        seconds = int(datetime.fromisoformat(f"{whole}+00:00").timestamp())
    except ValueError:
        return None
    return seconds * 1_000_000_000 + int(fraction[:9].ljust(9, "0") or 0)
