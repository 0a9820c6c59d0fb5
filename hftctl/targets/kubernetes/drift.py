"""What on the cluster is not as it was applied, though nobody deployed it, and who did it. Reads only."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from hftctl.plan.change import State
from hftctl.targets.base import Drift
from hftctl.targets.differing import differing
from hftctl.targets.kubernetes import components, manifests, names
from hftctl.targets.kubernetes.api import Object
from hftctl.targets.kubernetes.standing import Standing

SEGMENT = re.compile(r"([^.\[\]]+)|\[([^\]]+)\]")


def find(standing: Standing, desired: State, observed: State) -> Iterator[Drift]:
    start = f"hftctl start -p {standing.deployment}"
    yield from differing(desired, observed, start)
    for subject, spec in standing.specs().items():
        for wanted in components.rendered(subject, spec, standing.deployment):
            yield from _object(standing, subject, wanted, start)


def _object(standing: Standing, subject: str, wanted: Object, start: str) -> Iterator[Drift]:
    live = standing.there.get((wanted["kind"], wanted["metadata"]["name"]))
    if live is None:
        yield Drift(subject, "gone", f"{names.title(wanted)} was deleted by hand", start)
        return
    for path in manifests.differing(wanted, live):
        owners = owners_of(live, path)
        who = f" by {' and '.join(owners)}" if owners else ""
        now, before = at(live, path), at(wanted, path)
        said = (
            f"{names.title(wanted)}: {path} was changed{who}: it is {_shown(now)}, and was applied as {_shown(before)}"
        )
        repair = f"{start}; hftctl takes no field by force, so let go of it first: kubectl edit" if owners else start
        yield Drift(subject, "setting", said, repair, (f"-{path}: {_shown(before)}", f"+{path}: {_shown(now)}"))


def owners_of(live: Object, path: str) -> list[str]:
    """Who else has set a field, by the API server's own account of it."""
    found = []
    for entry in live["metadata"].get("managedFields", []):
        if entry["manager"] != names.MANAGER and _owns(entry.get("fieldsV1", {}), path):
            found.append(f"{entry['manager']} ({entry.get('time', '')})")
    return found


def _owns(fields: Mapping[str, Any], path: str) -> bool:
    for key, item in SEGMENT.findall(path):
        wanted = f"f:{key}" if key else None
        inner = next((fields[one] for one in fields if one == wanted or (item and _is_item(one, item))), None)
        if inner is None:
            return False
        fields = inner
    return True


def _is_item(key: str, item: str) -> bool:
    """`k:{"name":"gateway"}` is the item called gateway."""
    return key.startswith("k:") and json.loads(key[2:]).get("name") == item


def at(value: Any, path: str) -> Any:
    for key, item in SEGMENT.findall(path):
        if key:
            value = value.get(key) if isinstance(value, Mapping) else None
        elif isinstance(value, list):
            named = next((one for one in value if isinstance(one, Mapping) and one.get("name") == item), None)
            value = named or (value[int(item)] if item.isdigit() and int(item) < len(value) else None)
    return value


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
