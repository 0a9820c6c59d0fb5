"""Reads Kubernetes manifests: YAML with any number of documents, or JSON, which is YAML too."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from hftctl.errors import UsageError
from hftctl.profile.document import shown

BYTES_MAX = 16 << 20
STDIN = Path("-")


@dataclass(frozen=True)
class Manifest:
    file: str
    line: int  # where the document begins
    body: Mapping[str, Any]

    @property
    def name(self) -> str:
        """`Deployment engine`."""
        metadata = self.body.get("metadata")
        name = metadata.get("name") or metadata.get("generateName") if isinstance(metadata, Mapping) else ""
        return f"{self.body.get('kind') or 'object'} {name or 'without a name'}"


def read(path: Path) -> Iterator[Manifest]:
    """Each object, those of a List one by one; `-` is stdin. Raises UsageError with file and line."""
    file = "stdin" if path == STDIN else shown(path)
    for line, body in _documents(_text(path, file), file):
        if body is None:
            continue
        if not isinstance(body, Mapping):
            raise UsageError(f"{file}:{line}: no Kubernetes object: a mapping with kind and metadata is meant")
        items = body.get("items")
        if str(body.get("kind", "")).endswith("List") and isinstance(items, list):
            yield from (Manifest(file, line, one) for one in items if isinstance(one, Mapping))
        else:
            yield Manifest(file, line, body)


def mapping(text: str, file: str) -> Mapping[str, Any]:
    """The first document of a text. Raises UsageError with file and line."""
    body = next((body for _, body in _documents(text, file)), None)
    return body if isinstance(body, Mapping) else {}


def _documents(text: str, file: str) -> Iterator[tuple[int, Any]]:
    try:
        loader = yaml.SafeLoader(text)
        while loader.check_node():
            if (node := loader.get_node()) is not None:
                yield node.start_mark.line + 1, loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = ", ".join(part for part in (error.context, error.problem) if part)
        raise UsageError(f"{file}:{mark.line + 1 if mark else 1}: not YAML: {what}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UsageError(f"{file}: not YAML: {error}") from error


def _text(path: Path, file: str) -> str:
    try:
        data = sys.stdin.buffer.read(BYTES_MAX + 1) if path == STDIN else _read(path)
    except OSError as error:
        raise UsageError(f"cannot read {file}: {str(error.strerror).lower()}") from error
    if len(data) > BYTES_MAX:
        raise UsageError(f"{file} is larger than {BYTES_MAX >> 20} MiB")
    return data.decode(errors="replace")


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(BYTES_MAX + 1)
