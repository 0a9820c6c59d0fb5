"""Networks of a deployment, and where it is reached from outside."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from docker.errors import APIError

from hftctl.errors import Failed, NotFound
from hftctl.targets.compose import daemon, names
from hftctl.targets.compose.daemon import Missing, saying

NETWORKS = {"edge": False, "data": True}  # name -> whether it leads nowhere outside
CONFLICT = 409


def make(api: Any, deployment: str) -> None:
    """What is missing; a network by this name that is there is taken as it is."""
    with saying(f"make the networks of '{deployment}'"):
        there = {one["Name"] for one in api.networks(filters={"label": f"{names.DEPLOYMENT}={deployment}"})}
        for name, internal in NETWORKS.items():
            called = names.network(deployment, name)
            if called not in there:
                try:
                    api.create_network(
                        called, driver="bridge", internal=internal, labels={names.DEPLOYMENT: deployment}
                    )
                except APIError as error:
                    if error.status_code != CONFLICT:
                        raise


def remove(api: Any, deployment: str) -> None:
    with saying(f"remove the networks of '{deployment}'"):
        for one in api.networks(filters={"label": f"{names.DEPLOYMENT}={deployment}"}):
            try:
                api.remove_network(one["Id"])
            except Missing:
                continue


def remove_volumes(api: Any, deployment: str, wanted: Any) -> None:
    """Those whose short name `wanted` accepts. What somebody uses again already stays."""
    with saying(f"remove volumes of '{deployment}'"):
        found = api.volumes(filters={"label": f"{names.DEPLOYMENT}={deployment}"})["Volumes"] or []
        for one in found:
            if wanted(one["Name"].removeprefix(names.volume(deployment, ""))):
                try:
                    api.remove_volume(one["Name"])
                except Missing:
                    continue
                except APIError as error:
                    if error.status_code != CONFLICT:
                        raise


def volume_made(api: Any, name: str) -> str:
    """When; empty where there is none."""
    try:
        with saying(f"look at the volume {name}"):
            return str(api.inspect_volume(name)["CreatedAt"])
    except Failed as error:
        if isinstance(error.__cause__, Missing):
            return ""
        raise


def endpoint(published: str) -> str:
    """As a client here reaches what the engine publishes: where the engine is another machine, at that machine's name."""
    machine = daemon.machine()
    if not machine:
        return published
    parts = urlsplit(published)
    if parts.hostname in ("127.0.0.1", "::1"):
        raise NotFound(
            f"the door of this deployment is published on loopback of {machine}, and we are not there",
            hint="set `bind` to an address of that machine and authentication: api_key, or run hftctl there",
        )
    host = f"[{machine}]" if ":" in machine else machine
    return f"{parts.scheme}://{host}:{parts.port}"
