"""Reads one YAML file into a tree that knows file and line of every key and value.

Only the part of YAML that reads the same to everybody: no anchors, aliases, tags, merge keys, tabs or second documents,
and every plain scalar that YAML 1.1 and 1.2 read differently is refused by name (see `scalars`).
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml
from yaml import events

from hftctl.errors import ProfileError
from hftctl.profile.scalars import Scalar, plain

BYTES_MAX = 1 << 20
DEPTH_MAX = 20


@dataclass(frozen=True)
class Origin:
    """Where a value was written. Line 0: nowhere, it is a default or was given on the command line."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


@dataclass(frozen=True)
class Node:
    value: Scalar | list[Node] | dict[str, Node]
    origin: Origin  # of a mapping's value: the line of its key


def shown(path: Path) -> str:
    """A path as errors name it: relative when it lies below the working directory."""
    try:
        return str(path.absolute().relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def read(path: Path) -> dict[str, Node]:
    """The mapping that a file holds; an empty file is an empty mapping."""
    file = shown(path)
    text = _text(path, file)
    root = _parse(text, file)
    if root is None or root.value is None:
        return {}
    if not isinstance(root.value, dict):
        raise ProfileError(
            f"a profile is a mapping of keys to values, this is {kind_of(root.value)}",
            file=file,
            line=root.origin.line,
        )
    return root.value


def kind_of(value: object) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f"text {shorten(repr(value))}"
    if isinstance(value, int | float):
        return f"number {shorten(str(value))}"
    if isinstance(value, list):
        return "a list"
    return "a mapping" if isinstance(value, dict) else f"{type(value).__name__} {value}"


def shorten(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}..."


def _text(path: Path, file: str) -> str:
    try:
        # O_NONBLOCK: opening a FIFO would wait for a writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        why = "its symbolic links lead in a circle" if error.errno == errno.ELOOP else str(error.strerror).lower()
        raise ProfileError(f"cannot read the profile: {why}", file=file) from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise ProfileError("cannot read the profile: not a regular file", file=file)
    with os.fdopen(descriptor, "rb") as stream:
        data = stream.read(BYTES_MAX + 1)
    if len(data) > BYTES_MAX:
        raise ProfileError(f"larger than {BYTES_MAX} bytes; a profile is a few kilobytes", file=file)
    if data.startswith(b"\xef\xbb\xbf"):
        raise ProfileError("starts with a byte order mark; save it as UTF-8 without one", file=file, line=1)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ProfileError(f"byte 0x{data[error.start]:02x} is not UTF-8", file=file, line=line) from error
    for number, content in enumerate(text.split("\n"), 1):
        if "\t" in content:
            raise ProfileError(
                f"tab in column {content.index(chr(9)) + 1}; YAML indents with spaces", file=file, line=number
            )
    return text


def _parse(text: str, file: str) -> Node | None:
    try:
        stream = iter(yaml.parse(text, Loader=yaml.SafeLoader))
        root: Node | None = None
        documents = 0
        for event in stream:
            if isinstance(event, events.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise _error("a second document; a profile is one", event, file)
                if event.version or event.tags:
                    raise _error("directives (%YAML, %TAG) are not used in profiles", event, file)
            elif isinstance(event, events.NodeEvent):
                root = _node(event, stream, file, depth=1)
        return root
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = ", ".join(part for part in (error.context, error.problem) if part)
        raise ProfileError(f"not YAML: {what}", file=file, line=mark.line + 1 if mark else 0) from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        # PyYAML types `character` as bytes, but hands out the code point of a str.
        raise ProfileError(f"control character #x{int(error.character):04x}", file=file, line=line) from error


def _node(event: events.Event, stream: Iterator[events.Event], file: str, depth: int) -> Node:
    if isinstance(event, events.AliasEvent):
        raise _error(
            f"alias *{event.anchor}: write the value out; shared parts go into a profile to extend", event, file
        )
    if isinstance(event, events.ScalarEvent | events.CollectionStartEvent):
        if event.anchor:
            raise _error(f"anchor &{event.anchor}: anchors are not used in profiles", event, file)
        if event.tag:
            raise _error(f"tag {event.tag}: tags are not used in profiles", event, file)
    if depth > DEPTH_MAX:
        raise _error(f"nested deeper than {DEPTH_MAX} levels", event, file)
    origin = Origin(file, _line(event))
    if isinstance(event, events.ScalarEvent):
        return Node(_scalar(event, file), origin)
    if isinstance(event, events.SequenceStartEvent):
        items: list[Node] = []
        for inner in stream:
            if isinstance(inner, events.SequenceEndEvent):
                break
            items.append(_node(inner, stream, file, depth + 1))
        return Node(items, origin)
    return Node(_mapping(stream, file, depth), origin)


def _mapping(stream: Iterator[events.Event], file: str, depth: int) -> dict[str, Node]:
    found: dict[str, Node] = {}
    for event in stream:
        if isinstance(event, events.MappingEndEvent):
            break
        if isinstance(event, events.ScalarEvent) and event.implicit[0] and event.value == "<<":
            raise _error("merge key <<: use `extends` to build on another profile", event, file)
        key = _node(event, stream, file, depth + 1)
        if not isinstance(key.value, str):
            raise _error(f"a key is text, this is {kind_of(key.value)}", event, file)
        if key.value in found:
            first = found[key.value].origin.line
            raise ProfileError(
                f"duplicate key; first written in line {first}", file=file, line=key.origin.line, key=key.value
            )
        value = _node(next(stream), stream, file, depth + 1)
        found[key.value] = Node(value.value, key.origin)
    return found


def _scalar(event: events.ScalarEvent, file: str) -> Scalar:
    if not event.implicit[0]:  # quoted, or a block: text and nothing else
        return str(event.value)
    try:
        return plain(event.value)
    except ValueError as error:
        raise _error(str(error), event, file) from None


def _error(message: str, event: events.Event, file: str) -> ProfileError:
    return ProfileError(message, file=file, line=_line(event))


def _line(event: events.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark else 0
