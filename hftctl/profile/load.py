"""A profile by name or path, with its layers merged and checked: defaults < environment < extended profiles < profile.

Mappings merge key by key; lists and values replace. The origin (file and line) of every value is kept.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from pydantic import ValidationError

from hftctl.errors import ProfileError, UsageError
from hftctl.profile import complaints, rules, search
from hftctl.profile.document import Node, Origin, read, shown
from hftctl.profile.schema import Environment, Profile

ENVIRONMENTS: tuple[str, ...] = get_args(Environment)
NOT_IN_LAYERS = ("name", "target", "environment", "extends")

Tree = dict[str, Node]


@dataclass(frozen=True)
class Resolved:
    profile: Profile
    values: Mapping[str, Any]  # every key with its value, plain JSON: what a release carries
    origins: Mapping[str, Origin]  # dotted key -> where its value comes from
    layers: tuple[str, ...]  # files, the strongest first
    file: Path


def load(given: str, *, environment: str | None = None) -> Resolved:
    """Raises ProfileError (or UsageError when there is no such profile); reads files and changes nothing."""
    path = search.find(given)
    return resolve(path, read(path), environment=environment)


def resolve(path: Path, own: Tree, *, environment: str | None = None) -> Resolved:
    """What the content of a profile file amounts to, with everything under it."""
    chain = _chain(path, own)
    files = [shown(file) for file, _ in chain]
    name = chain[0][1].get("name")
    tree: Tree = {}
    for _, written in reversed(chain):
        tree = _merge(tree, written)
    tree.pop("extends", None)
    tree["name"] = name or Node(path.stem, Origin(files[0], 1))  # a name is never inherited
    if environment is not None:
        if environment not in ENVIRONMENTS:
            raise UsageError(f"no environment is named '{environment}'; there are: {', '.join(ENVIRONMENTS)}")
        tree["environment"] = Node(environment, Origin("--environment", 0))
    layer = _environment(tree, path)
    if layer is not None:
        files.append(shown(layer[0]))
        tree = _merge(layer[1], tree)
    return _validated(tree, tuple(files), path)


def _chain(path: Path, tree: Tree) -> list[tuple[Path, Tree]]:
    """The profile, what it extends, what that extends."""
    chain = [(path, tree)]
    seen = {os.path.realpath(path)}
    while extends := tree.get("extends"):
        base = _base(path, extends)
        if os.path.realpath(base) in seen:
            names = " -> ".join([*(file.stem for file, _ in chain), base.stem])
            raise _extends_error(extends, f"profiles extend each other in a circle: {names}")
        seen.add(os.path.realpath(base))
        path, tree = base, read(base)
        chain.append((path, tree))
    return chain


def _base(path: Path, extends: Node) -> Path:
    name = extends.value
    if not isinstance(name, str) or search.is_path(name):
        raise _extends_error(extends, "expected the name of a profile")
    base = search.find_beside(name, path)
    if base is None:
        alone = f"'{name}' extends itself, and there is no other of that name"
        raise _extends_error(extends, alone if name == path.stem else f"no profile is named '{name}'")
    return base


def _extends_error(node: Node, message: str) -> ProfileError:
    return ProfileError(message, file=node.origin.file, line=node.origin.line, key="extends")


def _environment(tree: Tree, path: Path) -> tuple[Path, Tree] | None:
    node = tree.get("environment")
    name = node.value if node else Profile.model_fields["environment"].default
    if name not in ENVIRONMENTS:
        return None  # the schema says so, with everything else that is wrong
    file = search.find_beside(f"environments/{name}", path)
    if file is None:
        raise ProfileError(f"no layer environments/{name}.yaml beside it or shipped", file=shown(path))
    layer = read(file)
    for key in NOT_IN_LAYERS:
        if key in layer:
            raise ProfileError(
                "does not belong into an environment's layer", file=shown(file), line=layer[key].origin.line, key=key
            )
    return file, layer


def _merge(under: Tree, over: Tree) -> Tree:
    merged = dict(under)
    for key, node in over.items():
        below = under.get(key)
        if below is not None and isinstance(below.value, dict) and isinstance(node.value, dict):
            merged[key] = Node(_merge(below.value, node.value), node.origin)
        else:
            merged[key] = node
    return merged


def _validated(tree: Tree, files: tuple[str, ...], path: Path) -> Resolved:
    root = Node(tree, Origin(files[0], 1))
    try:
        profile = Profile.model_validate(_plain(root))
    except ValidationError as error:
        raise complaints.of_schema(error, root) from None
    found = list(rules.problems(profile))
    if found:
        raise complaints.of_rules(found, root)
    values = profile.model_dump(mode="json")
    origins = {key: _origin(root, key.split(".")) for key in _leaves(values)}
    return Resolved(profile, values, origins, files, path)


def _plain(node: Node) -> Any:
    if isinstance(node.value, dict):
        return {key: _plain(inner) for key, inner in node.value.items()}
    if isinstance(node.value, list):
        return [_plain(inner) for inner in node.value]
    return node.value


def _leaves(values: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Dotted keys; a list is one value."""
    keys: list[str] = []
    for key, value in values.items():
        keys += _leaves(value, f"{prefix}{key}.") if isinstance(value, dict) else [f"{prefix}{key}"]
    return keys


def _origin(root: Node, key: list[str]) -> Origin:
    node = root
    for part in key:
        if not isinstance(node.value, dict) or part not in node.value:
            return Origin("default", 0)
        node = node.value[part]
    return node.origin
