"""What a spec becomes, as text: the files that are written for it, and how its process is started. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator

from hftctl.plan.change import Spec

PROCESS = "process"


def rendered(subject: str, spec: Spec) -> Iterator[tuple[str, list[str]]]:
    """Lines by the name of the file; `PROCESS` is none."""
    if "settings" in spec:
        yield f"{subject}.json", json.dumps(spec["settings"], indent=1).splitlines()
    for name, lines in spec.get("files", {}).items():
        yield name, list(lines)
    if "process" in spec:
        process = {key: value for key, value in spec["process"].items() if value}
        yield PROCESS, json.dumps(process, indent=1).splitlines()
    if "digest" in spec:
        yield PROCESS, [f"it runs with settings that were not recorded, digest {spec['digest']}"]
