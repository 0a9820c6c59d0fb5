"""A release as files of plain `docker compose`, which knows no profile. Pure.

`stack/compose/compose.yaml` is for people, with a reason beside each value, and has one gateway; its settings, `configs.yaml`, are
written by `make docs`. `hftctl render` makes both of any profile: as many gateways and partitions, and the images by their names.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from hftctl.release import Release
from hftctl.targets.compose import components, definition, names, services
from hftctl.targets.compose.images import STACK
from hftctl.targets.compose.networks import NETWORKS
from hftctl.targets.local.services import OWN_ACCOUNTS

CONFIGS = "configs.yaml"
FOLDER = "/srv/hftctl"
WRITTEN = """\
# Written by `python -m hftctl.cli.reference` from profiles/compose.yaml; a test fails when it is stale.
# One gateway: more of them need an nginx that knows of them, which is what hftctl changes when it scales.
"""
RENDERED = """\
# Rendered by hftctl from the profile of '{}', for plain `docker compose`: no history, no lock, no update without a pause.
# Limits and why they are so: stack/compose/compose.yaml of the sources.
"""
MANY = {"engine", "gateway", "persister"}  # one service in the Compose file, as many as the profile says here


def configs(profile: Mapping[str, Any]) -> str:
    release = Release("compose", "compose", profile["environment"], {**profile, "gateways": 1}, {})
    return WRITTEN + _configs(release, 1)


def files(release: Release, processors: int) -> dict[str, str]:
    """`processors`: of the machine that will run it, for how many gateways take requests at once."""
    head = RENDERED.format(release.deployment)
    made = dict(_services(release, [name for name, _ in _files(release, processors)]))
    document = {
        "name": release.deployment,
        "include": [CONFIGS],
        "services": made,
        "networks": {name: {"internal": True} if internal else {} for name, internal in NETWORKS.items()},
        "volumes": {name: {} for name in sorted(_volumes(made.values()))},
    }
    return {definition.FILE: head + definition.text(document), CONFIGS: head + _configs(release, processors)}


def _configs(release: Release, processors: int) -> str:
    # A dollar begins a variable for Compose.
    found = {name: {"content": text.replace("$", "$$")} for name, text in sorted(_files(release, processors))}
    return definition.text({"configs": found})


def _files(release: Release, processors: int) -> Iterator[tuple[str, str]]:
    profile = release.profile
    yield from services.postgres_files(profile, 0).items()
    yield from services.redis_files(profile).items()
    made: dict[str, Mapping[str, Any]] = {
        **{name: services.engine(release, names.number(name)) for name in _subjects(release, "engine")},
        "schema-0": services.schema(),
        **{name: services.gateway(release, names.number(name)) for name in _subjects(release, "gateway")},
        **{name: services.persister(release, names.number(name)) for name in _subjects(release, "persister")},
        "release": {"hash": "plain docker compose"},
    }
    for name, settings in made.items():
        yield f"{name}.json", json.dumps(settings, indent=1) + "\n"
    yield components.FIXED, "\n".join(services.nginx(profile, processors)[0]) + "\n"


def _subjects(release: Release, service: str) -> list[str]:
    """As what a service of the Compose file stands here."""
    if service not in MANY:
        return [service]
    if service == "gateway":
        return [f"gateway-{number}" for number in range(1, release.profile["gateways"] + 1)]
    return [f"{service}-{number}" for number in range(len(release.profile["partitions"]))]


def _services(release: Release, settings: list[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    for service, found in definition.services().items():
        for subject in _subjects(release, service):
            yield subject, _service(release, service, subject, copy.deepcopy(dict(found)), settings)


def _service(release: Release, service: str, subject: str, made: dict[str, Any], settings: list[str]) -> dict[str, Any]:
    profile = release.profile
    made["image"] = release.artifacts.get(service, release.artifacts[STACK])
    made["depends_on"] = {
        name: condition for one, condition in made.get("depends_on", {}).items() for name in _subjects(release, one)
    }
    if service in MANY:
        first = "gateway-1.json" if service == "gateway" else f"{service}-0.json"
        made["command"] = [word.replace(first, f"{subject}.json") for word in made["command"]]
    if service == "setup":
        made["configs"] = [{"source": name, "target": f"{FOLDER}/config/{name}"} for name in settings]
        if profile["authentication"] == "api_key":
            made["command"] += [*profile["accounts"], *OWN_ACCOUNTS]
            made["volumes"] += [f"keys:{FOLDER}/keys"]
    elif service == "nginx":
        made["ports"] = [_port(profile, definition.container_port(service), profile["ports"]["http"])]
    elif service == "engine":
        made["volumes"] = [
            one.replace("partition-0:", f"partition-{names.number(subject)}:") for one in made["volumes"]
        ]
        if profile.get("binary_door", False):
            del made["network_mode"]
            port = profile["ports"]["binary"] + names.number(subject)
            made |= {"networks": ["edge"], "ports": [_port(profile, port, port)]}
    return {key: value for key, value in made.items() if value != {}}


def _port(profile: Mapping[str, Any], inside: int, published: int) -> dict[str, Any]:
    return {"target": inside, "host_ip": profile["bind"], "published": str(published)}


def _volumes(found: Iterable[Mapping[str, Any]]) -> set[str]:
    return {str(mount).partition(":")[0] for service in found for mount in service.get("volumes", [])}
