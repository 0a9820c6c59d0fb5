"""The schema told to people and to editors: rows for documentation, and a JSON Schema of profile files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from types import NoneType
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from hftctl.errors import NotFound
from hftctl.profile.schema import Profile

EXTENDS = "name of the profile whose values stand under this one's: mappings merge, lists and values replace"


@dataclass(frozen=True)
class Row:
    key: str  # partitions[].ranges
    type: str
    default: str  # empty: required
    range: str
    description: str


def rows(key: str | None = None) -> list[Row]:
    """Every key, or one and what is below it."""
    found = [Row("extends", "text", "none", "", EXTENDS), *_walk(Profile, "")]
    if key is None:
        return found
    plain = key.replace("[]", "")
    chosen = [row for row in found if f"{row.key.replace('[]', '')}.".startswith(f"{plain}.")]
    if not chosen:
        raise NotFound(f"no key of a profile is named '{key}'", hint="see all: hftctl profile docs")
    return chosen


def json_schema() -> dict[str, Any]:
    """Of a file as it is written: any key may come from a layer under it, so none is required at the top."""
    schema = Profile.model_json_schema()
    schema.pop("required", None)
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "hftctl profile"
    schema["properties"] = {"extends": {"type": "string", "description": EXTENDS}, **schema["properties"]}
    return schema


def _walk(model: type[BaseModel], prefix: str) -> Iterator[Row]:
    for name, field in model.model_fields.items():
        inner, many = _section(field.annotation)
        yield Row(f"{prefix}{name}", _type(field.annotation), _default(field), _range(field), field.description or "")
        if inner is not None:
            yield from _walk(inner, f"{prefix}{name}{'[]' if many else ''}.")


def _section(annotation: Any) -> tuple[type[BaseModel] | None, bool]:
    many = get_origin(annotation) is list
    inner = get_args(annotation)[0] if many else annotation
    return (inner, many) if isinstance(inner, type) and issubclass(inner, BaseModel) else (None, many)


_NAMES: dict[Any, str] = {str: "text", int: "whole number", float: "number", bool: "true or false", NoneType: "nothing"}


def _type(annotation: Any) -> str:
    if get_origin(annotation) is Literal:
        return " | ".join(str(value) for value in get_args(annotation))
    if get_origin(annotation) is list:
        return f"list of {_type(get_args(annotation)[0])}"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "mapping"
    origin = getattr(annotation, "__origin__", annotation)  # of Annotated
    return _NAMES.get(annotation) or _NAMES.get(origin) or str(annotation)


def _default(field: FieldInfo) -> str:
    if field.default is PydanticUndefined:
        return ""
    if isinstance(field.default, BaseModel):
        return "see below"
    if isinstance(field.default, list):
        return json.dumps([value.model_dump() if isinstance(value, BaseModel) else value for value in field.default])
    return json.dumps(field.default) if isinstance(field.default, bool) else str(field.default)


def _range(field: FieldInfo) -> str:
    low = next((rule.ge for rule in field.metadata if hasattr(rule, "ge")), None)
    high = next((rule.le for rule in field.metadata if hasattr(rule, "le")), None)
    return "" if low is None or high is None else f"{low} to {high}"
