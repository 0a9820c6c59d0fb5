"""Boot entries of BLS and systemd-boot: a file per kernel with a line `options ...`; and what new kernels get."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from hftctl.tuning.boot.command_line import missing

OPTIONS = re.compile(r"^(options[ \t]+)(.*?)[ \t]*$", re.MULTILINE)
DEFAULTS, KERNEL_DEFAULTS = "/etc/default/grub", "/etc/kernel/cmdline"


def entry(text: str, wanted: Sequence[str]) -> str:
    """With all of `wanted` at the end of its options; an entry without options gets a line."""
    if not OPTIONS.search(text):
        return f"{text.rstrip()}\noptions {' '.join(wanted)}\n"

    def more(found: re.Match[str]) -> str:
        return found[1] + " ".join([found[2], *missing(found[2], wanted)]).strip()

    return OPTIONS.sub(more, text)


def kernel_defaults(text: str, wanted: Sequence[str]) -> str:
    """/etc/kernel/cmdline: one line that kernel-install takes for a new kernel."""
    line = " ".join(text.split())
    return " ".join([line, *missing(line, wanted)]).strip() + "\n"


def grub_defaults(text: str, wanted: Sequence[str]) -> str:
    """GRUB_CMDLINE_LINUX of /etc/default/grub, where no drop-ins are read (RHEL and its kin)."""
    found = re.search(r'^GRUB_CMDLINE_LINUX=(["\']?)(.*?)\1[ \t]*$', text, re.MULTILINE)
    if found is None:
        return f'{text.rstrip()}\nGRUB_CMDLINE_LINUX="{" ".join(wanted)}"\n'.lstrip()
    quote, line = found[1] or '"', found[2]
    changed = f"GRUB_CMDLINE_LINUX={quote}{' '.join([line, *missing(line, wanted)]).strip()}{quote}"
    return text[: found.start()] + changed + text[found.end() :]


def lines(text: str) -> Iterator[str]:
    """The command lines that stand in an entry."""
    for found in OPTIONS.finditer(text):
        yield found[2]
