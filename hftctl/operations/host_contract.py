"""What a profile needs of the machine it stands on (`host.needs`), checked before a deploy: told, never assumed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hftctl.targets.base import Finding
from hftctl.tuning.capabilities import capabilities
from hftctl.tuning.facts.gather import gather
from hftctl.tuning.host import Host


def findings(profile: Mapping[str, Any], root: Path = Path("/")) -> Iterator[Finding]:
    """One per need; `profile`: resolved. Older releases have no such key."""
    needs = profile.get("host", {}).get("needs", [])
    if not needs:
        return
    host = Host(root)
    there = {one.name: one for one in capabilities(host, gather(host))}
    for need in needs:
        if there[need].ready:
            yield Finding("ok", f"needs {need}", "this host can do it")
        else:
            message = f"the profile needs {need}, and {'; '.join(there[need].missing)}"
            yield Finding("problem", f"needs {need}", message, "see what this host can do: hftctl tune show")
