"""Which file has the last word on a sysctl at the next boot.

systemd-sysctl reads all folders as one, sorted by file name, the first folder winning where names are the same; procps
(`sysctl --system`) does so too and then reads /etc/sysctl.conf once more. A value that is not the last one in both orders
does not survive.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from hftctl.tuning.host import Host

FOLDERS = ("/etc/sysctl.d", "/run/sysctl.d", "/usr/local/lib/sysctl.d", "/usr/lib/sysctl.d", "/lib/sysctl.d")
CLASSIC = "/etc/sysctl.conf"
LINE = re.compile(r"^\s*-?([\w./*-]+)\s*=\s*(.*?)\s*$")


class Line(NamedTuple):
    file: str
    line: int
    key: str  # dotted
    value: str


def files(host: Host) -> list[str]:
    """In the order of systemd-sysctl."""
    by_name: dict[str, str] = {}
    for folder in FOLDERS:
        for name in host.names(folder, "*.conf"):
            by_name.setdefault(name, f"{folder}/{name}")
    return [by_name[name] for name in sorted(by_name)]


def lines(host: Host, file: str) -> Iterator[Line]:
    for number, text in enumerate((host.read(file) or "").splitlines(), 1):
        if not text.lstrip().startswith(("#", ";")) and (found := LINE.match(text)):
            yield Line(file, number, found[1].replace("/", "."), " ".join(found[2].split()))


def overruled(host: Host, ours: str, wanted: Mapping[str, str]) -> list[Line]:
    """Lines of others that come after our file, in either order, and say something else."""
    order = sorted({*files(host), ours}, key=lambda path: path.rpartition("/")[2])
    later = [*order[order.index(ours) + 1 :], CLASSIC]
    found = [line for file in later if file != ours for line in lines(host, file)]
    return [line for line in found if line.key in wanted and line.value != " ".join(wanted[line.key].split())]
