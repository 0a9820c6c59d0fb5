"""`folder:/etc/default/grub.d`: a folder that has to be there for a file of ours; taken away again when it is empty."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence

from hftctl.paths import sync_folder
from hftctl.plan.change import Spec
from hftctl.tuning.host import Host

STAYS_WHEN = {errno.ENOTEMPTY, errno.EEXIST, errno.EBUSY}


class Folder:
    lasting = True

    def read(self, host: Host, where: str) -> Spec | None:
        try:
            found = host.at(where).stat()
        except FileNotFoundError:
            return None
        return {"folder": True} if host.exists(where) and stat.S_ISDIR(found.st_mode) else None

    def write(self, host: Host, where: str, spec: Spec | None, live: Spec | None) -> None:
        path = host.at(where)
        if spec is not None:
            path.mkdir(mode=0o755, exist_ok=True)
        else:
            try:
                os.rmdir(path)  # noqa: PTH106
            except FileNotFoundError:
                return
            except OSError as error:
                if error.errno not in STAYS_WHEN:
                    raise
        sync_folder(path.parent)

    def settle(self, host: Host, where: str) -> None:
        """A folder is there or not."""

    def ours(self, live: Spec | None, before: Spec | None, written: Sequence[Spec | None]) -> bool:
        return live in written
