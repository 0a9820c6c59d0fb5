"""`file:/etc/sysctl.d/99-zzz-hftctl.conf`: a file on a disk, or a symbolic link, with everything that is restored.

Replaced as a whole: written beside, synced, renamed, the folder synced. Content, mode, owner and extended attributes
(SELinux labels among them) are those of the spec, so that what is taken back is what was there.
"""

from __future__ import annotations

import base64
import os
import stat
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from hftctl.paths import sync_folder, write_atomic
from hftctl.plan.change import Spec
from hftctl.tuning.host import Host
from hftctl.tuning.places import activation, loader_file


class File:
    lasting = True

    def read(self, host: Host, where: str) -> Spec | None:
        path = host.at(where)
        try:
            found = path.lstat()
            if stat.S_ISLNK(found.st_mode):
                return {"link": str(path.readlink())}
            data = path.read_bytes()
            if host.captured is not None:
                host.captured[where] = data
        except FileNotFoundError:
            return None
        spec = {**content(data), "mode": stat.S_IMODE(found.st_mode), "uid": found.st_uid, "gid": found.st_gid}
        attributes = _attributes(path)
        return {**spec, "attributes": attributes} if attributes else spec

    def write(self, host: Host, where: str, spec: Spec | None, live: Spec | None) -> None:
        path = host.at(where)
        if spec is None:
            with suppress(FileNotFoundError):
                os.unlink(path)  # noqa: PTH108
            sync_folder(path.parent)
        elif "link" in spec:
            beside = path.with_name(_beside(path.name))
            with suppress(FileNotFoundError):
                os.unlink(beside)  # noqa: PTH108
            os.symlink(spec["link"], beside)  # noqa: PTH211
            os.rename(beside, path)  # noqa: PTH104
            sync_folder(path.parent)
        elif loader_file.read_by_loader(where):
            ready = path.with_name(_ready(path.name))
            _put(ready, spec, temporary=_beside(path.name))
            loader_file.replace(ready, path, on_disk=host.live)
        else:
            _put(path, spec, temporary=_beside(path.name))
        activation.after(host, where, spec)

    def settle(self, host: Host, where: str) -> None:
        path = host.at(where)
        for name in (_beside(path.name), _ready(path.name)):
            with suppress(FileNotFoundError):
                os.unlink(path.with_name(name))  # noqa: PTH108
        if loader_file.read_by_loader(where):
            loader_file.settle(path, on_disk=host.live)
        activation.after(host, where, self.read(host, where))

    def ours(self, live: Spec | None, before: Spec | None, written: Sequence[Spec | None]) -> bool:
        return live in written


def text_of(spec: Spec | None) -> str:
    return "" if spec is None else _data(spec).decode(errors="replace") if "link" not in spec else ""


def content(data: bytes) -> Spec:
    try:
        return {"text": data.decode()}
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(data).decode()}


def new(host: Host, text: str, *, mode: int = 0o644) -> Spec:
    """The spec of a file of ours: root's, or whose the captured tree is."""
    uid, gid = (0, 0) if host.live else (os.geteuid(), os.getegid())
    return {"text": text, "mode": mode, "uid": uid, "gid": gid}


def _put(path: Path, spec: Spec, *, temporary: str) -> None:
    write_atomic(
        path,
        _data(spec),
        mode=spec["mode"],
        owner=(spec["uid"], spec["gid"]),
        attributes={name: base64.b64decode(value) for name, value in spec.get("attributes", {}).items()},
        temporary=temporary,
    )


def _data(spec: Spec) -> bytes:
    return base64.b64decode(spec["base64"]) if "base64" in spec else str(spec["text"]).encode()


def _beside(name: str) -> str:
    """Not random: what a death leaves is found again. No reader of such folders takes names like this."""
    return f".{name}.hftctl-new"


def _ready(name: str) -> str:
    """What waits for its name until it is where a boot loader looks."""
    return f".{name}.hftctl-next"


def _attributes(path: os.PathLike[str]) -> dict[str, str]:
    if not hasattr(os, "listxattr"):
        return {}
    try:
        names = os.listxattr(path, follow_symlinks=False)
        return {
            name: base64.b64encode(os.getxattr(path, name, follow_symlinks=False)).decode() for name in sorted(names)
        }
    except OSError:
        return {}  # a file system without them
