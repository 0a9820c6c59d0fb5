"""A name that does not exist: the ones that do, and the one that was probably meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from hftctl.errors import UsageError


def unknown(said: str, name: str, names: Iterable[str]) -> UsageError:
    known = list(names)
    near = difflib.get_close_matches(name, known, 1)
    return UsageError(
        f"{said} '{name}'; there are: {', '.join(known)}", hint=f"did you mean '{near[0]}'?" if near else ""
    )
