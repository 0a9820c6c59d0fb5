"""Settings and files of each component in its pod: as on Docker, but they meet at addresses instead of sockets in a volume. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hftctl.release import Release
from hftctl.targets.compose import services as docker
from hftctl.targets.local import nginx as door

LINK_PORT, GATEWAY_PORT, HTTP_PORT = 50050, 8000, docker.HTTP_PORT
GATEWAYS = f"gateway:{GATEWAY_PORT}"  # the address of a Service: whichever of them is ready
EVERYWHERE = "0.0.0.0"  # noqa: S104 - in a pod's own network; who gets there is said by policies


def engine(release: Release, number: int) -> dict[str, Any]:
    return {**docker.engine(release, number), "link_socket": f"{EVERYWHERE}:{LINK_PORT}", "session_address": None}


def gateway(release: Release) -> dict[str, Any]:
    """The same of all of them."""
    made = docker.gateway(release, 1)
    partitions = [{**one, "link_socket": _link(one["partition"])} for one in made["partitions"]]
    return {
        **made,
        "component": "gateway",
        "socket": f"{EVERYWHERE}:{GATEWAY_PORT}",
        "partitions": partitions,
        "release_file": "../release/release.json",
    }


def persister(release: Release, number: int) -> dict[str, Any]:
    return {**docker.persister(release, number), "link_socket": _link(number)}


def nginx(profile: Mapping[str, Any]) -> list[str]:
    place = door.Place(error_log="stderr", listen=str(HTTP_PORT), gateways=(GATEWAYS,))
    lines, _ = door.conf(profile, place, door=False, keeps=True, processors=1)
    return lines


def _link(partition: int) -> str:
    return f"engine-{partition}:{LINK_PORT}"
