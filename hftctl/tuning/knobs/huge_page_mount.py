"""A mounted file system of huge pages for programs that want them as files (DPDK does)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from hftctl.tuning.places.file import new
from hftctl.tuning.setting import Setting, Situation, Skipped, Wish

UNIT = "/etc/systemd/system/dev-hugepages1G.mount"
WANTED = "/etc/systemd/system/multi-user.target.wants/dev-hugepages1G.mount"
TEXT = (
    "# Written by hftctl tune; hftctl tune revert takes it away.\n"
    "[Unit]\nDescription=Huge pages of 1 GiB as files\n\n"
    "[Mount]\nWhat=hugetlbfs\nWhere=/dev/hugepages1G\nType=hugetlbfs\nOptions=pagesize=1G,mode=0770\n\n"
    "[Install]\nWantedBy=multi-user.target\n"
)


class HugePageMount:
    name: ClassVar[str] = "huge-page-mount"

    def wishes(self, value: Any, why: str, at: Situation) -> Iterator[Wish]:
        """`value`: 1G."""
        if at.facts.surroundings.init != "systemd" or 1048576 not in at.facts.page_sizes_kib:
            yield Skipped("/dev/hugepages1G", "no systemd, or no pages of 1 GiB", self.name)
            return
        yield Setting(f"file:{UNIT}", new(at.host, TEXT), why, knob=self.name)
        yield Setting(f"file:{WANTED}", {"link": UNIT}, "mounted with the machine", knob=self.name)
