"""What would stop a deploy on this Docker engine, found before anything is written: its version, images, ports, disk."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from hftctl.errors import NotFound
from hftctl.release import Release
from hftctl.targets.base import Finding
from hftctl.targets.compose import building, images, names, networks
from hftctl.targets.compose.containers import Containers
from hftctl.targets.compose.daemon import address, saying
from hftctl.targets.local import nginx
from hftctl.targets.local.preflight import cannot_bind, owners

API_MIN = (1, 44)  # Docker 25: health checks that look twice a second while a container starts
DISK_MINIMUM_BYTES = 1 << 30


def findings(api: Any, containers: Containers, release: Release) -> list[Finding]:
    return [*_engine(api), *_images(api, release), *_ports(api, containers, release), *_disk(api, release)]


def _engine(api: Any) -> Iterator[Finding]:
    with saying("ask the Docker engine for its version"):
        told = api.version()
    said = f"Docker {told['Version']} on {told['Os']}/{told['Arch']} at {address()}"
    if tuple(map(int, told["ApiVersion"].split("."))) < API_MIN:
        yield Finding(
            "problem", "docker", f"{said} is too old: 25 or newer is needed", "upgrade Docker on that machine"
        )
        return
    yield Finding("ok", "docker", said)
    if told["Arch"] not in ("amd64", "x86_64"):
        yield Finding(
            "warning", "docker", f"images for {told['Arch']} are built and never tested", "tell us what you meet"
        )


def _images(api: Any, release: Release) -> Iterator[Finding]:
    for part, reference in release.artifacts.items():
        if building.present(api, reference) is not None:
            yield Finding("ok", f"image {part}", f"{reference} is there")
        elif part == images.STACK:
            yield Finding("problem", f"image {part}", f"the image {reference} is not on this engine",
                          "build it: hftctl build --only images; or name one: --tag TAG")  # fmt: skip
        else:
            yield Finding("problem", f"image {part}", f"the image {reference} is not on this engine",
                          f"docker pull {reference}; or name another in the profile: images.{part}")  # fmt: skip


def _ports(api: Any, containers: Containers, release: Release) -> Iterator[Finding]:
    profile = release.profile
    wanted = {profile["ports"]["http"]: "http"}
    if profile.get("binary_door", False):
        wanted |= {profile["ports"]["binary"] + number: "binary" for number in range(len(profile["partitions"]))}
    with saying("list containers"):
        listed = api.containers()
    published = {port["PublicPort"]: one for one in listed for port in one.get("Ports", []) if "PublicPort" in port}
    for port, name in wanted.items():
        fix = f"or set ports.{name} in the profile"
        if (one := published.get(port)) is not None:
            called = one["Names"][0].lstrip("/")
            if one["Labels"].get(names.DEPLOYMENT) == release.deployment:
                yield Finding("ok", f"ports.{name}", f"port {port} is ours already")
            else:
                yield Finding("problem", f"ports.{name}", f"port {port} ({name}) is published by the container {called}",
                              f"docker stop {called}, {fix}")  # fmt: skip
        elif urlsplit(address()).scheme == "unix" and (error := cannot_bind(profile["bind"], port)):
            pids = ", ".join(f"pid {pid}" for pid in owners(port)) or "a process"
            yield Finding(
                "problem", f"ports.{name}", f"port {port} ({name}) is held by {pids}: {error}", f"stop it, {fix}"
            )
        else:
            yield Finding("ok", f"ports.{name}", f"port {port} is free")
    try:
        networks.endpoint(nginx.endpoint(profile))
    except NotFound as error:
        yield Finding("problem", "bind", error.message, error.hint)


def _disk(api: Any, release: Release) -> Iterator[Finding]:
    with saying("ask the Docker engine about itself"):
        root = Path(api.info()["DockerRootDir"])
    if urlsplit(address()).scheme != "unix" or not root.exists():
        return  # another machine's, or a virtual machine's disk
    profile = release.profile
    needed = DISK_MINIMUM_BYTES + 2 * profile["engine"]["segment_bytes"] * len(profile["partitions"])
    free = shutil.disk_usage(root).free
    if free < needed:
        yield Finding("problem", "disk", f"{root} has {free >> 20} MiB free, and {needed >> 20} MiB are needed to begin with",
                      "make room: docker system prune")  # fmt: skip
