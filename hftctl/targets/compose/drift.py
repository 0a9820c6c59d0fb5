"""What on the Docker engine is not as it was applied, though nobody deployed it: containers, settings, networks, doors. Reads only."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from typing import Any

from hftctl.plan.change import Spec, State
from hftctl.targets.base import Drift
from hftctl.targets.compose import components, names
from hftctl.targets.compose.containers import Containers, Found
from hftctl.targets.compose.daemon import saying
from hftctl.targets.compose.store import Store
from hftctl.targets.differing import differing

# Of HostConfig: what `docker update` can change under us, and what a look at the container shows as it was asked for.
COMPARED = ("Memory", "MemorySwap", "CpuShares", "PidsLimit", "RestartPolicy")


def find(containers: Containers, store: Store, deployment: str, desired: State, observed: State) -> Iterator[Drift]:
    start = f"hftctl start -p {deployment}"
    yield from differing(desired, observed, start)
    written = store.tree("config")
    serving = containers.serving()
    for subject, spec in observed.items():
        if (found := serving.get(subject)) is not None:
            yield from _files(subject, spec, written, start)
            yield from _container(containers, found, spec, deployment)
    yield from _strangers(containers, deployment)


def _files(subject: str, spec: Spec, written: Mapping[str, bytes], start: str) -> Iterator[Drift]:
    for name, wanted in components.rendered(subject, spec)[1].items():
        there = written.get(name)
        if there == wanted:
            continue
        lines = difflib.unified_diff(
            wanted.decode().splitlines(), (there or b"").decode(errors="replace").splitlines(), "applied", "in the volume",
            n=1, lineterm="",
        )  # fmt: skip
        what = "was edited by hand" if there is not None else "was removed by hand"
        yield Drift(subject, "file", f"config/{name} {what}", start, tuple(lines)[2:])


def _container(containers: Containers, found: Found, spec: Spec, deployment: str) -> Iterator[Drift]:
    seen = containers.inspect(found.id)
    if not seen or names.kind(found.subject) == "schema":
        return
    restart = f"hftctl restart {found.subject} -p {deployment}"
    if seen["State"]["Paused"]:
        yield Drift(found.subject, "process", "is paused", f"docker unpause {found.name}")
    host, wanted = seen["HostConfig"], spec["container"]["HostConfig"]
    for key in COMPARED:
        if key in wanted and not _same(host.get(key), wanted[key]):
            yield Drift(found.subject, "limits", f"{key} is {host.get(key)}, was made with {wanted[key]}", restart)
    network = wanted.get("NetworkMode", "")
    there = seen["NetworkSettings"]["Networks"]
    if network not in ("none", "") and network not in there:
        mend = f"docker network connect --alias {found.subject} {network} {found.name}"
        yield Drift(found.subject, "network", f"is cut off from {network}", mend)
    for other in there:
        if other not in (network, "none"):
            yield Drift(
                found.subject, "network", f"is in {other} too", f"docker network disconnect {other} {found.name}"
            )


def _same(there: Any, wanted: Any) -> bool:
    if isinstance(wanted, Mapping):
        return isinstance(there, Mapping) and all(there.get(key) == value for key, value in wanted.items())
    return bool(there == wanted)


def _strangers(containers: Containers, deployment: str) -> Iterator[Drift]:
    """Containers of somebody else that use a volume of ours: the journal has one writer."""
    ours = names.volume(deployment, "")
    with saying("list containers"):
        listed = containers.api.containers()
    for one in listed:
        if one["Labels"].get(names.DEPLOYMENT) == deployment:
            continue
        used = sorted(mount["Name"] for mount in one.get("Mounts", []) if mount.get("Name", "").startswith(ours))
        if used:
            called = one["Names"][0].lstrip("/")
            yield Drift("volumes", "process", f"the container {called} uses {', '.join(used)}", f"docker stop {called}")
