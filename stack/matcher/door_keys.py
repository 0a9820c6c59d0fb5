"""The API keys that the doors of an engine ask for, read once at its start."""

from __future__ import annotations

from stack.keys import Keys, KeysError
from stack.matcher.refusal import StartRefused
from stack.settings import EngineSettings


def read_keys(settings: EngineSettings) -> Keys | None:
    """None exactly where authentication is off. Raises StartRefused: a door without its keys would let nobody in."""
    if settings.authentication != "api_key":
        return None
    if settings.api_keys_file is None:
        raise StartRefused("authentication is api_key, and api_keys_file names no file")
    try:
        return Keys(settings.api_keys_file)
    except KeysError as error:
        raise StartRefused(str(error)) from None
