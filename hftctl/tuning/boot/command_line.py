"""Words of a kernel command line: taken apart, compared, added.

Most parameters count once, and the last one wins; `hugepagesz` and `hugepages` come in pairs whose order matters, and are
never taken for repeats of each other.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from hftctl.errors import UsageError

BYTES_MAX = 2048  # COMMAND_LINE_SIZE of x86
PAIRS = {"hugepagesz", "hugepages", "default_hugepagesz"}
MEANT = {  # circulating scripts have them; no kernel ever had
    "isolated_cores": "isolcpus",
    "isolate_cpus": "isolcpus",
    "isolcpu": "isolcpus",
    "nohz_cpus": "nohz_full",
    "rcu_nocb": "rcu_nocbs",
    "irq_affinity": "irqaffinity",
    "huge_pages": "hugepages",
    "hugepage": "hugepages",
    "nr_hugepages": "hugepages",
    "default_hugepages": "default_hugepagesz",
    "noht": "nosmt",
}
PLAIN = re.compile(r"[A-Za-z0-9_.]+(=[A-Za-z0-9_.,:@+-]+)?")


def words(text: str) -> list[str]:
    """Quoted parts stay whole, with their quotes."""
    return re.findall(r'(?:[^\s"]|"[^"]*")+', text)


def checked(wanted: Iterable[str]) -> list[str]:
    """Ours never need quoting, for no shell and no boot loader. Raises UsageError."""
    found = list(wanted)
    for word in found:
        if not PLAIN.fullmatch(word):
            raise UsageError(f"{word!r} cannot stand on a kernel command line without quoting")
    return found


def missing(present: str, wanted: Sequence[str]) -> list[str]:
    """Those of `wanted` that are not there yet; the pairs of huge pages only all together."""
    there = words(present)
    pairs = [word for word in wanted if _key(word) in PAIRS]
    kept = any(there[at : at + len(pairs)] == pairs for at in range(len(there))) if pairs else True
    return [word for word in wanted if (word not in there if _key(word) not in PAIRS else not kept)]


def conflicts(present: str, wanted: Sequence[str]) -> list[str]:
    """Words that say something else about what `wanted` is to decide."""
    keys = {_key(word) for word in wanted}
    return [word for word in words(present) if _key(word) in keys and word not in wanted]


def _key(word: str) -> str:
    return word.partition("=")[0].replace("-", "_")
