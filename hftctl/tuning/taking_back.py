"""What a revert does with each place: back to what stood before us, or not, where somebody else was there since."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from hftctl.plan.change import Change, Spec
from hftctl.plan.diff import change as change_between
from hftctl.tuning.actuator import told
from hftctl.tuning.boot.command_line import words
from hftctl.tuning.places.file import text_of
from hftctl.tuning.places.registry import place
from hftctl.tuning.state import HostState

BACK = "back to what stood before hftctl"
MERGED = "somebody changed it since; our words are taken out of it, the rest stays"
BOOT_FILES = re.compile(r"/grub2?/grub\.cfg$|/loader/entries/[^/]+\.conf$|^/etc/default/grub$|^/etc/kernel/cmdline$")


@dataclass(frozen=True)
class TakingBack:
    changes: tuple[Change, ...]  # in the order they are made: what was written last goes first
    done: tuple[str, ...]  # subjects that are as they were before already, or that a boot has set anew
    conflicts: tuple[str, ...]  # sentences: what somebody else changed since, and what is left alone therefore


def taking_back(state: HostState, boot_id: str, entries: Sequence[str], *, force: bool) -> TakingBack:
    """`entries`: boot entries; those of kernels that were installed since have our words too. `force`: nothing is left."""
    changes: list[Change] = []
    done: list[str] = []
    conflicts: list[str] = []
    for subject in reversed(state.ledger.origins):
        origin = state.ledger.origins[subject]
        kind, where = place(subject)
        live = kind.read(state.host, where)
        if live == origin.before:
            done.append(subject)
        elif force or kind.ours(live, origin.before, origin.written):
            changes.append(replace(change_between(subject, live, origin.before), cause=BACK))
        elif not kind.lasting and (live is None or origin.boot_id != boot_id):
            done.append(subject)  # what stands there was set by this boot, and nothing of ours
        elif (merged := _without_ours(state, subject, live)) is not None:
            changes.append(replace(change_between(subject, live, merged), cause=MERGED))
        else:
            conflicts.append(f"{subject} is {told(live)}, and neither as we wrote it nor as it was before")
    for path in entries:
        subject = f"file:{state.host.real(path)}"
        if subject not in state.ledger.origins:
            live = place(subject)[0].read(state.host, place(subject)[1])
            if (merged := _without_ours(state, subject, live)) is not None and merged != live:
                changes.append(replace(change_between(subject, live, merged), cause=MERGED))
    return TakingBack(tuple(changes), tuple(done), tuple(conflicts))


def _without_ours(state: HostState, subject: str, live: Spec | None) -> Spec | None:
    """A boot file without the kernel parameters that we added to it; None where that is not what it is."""
    _, where = place(subject)
    if live is None or "text" not in live or not BOOT_FILES.search(where):
        return None
    origin = state.ledger.origins.get(subject)
    before = set(words(text_of(origin.before))) if origin is not None else set()
    arguments = state.applied.arguments if state.applied is not None else ()
    ours = [word for word in arguments if word not in before]
    if not ours:
        return None
    text = str(live["text"])
    for word in ours:
        text = re.sub(rf"[ \t]{re.escape(word)}(?=[\s\"']|$)", "", text)
    return {**live, "text": text}
