"""GRUB of Debian and its kin: a drop-in that `update-grub` reads, and the same change in the grub.cfg that stands.

grub.cfg is changed as text, exactly where `update-grub` would put the words: that is one atomic replacement that can be
shown before, and taken back byte for byte, which a run of grub-mkconfig in between is not.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from hftctl.tuning.boot.command_line import missing

DROP_IN = "/etc/default/grub.d/zz-hftctl.cfg"
LINUX = re.compile(r"^(\s*linux(?:efi|16)?[ \t]+\S+)([ \t][^\n]*?)?([ \t]*\$vt_handoff)?[ \t]*$", re.MULTILINE)
RECOVERY = re.compile(r"\s(single|recovery|systemd\.unit=rescue\.target)(\s|$)")


def drop_in(wanted: Sequence[str]) -> str:
    return (
        "# Written by hftctl tune; hftctl tune revert takes it away.\n"
        f'GRUB_CMDLINE_LINUX_DEFAULT="$GRUB_CMDLINE_LINUX_DEFAULT {" ".join(wanted)}"\n'
    )


def config(text: str, wanted: Sequence[str]) -> str:
    """grub.cfg with `wanted` at the end of each kernel's line, those for recovery aside."""

    def more(found: re.Match[str]) -> str:
        line = found[2] or ""
        new = missing(line, wanted)
        if RECOVERY.search(line) or not new:
            return found[0]
        return f"{found[1]}{line.rstrip()} {' '.join(new)}{found[3] or ''}"

    return LINUX.sub(more, text)


def lines(text: str) -> Iterator[str]:
    """The command lines of ordinary entries."""
    for found in LINUX.finditer(text):
        if not RECOVERY.search(found[2] or ""):
            yield (found[2] or "").strip()
