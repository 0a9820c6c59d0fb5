"""Limits of sessions: memory that may be locked, priority that may be asked for, files that may be open."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from hftctl.tuning.places.file import new
from hftctl.tuning.setting import Setting, Situation, Skipped, Wish

FILE = "/etc/security/limits.d/99-hftctl.conf"


class Limits:
    name: ClassVar[str] = "limits"

    def wishes(self, value: Any, why: str, at: Situation) -> Iterator[Wish]:
        """`value`: {"group": "hft", "memlock": "unlimited", "rtprio": 99, "nofile": 1048576}."""
        if not at.host.exists("/etc/security"):
            yield Skipped("limits", "no PAM limits here", self.name)
            return
        who = f"@{value['group']}"
        lines = [f"{who} - {name} {number}" for name, number in value.items() if name != "group"]
        text = "# Written by hftctl tune; hftctl tune revert takes it away.\n" + "\n".join(lines) + "\n"
        yield Setting(f"folder:{FILE.rpartition('/')[0]}", {"folder": True}, "for the file below it", knob=self.name)
        yield Setting(
            f"file:{FILE}",
            new(at.host, text),
            why,
            knob=self.name,
            risk=f"members of {value['group']} can starve others",
        )
