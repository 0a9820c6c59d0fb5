"""Turns the settings of an older deployment (TOML, and environment variables written as TOML) into a profile.

Every key of the file is accounted for: what it became, or why there is no place for it.
"""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hftctl import paths
from hftctl.errors import ProfileError, Refused, UsageError
from hftctl.profile.document import BYTES_MAX, Node, Origin, shown
from hftctl.profile.load import ENVIRONMENTS, resolve

SAME = (
    "system.max_workers", "system.worker_queue_size", "trading.max_orders_per_second", "trading.enabled_symbols",
    "latency_profiling.enabled", "latency_profiling.sample_rate", "monitoring.enable_prometheus",
    "log_level", "max_latency_us", "enable_hft_mode", "environment",
)  # fmt: skip
RENAMED = {
    "rust_log": "log_level",
    "log.level": "log_level",
    "logging.level": "log_level",
    "system.log_level": "log_level",
    "monitoring.log_level": "log_level",
    "system.max_latency_us": "max_latency_us",
    "trading.max_latency_us": "max_latency_us",
    "system.enable_hft_mode": "enable_hft_mode",
    "monitoring.metrics_port": "ports.http",
}
WITHOUT_PLACE = {
    "dpdk_enabled": "the stack uses the kernel's network",
}
NOTES = {"monitoring.metrics_port": "metrics stand at /metrics of the public door"}
VARIABLES = ("env.", "environment.")  # tables that hold environment variables
LOG_LEVELS = {"trace": "debug", "warn": "warning"}
AMBIGUOUS = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"}
FLAGS = {"1": True, "0": False, "true": True, "false": False}


@dataclass(frozen=True)
class Taken:
    """What one key of the file became."""

    key: str
    value: Any
    became: str  # key of the profile; empty: not taken over
    note: str = ""


@dataclass(frozen=True)
class Imported:
    name: str
    file: Path  # where the profile goes
    text: str
    taken: tuple[Taken, ...]


def read(source: Path, *, to: Path | None = None, extends: str = "local") -> Imported:
    """The profile that a settings file amounts to, checked as any other. Writes nothing."""
    file = shown(source)
    text = _text(source, file)
    try:
        table = tomllib.loads(text)
    except RecursionError:
        raise ProfileError("not TOML that holds settings: nested too deep", file=file) from None
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"at line (\d+)", str(error))
        raise ProfileError(f"not TOML: {error}", file=file, line=int(line[1]) if line else 0) from error
    target = to or _default_file(source.stem)
    lines = _lines(text)
    taken = [_take(key, value) for key, value in _leaves(table)]
    tree: dict[str, Node] = {"extends": Node(extends, Origin(file, 1)), "name": Node(target.stem, Origin(file, 1))}
    if source.stem in ENVIRONMENTS and not any(one.became == "environment" for one in taken):
        taken.append(Taken("(file name)", source.stem, "environment"))
    for one in taken:
        if one.became:
            _put(tree, one, Origin(file, lines.get(one.key, 1)))
    resolve(target, tree)
    return Imported(target.stem, target, _yaml(tree, file, taken), tuple(taken))


def write(imported: Imported) -> None:
    """Never over a file that is there."""
    if os.path.lexists(imported.file):
        raise Refused(f"{imported.file} is already there", hint="choose another place with --to FILE")
    imported.file.parent.mkdir(parents=True, exist_ok=True)
    paths.write_atomic(imported.file, imported.text)


def _text(source: Path, file: str) -> str:
    try:
        if not source.is_file():
            raise UsageError(f"no settings file at {file}")
        with source.open("rb") as stream:
            data = stream.read(BYTES_MAX + 1)
        if len(data) > BYTES_MAX:
            raise ProfileError(f"larger than {BYTES_MAX} bytes", file=file)
        return data.decode("utf-8")
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ProfileError(f"byte 0x{error.object[error.start]:02x} is not UTF-8", file=file) from error


def _default_file(stem: str) -> Path:
    name = re.sub(r"[^a-z0-9-]+", "-", stem.lower()).strip("-") or "imported"
    return (Path("profiles") if Path("profiles").is_dir() else paths.config_home() / "profiles") / f"{name}.yaml"


def _leaves(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _lines(text: str) -> dict[str, int]:
    """Line of each key written as `key = value` under a `[table]`; what is written otherwise is found by its file."""
    found: dict[str, int] = {}
    table = ""
    for number, line in enumerate(text.splitlines(), 1):
        if header := re.match(r"\s*\[([\w.\-]+)\]", line):
            table = f"{header[1]}."
        elif key := re.match(r"\s*([\w.\-]+)\s*=", line):
            found.setdefault(table + key[1], number)
    return found


def _take(key: str, value: Any) -> Taken:
    plain = key.lower()
    for prefix in VARIABLES:
        plain = plain.removeprefix(prefix)
    became = RENAMED.get(plain) or (plain if plain in SAME else "")
    if not became:
        return Taken(key, value, "", WITHOUT_PLACE.get(plain, "no setting of a profile means this"))
    if became == "log_level" and isinstance(value, str):
        value = LOG_LEVELS.get(value.lower(), value.lower())
    elif became == "enable_hft_mode" and isinstance(value, str):
        value = FLAGS.get(value.lower(), value)
    elif became == "max_latency_us" and isinstance(value, str) and value.isdigit():
        value = int(value)  # an environment variable is always text
    return Taken(key, value, became, NOTES.get(plain, ""))


def _put(tree: dict[str, Node], one: Taken, origin: Origin) -> None:
    *sections, last = one.became.split(".")
    for section in sections:
        inner = tree.setdefault(section, Node({}, origin)).value
        assert isinstance(inner, dict)  # noqa: S101 - sections are never values in our own table above
        tree = inner
    if last in tree:
        raise ProfileError(f"'{one.became}' is set twice", file=origin.file, line=origin.line, key=one.key)
    tree[last] = _node(one.value, origin)


def _node(value: Any, origin: Origin) -> Node:
    if isinstance(value, Mapping):
        return Node({key: _node(inner, origin) for key, inner in value.items()}, origin)
    return Node([_node(inner, origin) for inner in value] if isinstance(value, list) else value, origin)


def _yaml(tree: Mapping[str, Node], file: str, taken: list[Taken]) -> str:
    lines = [f"# For the deployment that {Path(file).name} described. Gives up what is listed here:"]
    left = [one for one in taken if not one.became]
    lines += [f"#   {one.key}: {one.note}" for one in left] or ["#   nothing; every setting has its place."]
    return "\n".join(lines + list(_body(tree, ""))) + "\n"


def _body(tree: Mapping[str, Node], indent: str) -> Iterator[str]:
    for key, node in tree.items():
        if isinstance(node.value, dict):
            yield f"{indent}{key}:"
            yield from _body(node.value, indent + "  ")
        elif isinstance(node.value, list):
            yield f"{indent}{key}: {json.dumps([item.value for item in node.value])}"
        else:
            yield f"{indent}{key}: {_scalar(node.value)}"


def _scalar(value: Any) -> str:
    """Text without quotes where nobody can read anything else."""
    bare = isinstance(value, str) and re.fullmatch(r"[a-z][a-z-]*", value) and value not in AMBIGUOUS
    return str(value) if bare else json.dumps(value)
