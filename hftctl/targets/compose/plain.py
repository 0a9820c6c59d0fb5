"""Settings for plain `docker compose`, which knows no profile: stack/compose/configs.yaml, written by `make docs`. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from hftctl.release import Release
from hftctl.targets.compose import components, services

HEAD = """\
# Written by `python -m hftctl.cli.reference` from profiles/compose.yaml; a test fails when it is stale.
# One gateway: more of them need an nginx that knows of them, which is what hftctl changes when it scales.
"""


def configs(profile: Mapping[str, Any]) -> str:
    release = Release("compose", "compose", profile["environment"], {**profile, "gateways": 1}, {})
    lines = [HEAD + "configs:"]
    for name, content in sorted(_files(release)):
        lines += [f"  {name}:", f"    content: {json.dumps(content.replace('$', '$$'))}"]
    return "\n".join(lines) + "\n"


def _files(release: Release) -> Iterator[tuple[str, str]]:
    yield from services.postgres_files(release.profile, 0).items()
    yield from services.redis_files(release.profile).items()
    made = {
        "engine-0": services.engine(release, 0),
        "schema-0": services.schema(),
        "gateway-1": services.gateway(release, 1),
        "persister-0": services.persister(release, 0),
        "release": {"hash": "plain docker compose"},
    }
    for name, settings in made.items():
        yield f"{name}.json", json.dumps(settings, indent=1) + "\n"
    yield components.FIXED, "\n".join(services.nginx(release.profile, 1)[0]) + "\n"
