"""Networks of a deployment, and where it is reached from outside."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from docker.errors import APIError

from hftctl.errors import Failed, NotFound
from hftctl.targets.compose import names
from hftctl.targets.compose.daemon import Missing, saying
from hftctl.targets.compose.daemon import address as engine_address

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


def address(seen: Mapping[str, Any]) -> str:
    """Of a running container in its own network; empty where it has none."""
    networks = seen.get("NetworkSettings", {}).get("Networks", {})
    return next((str(one["IPAddress"]) for one in networks.values() if one.get("IPAddress")), "")


def endpoint(published: str) -> str:
    """As a client here reaches what the engine publishes: where the engine is another machine, at that machine's name."""
    where = urlsplit(engine_address())
    if where.scheme in ("unix", "npipe", ""):
        return published
    parts = urlsplit(published)
    if parts.hostname in ("127.0.0.1", "::1"):
        raise NotFound(
            f"the door of this deployment is published on loopback of {where.hostname}, and we are not there",
            hint="set `bind` to an address of that machine and authentication: api_key, or run hftctl there",
        )
    return f"{parts.scheme}://{where.hostname}:{parts.port}"
