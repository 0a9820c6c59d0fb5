"""What a release wants on this machine: one spec per subject, in order of dependency. Pure but for where programs stand.

A spec is plain JSON: `settings` (written as `config/<component>.json`) or `files` (lists of lines, written to `config/`),
the `process` the supervisor shall run, and `code`, the content hash of what it runs, so that new code is a restart.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from hftctl.paths import Layout, package_folder
from hftctl.plan.change import Spec
from hftctl.release import Release
from hftctl.targets.local import control, exits, nginx, servers, services
from hftctl.targets.local.binaries import NGINX, POSTGRES, VALKEY, find, resolve
from hftctl.targets.local.process import Process, digest


def desired(release: Release, layout: Layout) -> dict[str, Spec]:
    return dict(_specs(release, layout))


def _specs(release: Release, layout: Layout) -> Iterator[tuple[str, Spec]]:
    profile = release.profile
    door = services.owns_door(profile)
    code = "".join(f"{name}:{release.artifacts[name][:12]} " for name in sorted(release.artifacts)).strip()
    yield "supervisor", control.supervisor_wanted()
    yield "postgres-0", servers.postgres(profile, layout, find(POSTGRES))
    yield "redis", servers.valkey(profile, layout, find(VALKEY))
    for number in range(len(profile["partitions"])):
        name = f"engine-{number}"
        settings = services.engine(release, number, door=door)
        listens = {"link": settings["link_socket"], "admin": settings["admin_socket"]}
        if door:
            listens["orders"] = settings["order_socket"]
        if settings["session_address"] is not None:
            listens["sessions"] = settings["session_address"]
        yield name, _service(layout, name, "stack.matcher", settings, code, listens, for_good=exits.ENGINE)
    schema = {"postgres": services.postgres(profile)}
    yield "schema-0", {"settings": schema, "schema": release.migrations}
    for number in range(1, profile["gateways"] + 1):
        name = f"gateway-{number}"
        settings = services.gateway(release, number)
        listens = {"http": settings["socket"]}
        yield name, _service(layout, name, "stack.gateway", settings, code, listens, start_first=True)
    for number in range(len(profile["partitions"])):
        name = f"persister-{number}"
        yield name, _service(layout, name, "stack.persister", services.persister(release, number), code, {})
    yield "nginx", nginx.spec(profile, layout, resolve(NGINX), door=door, processors=os.cpu_count() or 1)


def _service(
    layout: Layout,
    name: str,
    module: str,
    settings: Mapping[str, Any],
    code: str,
    listens: Mapping[str, str],
    *,
    start_first: bool = False,
    for_good: Sequence[int] = exits.SERVICE,
) -> Spec:
    return {
        "settings": settings,
        "code": code,
        "replaced": "start-first" if start_first else "stop-first",
        "process": {
            "argv": [*python(), "-m", module, "--config", f"../config/{name}.json"],
            "env": python_path("stack"),
            "listens": dict(listens),
            "stop": [["SIGTERM", 60.0]],
            "start_first": start_first,
            "for_good": list(for_good),
            "logs": [f"{name}.log"],
        },
    }


def process(subject: str, spec: Spec) -> Process:
    """As the supervisor takes it; its digest covers the whole spec, so that new settings are a restart too."""
    return Process.load({**spec["process"], "component": subject, "digest": digest(spec)})


def python() -> tuple[str, ...]:
    return (sys.executable, "-P")


def python_path(package: str) -> dict[str, str]:
    """Where a component finds the packages, whatever its working directory."""
    return {"PYTHONPATH": str(package_folder(package).parent)}


KINDS = ("supervisor", "postgres", "redis", "engine", "schema", "gateway", "persister", "nginx")


def order(subjects: Iterable[str]) -> list[str]:
    """As they depend on each other, for subjects that come from the target and not from a release."""
    return sorted(subjects, key=lambda subject: (KINDS.index(kind(subject)), number(subject)))


def kind(subject: str) -> str:
    return subject.partition("-")[0]


def number(subject: str) -> int:
    return int(subject.partition("-")[2] or 0)
