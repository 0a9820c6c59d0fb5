"""Exit statuses of our services after which another try would end the same way, and what to do instead."""

from __future__ import annotations

import shlex

from hftctl.paths import Layout

SETTINGS, LOCKED, DAMAGED = 2, 6, 10
ENGINE = (SETTINGS, LOCKED, DAMAGED)
SERVICE = (SETTINGS,)


def why(layout: Layout, subject: str, code: int | None) -> str:
    """Empty when another try may help."""
    kind, _, number = subject.partition("-")
    if kind not in {"engine", "gateway", "persister"}:
        return ""
    if code == SETTINGS:
        return "exit status 2, it cannot work with its settings: mend the profile, then hftctl deploy PROFILE"
    if kind != "engine":
        return ""
    if code == LOCKED:
        return (
            "exit status 6, another engine works on its data folder: end the process whose pid it names, then "
            f"hftctl start -p {layout.name}"
        )
    if code == DAMAGED:
        return (
            "exit status 10, its journal is damaged; delete nothing, look closer: "
            f"python -m stack.matcher.verify --data {shlex.quote(str(layout.partition(int(number))))}"
        )
    return ""
