"""A host as a tree of files that plans can be computed from elsewhere: all that any host profile and `tune show` look at."""

from __future__ import annotations

from pathlib import Path

from hftctl.errors import Refused
from hftctl.operations.host import open_host
from hftctl.operations.tune_plan import Asked, compute
from hftctl.tuning.capabilities import capabilities
from hftctl.tuning.facts.model import Facts
from hftctl.tuning.facts.pci import device
from hftctl.tuning.host import capture
from hftctl.tuning.host_profiles.catalog import PROFILES
from hftctl.tuning.places.driver import Driver
from hftctl.tuning.state import HostState


def capture_host(root: Path, folder: Path) -> Facts:
    """Writes below `folder` only. What hftctl remembers of the host stays there: the copy is one that nothing is applied to."""
    host = open_host(root)
    state = HostState(host)
    host.captured = {}
    made = [compute(host, state, Asked(name)) for name in PROFILES]
    facts = made[0].facts
    list(capabilities(host, facts))
    for card in (nic.pci for nic in facts.nics if nic.pci):  # any of them may be named with --bind
        device(host, facts, card)
        Driver().read(host, card)
    try:
        capture(host, folder)
    except OSError as error:
        raise Refused(
            f"cannot write the capture to {folder}: {error.strerror}", hint="choose another folder"
        ) from error
    return facts
