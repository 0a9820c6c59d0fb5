"""What a release wants on a Docker engine: one spec per subject, in order of dependency. Pure.

A spec is plain JSON: `image`, `container` (the body of POST /containers/create), `settings` or `files` (lists of lines), and how it is
`replaced`. A file's name in the volume `config` holds a hash of its content, so that the container before goes on with the one it has;
only nginx, which loads its configuration anew while it runs, has one name for all of them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

from hftctl.plan.change import Spec
from hftctl.release import Release
from hftctl.targets.compose import definition, names, services
from hftctl.targets.compose.images import STACK

KINDS = ("postgres", "redis", "engine", "schema", "gateway", names.BASELINE, names.CANARY, "persister", "nginx")
OURS = ("engine", "schema", "gateway", "persister")
START_FIRST = "start-first"
RELOADED = "reload"
FIXED = "nginx.conf"  # the file that keeps its name


def desired(release: Release, processors: int) -> dict[str, Spec]:
    """`processors` are those of the engine's machine."""
    return dict(_specs(release, processors))


def _specs(release: Release, processors: int) -> Iterator[tuple[str, Spec]]:
    profile = release.profile
    partitions = range(len(profile["partitions"]))
    yield _spec(release, "postgres-0", files=_lines(services.postgres_files(profile, 0)))
    yield _spec(release, "redis", files=_lines(services.redis_files(profile)))
    for number in partitions:
        yield _spec(release, f"engine-{number}", settings=services.engine(release, number))
    yield _spec(release, "schema-0", settings=services.schema(), schema=release.migrations)
    for number in range(1, profile["gateways"] + 1):
        yield gateway(release, number)
    for number in partitions:
        yield _spec(release, f"persister-{number}", settings=services.persister(release, number))
    yield nginx(release, *services.nginx(profile, processors))


def gateway(release: Release, number: int, kind: str = "gateway") -> tuple[str, Spec]:
    return _spec(
        release, f"{kind}-{number}", settings=services.gateway(release, number, kind), replaced=START_FIRST
    )  # fmt: skip


def nginx(release: Release, lines: list[str], edge: str) -> tuple[str, Spec]:
    how = f"stop-first; a new configuration by {RELOADED}"
    return _spec(release, "nginx", files={FIXED: lines}, replaced=how, edge=edge)


def _lines(files: Mapping[str, str]) -> dict[str, list[str]]:
    return {name: content.splitlines() for name, content in files.items()}


def _spec(release: Release, subject: str, *, replaced: str = "stop-first", **more: Any) -> tuple[str, Spec]:
    kind = names.service(subject)
    image = release.artifacts[STACK if kind in OURS else kind]
    return subject, {**more, "image": image, "replaced": replaced, "container": _container(release, subject)}


def _container(release: Release, subject: str) -> dict[str, Any]:
    kind = names.service(subject)
    # The Compose file has one of each.
    first = "gateway-1.json" if kind == "gateway" else f"{kind}-0.json"
    body = _renamed(definition.template(kind), {first: f"{subject}.json"})
    host = body["HostConfig"]
    deployment = release.deployment
    host["Mounts"] = [
        {
            "Type": "volume",
            "Source": names.volume(deployment, _numbered(name, subject)),
            "Target": target,
            "ReadOnly": read_only,
        }
        for name, target, read_only in definition.mounts(kind)
    ]
    if network := definition.network(kind):
        host["NetworkMode"] = names.network(deployment, network)
        body["NetworkingConfig"] = {"EndpointsConfig": {host["NetworkMode"]: {"Aliases": [subject]}}}
    return body | dict(_published(release, kind, subject, host))


def rendered(subject: str, spec: Spec) -> tuple[dict[str, Any], dict[str, bytes]]:
    """What a spec becomes: the body of the container, and the files of the volume `config` that it names."""
    plain = {name: ("\n".join(lines) + "\n").encode() for name, lines in spec.get("files", {}).items()}
    if "settings" in spec:
        plain[f"{subject}.json"] = (json.dumps(spec["settings"], indent=1) + "\n").encode()
    # Files of one subject share a hash: each finds the others by its own name.
    digest = hashlib.sha256(b"".join(name.encode() + b"\0" + plain[name] for name in sorted(plain))).hexdigest()[:8]
    called = {name: name if name == FIXED else _called(name, digest) for name in plain}
    return _renamed(spec["container"], called), {called[name]: content for name, content in plain.items()}


def _called(name: str, digest: str) -> str:
    path = PurePosixPath(name)
    return f"{path.stem}.{digest}{path.suffix}"


def _renamed(body: Mapping[str, Any], called: Mapping[str, str]) -> dict[str, Any]:
    """With other names of files in its command lines."""

    def renamed(word: str) -> str:
        folder, slash, name = word.rpartition("/")
        return f"{folder}{slash}{called.get(name, name)}"

    changed: dict[str, Any] = {
        key: [renamed(word) for word in body[key]] for key in ("Cmd", "Entrypoint") if key in body
    }
    if "Healthcheck" in body:
        test = [renamed(word) for word in body["Healthcheck"]["Test"]]
        changed["Healthcheck"] = {**body["Healthcheck"], "Test": test}
    return {**body, **changed}


def _numbered(volume: str, subject: str) -> str:
    """`partition-0` of the Compose file is the volume of its engine's own partition."""
    return f"{volume[:-2]}-{names.number(subject)}" if volume.endswith("-0") else volume


def _published(release: Release, kind: str, subject: str, host: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    profile = release.profile
    ports: dict[str, int] = {}
    if kind == "nginx":
        ports = {f"{definition.container_port('nginx')}/tcp": profile["ports"]["http"]}
    elif kind == "engine" and profile.get("binary_door", False):
        port = profile["ports"]["binary"] + names.number(subject)
        ports = {f"{port}/tcp": port}
        host["NetworkMode"] = names.network(release.deployment, "edge")  # a door of its own needs a network
    if ports:
        host["PortBindings"] = {
            inside: [{"HostIp": profile["bind"], "HostPort": str(port)}] for inside, port in ports.items()
        }
        yield "ExposedPorts", {inside: {} for inside in ports}


def digest(spec: Spec) -> str:
    """Of what a container cannot change while it runs."""
    fixed = {key: value for key, value in spec.items() if key not in ("files", "edge") or not reloadable(spec)}
    return hashlib.sha256(json.dumps(fixed, sort_keys=True, separators=(",", ":")).encode()).hexdigest()[:16]


def reloadable(spec: Spec) -> bool:
    return FIXED in spec.get("files", {})


def order(subjects: Iterable[str]) -> list[str]:
    def key(subject: str) -> tuple[int, int]:
        kind = names.kind(subject)
        return KINDS.index(kind) if kind in KINDS else len(KINDS), names.number(subject) if kind != subject else 0

    return sorted(subjects, key=key)
