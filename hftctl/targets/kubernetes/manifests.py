"""What `kubectl kustomize` makes of an overlay in stack/manifests, as it ships: read, and asked for by subject. Pure but for reading files.

kubectl is not needed to deploy: `make manifests` keeps `rendered/` true, and a test compares it with kubectl's own answer.
"""

from __future__ import annotations

import copy
import functools
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from hftctl.paths import package_folder
from hftctl.targets.kubernetes import names

Manifest = dict[str, Any]
SUFFIX_CHARACTERS = 10
READABLE = str.maketrans("013ae", "ghkmt")  # as kustomize: no vowels and nothing that looks like another letter


@functools.cache
def _all(overlay: str) -> tuple[Manifest, ...]:
    text = (package_folder("stack") / "manifests" / "rendered" / f"{overlay}.yaml").read_text()
    return tuple(yaml.load_all(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)))


def of(overlay: str, subject: str, deployment: str) -> list[Manifest]:
    """The objects of a subject, in a deployment's own namespace, without their settings. A partition's are those of partition 0."""
    kind = names.kind(subject)
    first = subject if kind == subject else f"{kind}-0"
    found = [
        one
        for one in _all(overlay)
        if one["metadata"]["labels"].get(names.COMPONENT) == first and one["kind"] != "ConfigMap"
    ]
    made = [_renamed(copy.deepcopy(one), first, subject, deployment) for one in found]
    return sorted(made, key=lambda one: (one["kind"] in names.WORKLOADS, one["kind"] != "Namespace"))


def _renamed(one: Manifest, first: str, subject: str, deployment: str) -> Manifest:
    meta = one["metadata"]
    if "namespace" in meta:
        meta["namespace"] = names.namespace(deployment)
    if one["kind"] == "Namespace":
        meta["name"] = names.namespace(deployment)
    if one["kind"] == "PriorityClass":
        del meta["labels"][names.DEPLOYMENT]  # every deployment's
    renamed: Manifest = _words(one, {first: subject})
    _labels(renamed, deployment)
    return renamed


def _words(value: Any, words: Mapping[str, str]) -> Any:
    """Every text that is one of `words`, or a file called so, by its new name."""
    if isinstance(value, dict):
        return {key: _words(one, words) for key, one in value.items()}
    if isinstance(value, list):
        return [_words(one, words) for one in value]
    if isinstance(value, str):
        folder, slash, name = value.rpartition("/")
        stem, dot, suffix = name.partition(".")
        return f"{folder}{slash}{words[stem]}{dot}{suffix}" if stem in words else value
    return value


def _labels(value: Any, deployment: str) -> None:
    if isinstance(value, dict):
        if names.DEPLOYMENT in value:
            value[names.DEPLOYMENT] = deployment
        for one in value.values():
            _labels(one, deployment)
    elif isinstance(value, list):
        for one in value:
            _labels(one, deployment)


def text(made: Sequence[Manifest]) -> str:
    """As kubectl takes them."""
    written: str = yaml.safe_dump_all(made, sort_keys=False, width=140)
    return written


def workload(manifests: Sequence[Manifest]) -> Manifest | None:
    return next((one for one in manifests if one["kind"] in names.WORKLOADS), None)


def pod(work: Mapping[str, Any]) -> Manifest:
    """The specification of its pods."""
    found: Manifest = work["spec"]["template"]["spec"]
    return found


def config_map(subject: str, deployment: str, data: Mapping[str, str]) -> Manifest:
    """As a generator of kustomize makes it: its name holds a hash of its content, and it never changes."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": f"{subject}-{suffix(data)}",
            "namespace": names.namespace(deployment),
            "labels": {**names.labels(deployment), names.COMPONENT: subject, names.KIND: names.kind(subject)},
        },
        "immutable": True,
        "data": dict(data),
    }


def suffix(data: Mapping[str, str]) -> str:
    """Of the data alone: kustomize leaves the name empty here."""
    hashed = {"data": dict(data), "kind": "ConfigMap", "name": ""}
    text = json.dumps(hashed, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    for character, escaped in (("<", "\\u003c"), (">", "\\u003e"), ("&", "\\u0026")):  # as Go writes JSON
        text = text.replace(character, escaped)
    return hashlib.sha256(text.encode()).hexdigest()[:SUFFIX_CHARACTERS].translate(READABLE)


def differing(wanted: Any, live: Any, path: str = "") -> list[str]:
    """Key paths of what is set on the cluster to something else than we set. What we do not set is not ours."""
    if isinstance(wanted, Mapping):
        if not wanted:
            return [] if isinstance(live, Mapping) else [path]
        if not isinstance(live, Mapping):
            return [path]
        found = [differing(one, live.get(key), f"{path}.{key}" if path else str(key)) for key, one in wanted.items()]
        return [one for group in found for one in group]
    if isinstance(wanted, list):
        if not isinstance(live, list) or not any(isinstance(item, Mapping) for item in wanted):
            return [] if wanted == (live or []) else [path]
        return [one for index, item in enumerate(wanted) for one in _item(item, index, live, path)]
    return [] if wanted == live else [path]


def _item(item: Any, index: int, live: Sequence[Any], path: str) -> list[str]:
    """Others may have put something of theirs before it: what has a name is found by that."""
    if isinstance(item, Mapping) and "name" in item:
        there = next((one for one in live if isinstance(one, Mapping) and one.get("name") == item["name"]), None)
        return differing(item, there, f"{path}[{item['name']}]")
    there = live[index] if index < len(live) else None
    return differing(item, there, f"{path}[{index}]")
