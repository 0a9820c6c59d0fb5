"""Where things stand on this machine: the state home, a deployment's folder, data files of the other packages.

Nothing is written outside the state home (`tune` aside). The layout of a deployment's folder is the same wherever it
stands, in the state home of the local target and in the volume of a remote one.
"""

from __future__ import annotations

import importlib.util
import os
import re
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from hftctl.errors import NotFound, UsageError

NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,30}")


def check_name(name: str) -> str:
    """The name of a deployment becomes a folder, a database and a label; it is checked before."""
    if not NAME.fullmatch(name):
        raise UsageError(
            f"cannot use {name!r} as the name of a deployment: 1 to 31 of a-z, 0-9 and '-', not starting with '-'",
            hint="choose another one with --name",
        )
    return name


def home() -> Path:
    """The state home: HFTCTL_HOME; as root /var/lib/hftctl; else XDG_STATE_HOME/hftctl. Without links: what runs was started
    with paths below it, and would look like something else by another name."""
    if given := os.environ.get("HFTCTL_HOME"):
        return _known_user(lambda: Path(given).expanduser().resolve(), f"HFTCTL_HOME is {given!r}")
    if os.geteuid() == 0:
        return Path("/var/lib/hftctl").resolve()
    return (_xdg("XDG_STATE_HOME", ".local/state") / "hftctl").resolve()


def config_home() -> Path:
    """The user's own profiles stand in `profiles/` below this folder: XDG_CONFIG_HOME/hftctl; as root /etc/hftctl."""
    if os.geteuid() == 0 and not os.environ.get("XDG_CONFIG_HOME"):
        return Path("/etc/hftctl")
    return _xdg("XDG_CONFIG_HOME", ".config") / "hftctl"


def _xdg(variable: str, default: str) -> Path:
    given = Path(os.environ.get(variable, ""))
    if given.is_absolute():
        return given
    # the standard says: a relative one is ignored
    return _known_user(Path.home, f"HOME is {os.environ.get('HOME')!r}") / default


def _known_user(folder: Callable[[], Path], where: str) -> Path:
    """Python says RuntimeError of a user that the machine does not know, and of links in a circle."""
    try:
        return folder()
    except RuntimeError as error:
        raise UsageError(
            f"cannot tell where files are kept, {where}: {str(error).rstrip('.')}",
            hint="name a whole path: HFTCTL_HOME=/FOLDER",
        ) from error


@dataclass(frozen=True)
class Layout:
    """The folder of one deployment."""

    root: Path

    @property
    def name(self) -> str:
        return self.root.name

    @property
    def release(self) -> Path:
        return self.root / "release.json"

    @property
    def revisions(self) -> Path:
        return self.root / "revisions"

    @property
    def rollout_journal(self) -> Path:
        """A deployment stands when this file is there: the first thing a deploy writes, the last a destroy removes."""
        return self.root / "rollout.journal"

    @property
    def lock(self) -> Path:
        return self.root / "lock"

    @property
    def run(self) -> Path:
        """Sockets and pid files; the working directory of every component."""
        return self.root / "run"

    @property
    def config(self) -> Path:
        return self.root / "config"

    @property
    def secrets(self) -> Path:
        """0700; its files 0600."""
        return self.root / "secrets"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def data(self) -> Path:
        return self.root / "data"

    @property
    def valkey(self) -> Path:
        return self.data / "valkey"

    def postgres(self, shard: int) -> Path:
        return self.data / f"postgres-{shard}"

    def restored(self, id_: str) -> Path:
        """What a restore is about to exchange with `data`."""
        return self.root / f"data.restored-{id_}"

    def aside(self, id_: str) -> Path:
        """What stood in the place of `data` before a restore."""
        return self.root / f"data.aside-{id_}"

    def asides(self) -> list[Path]:
        """Both, oldest first."""
        kept = [*self.root.glob("data.aside-*"), *self.root.glob("data.restored-*")]
        return sorted(kept, key=lambda folder: folder.name.partition("-")[2])

    def partition(self, partition: int) -> Path:
        """Holds journal/, events/ and snapshots/ of one engine."""
        return self.data / f"partition-{partition}"

    def admin_socket(self, partition: int) -> Path:
        return self.run / f"engine-{partition}.admin.sock"


def layout(deployment: str) -> Layout:
    return Layout(home() / check_name(deployment))


def deployments() -> list[str]:
    """Names of the deployments that stand (or stand half, after a kill) in the state home, sorted."""
    try:
        names = [entry.parent.name for entry in home().glob("*/rollout.journal")]
    except PermissionError as error:
        raise NotFound(f"cannot read the state home {home()}: {error.strerror}", hint="run as its owner") from error
    return sorted(name for name in names if NAME.fullmatch(name))


def package_folder(package: str) -> Path:
    """The folder of an installed package (`stack`, `engine`, `profiles`), found without importing it."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise NotFound(f"cannot find the package {package!r} beside hftctl", hint="install again: pip install -e .")
    return Path(next(iter(spec.submodule_search_locations)))


def write_atomic(
    path: Path,
    data: bytes | str,
    *,
    mode: int = 0o644,
    owner: tuple[int, int] | None = None,
    attributes: Mapping[str, bytes] | None = None,
    temporary: str = "",
) -> None:
    """Replace a file so that a reader, or a crash at any point, sees the whole old or the whole new content.

    The mode is set before the first byte is written: a secret is never readable by others, not even for a moment. `owner`
    is uid and gid, `attributes` the extended ones. `temporary` names the file beside that is renamed, for callers that
    take it away after a crash; by default no two are the same.
    """
    content = data.encode() if isinstance(data, str) else data
    if temporary:
        beside = str(path.with_name(temporary))
        handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    else:
        handle, beside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        try:
            if owner is not None:
                os.fchown(handle, *owner)  # before the mode: it takes set-uid bits away
            os.fchmod(handle, mode)
            while content:
                content = content[os.write(handle, content) :]
            for name, value in (attributes or {}).items():
                os.setxattr(handle, name, value)
            os.fsync(handle)
        finally:
            os.close(handle)
        os.rename(beside, path)  # noqa: PTH104 - as system calls: the tests that die at each of them count these
    except BaseException:
        Path(beside).unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make names in a folder durable: a rename or a new file survives a power cut only after this."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def make_folder(path: Path, *, mode: int = 0o755) -> Path:
    """Create a folder with its parents; the last one gets exactly this mode, also when it was there."""
    path.mkdir(parents=True, exist_ok=True)
    if path.stat().st_mode & 0o7777 != mode:
        path.chmod(mode)
    return path
