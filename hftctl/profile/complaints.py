"""Turns what is wrong with a profile into one line each: file:line: key: what, and what to write instead."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from hftctl.errors import ProfileError
from hftctl.profile.document import Node, Origin, kind_of, shorten
from hftctl.profile.rules import Key, Problem
from hftctl.profile.schema import Profile

HINT = "what each key means: hftctl profile docs"


def of_schema(error: ValidationError, root: Node) -> ProfileError:
    found = error.errors()
    # A key that is misspelt is not missing as well.
    misspelt = {(*p["loc"][:-1], _near(p["loc"])) for p in found if p["type"] == "extra_forbidden"}
    kept = [p for p in found if p["type"] != "missing" or p["loc"] not in misspelt]
    return together([_line(problem["loc"], _sentence(dict(problem)), root) for problem in kept])


def of_rules(problems: Iterable[Problem], root: Node) -> ProfileError:
    return together([_line(problem.key, problem.message, root) for problem in problems])


def together(errors: Sequence[ProfileError]) -> ProfileError:
    """The first, which speaks for all: a person mends them in one go."""
    first = min(errors, key=lambda error: (error.file, error.line))
    ordered = sorted(errors, key=lambda error: (error.file != first.file, error.file, error.line))
    first.message = "\n".join(error.message for error in ordered)
    first.args = (first.message,)
    return first


def dotted(key: Key) -> str:
    text = ""
    for part in key:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def _line(key: Key, message: str, root: Node) -> ProfileError:
    origin = _nearest(key, root)
    return ProfileError(message, file=origin.file, line=origin.line, key=dotted(key), hint=HINT)


def _nearest(key: Key, root: Node) -> Origin:
    """Of the value, or of the innermost thing around it that was written down."""
    node = root
    for part in key:
        if isinstance(node.value, dict) and part in node.value:
            node = node.value[str(part)]
        elif isinstance(node.value, list) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
        else:
            break
    return node.origin


_EXPECTED = {
    "string_type": "expected text",
    "int_type": "expected a whole number",
    "float_type": "expected a number",
    "bool_type": "expected true or false",
    "list_type": "expected a list",
    "model_type": "expected a mapping",
    "model_attributes_type": "expected a mapping",
}

_PATTERNS = {
    "currency": "is not 1 to 8 of A-Z and 0-9",
    "name": "is not a small letter followed by up to 30 of a-z, 0-9 and -",
    "accounts": "is not 1 to 32 of A-Z, a-z, 0-9, _ . -",
    "ranges": 'is not a range of first characters such as "A-G", or one such as "A"',
    "tick_size": 'is not a decimal such as "0.01", up to 12 digits on each side',
    "lot_size": 'is not a decimal such as "0.01", up to 12 digits on each side',
    "base_price": 'is not a decimal such as "100.50", up to 12 digits on each side',
    "symbol": "is not 1 to 12 of A-Z, 0-9 and dot",
    "symbols": "is not 1 to 12 of A-Z, 0-9 and dot",
    "enabled_symbols": "is not 1 to 12 of A-Z, 0-9 and dot",
}


def _sentence(problem: dict[str, Any]) -> str:
    kind, value, loc, context = problem["type"], problem["input"], problem["loc"], problem.get("ctx", {})
    if kind == "extra_forbidden":
        return f"unknown key; {_did_you_mean(loc)}"
    if kind == "missing":
        return "is missing"
    if kind in _EXPECTED:
        quotes = f'; write "{value}"' if kind == "string_type" and _number(value) else ""
        return f"{_EXPECTED[kind]}, got {kind_of(value)}{quotes}"
    if kind in {"greater_than_equal", "less_than_equal"}:
        low, high = _range(loc)
        return f"{value} is out of range; {low} to {high}"
    if kind == "string_pattern_mismatch":
        name = next(str(part) for part in reversed(loc) if isinstance(part, str))
        return f"{shorten(repr(value))} {_PATTERNS[name]}"
    if kind == "literal_error":
        return f"{kind_of(value)} is not one of: {', '.join(get_args(_field(loc)[1]))}"
    if kind == "too_short":
        return f"needs at least {context['min_length']} of them, has {context['actual_length']}"
    if kind == "too_long":
        return f"takes at most {context['max_length']} of them, has {context['actual_length']}"
    return str(problem["msg"])


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _range(loc: Key) -> tuple[Any, Any]:
    bounds: dict[str, Any] = {}
    for rule in _field(loc)[0]:
        bounds |= {name: getattr(rule, name) for name in ("ge", "le") if hasattr(rule, name)}
    return bounds["ge"], bounds["le"]


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models(inner)


def _model(loc: Key) -> type[BaseModel]:
    """The section that a key path leads into."""
    model: type[BaseModel] = Profile
    for part in loc:
        if isinstance(part, str) and part in model.model_fields:
            model = next(_models(model.model_fields[part].annotation), model)
    return model


def _field(loc: Key) -> tuple[list[Any], Any]:
    """Metadata and annotation of the field that a key path names."""
    names = [part for part in loc if isinstance(part, str)]
    field = _model(tuple(names[:-1])).model_fields[names[-1]]
    return field.metadata, field.annotation


def valid_keys(model: type[BaseModel] = Profile, prefix: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        yield f"{prefix}{name}"
        for inner in _models(field.annotation):
            yield from valid_keys(inner, f"{prefix}{name}.")


def _here(loc: Key) -> list[str]:
    return [*_model(loc[:-1]).model_fields, *([] if loc[:-1] else ["extends"])]


def _near(loc: Key) -> str | None:
    return next(iter(difflib.get_close_matches(str(loc[-1]), _here(loc), n=1, cutoff=0.6)), None)


def _did_you_mean(loc: Key) -> str:
    if near := _near(loc):
        return f"did you mean '{near}'?"
    wrong = str(loc[-1])
    elsewhere = {key.rpartition(".")[2]: key for key in valid_keys()}
    if found := difflib.get_close_matches(wrong, elsewhere, n=1, cutoff=0.8):
        return f"did you mean '{elsewhere[found[0]]}'?"
    closest = max(_here(loc), key=lambda name: difflib.SequenceMatcher(None, wrong, name).ratio())
    return f"the nearest valid key is '{closest}'"
