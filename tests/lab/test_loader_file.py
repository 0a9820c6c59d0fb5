"""What a boot loader finds, which reads ext4 without its journal: the whole old or the whole new file, after a death anywhere.

`debugfs` reads a file system as GRUB does: as it lies on the disk, whatever its journal holds. After each death the disk is
filled, so that blocks that nobody holds any more are somebody else's.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from hftctl.tuning.host import Host
from hftctl.tuning.places import activation
from hftctl.tuning.places.file import File
from tests.hftctl.tuning.deaths import child

pytestmark = [
    pytest.mark.lab,
    pytest.mark.timeout(300),
    pytest.mark.skipif(
        os.geteuid() != 0 or not shutil.which("debugfs") or not Path("/dev/loop-control").exists(),
        reason="needs root, loop devices and e2fsprogs",
    ),
]
OLD, NEW = "linux /vmlinuz quiet\n" * 2000, "linux /vmlinuz quiet nohz_full=1\n" * 2000
DISK_MIB, XFS_MIB = 24, 320


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A disk with a grub.cfg that lies where it belongs."""
    image, root = tmp_path_factory.mktemp("disk") / "image", tmp_path_factory.mktemp("root")
    (root / "boot/grub").mkdir(parents=True)
    (root / "boot/grub/grub.cfg").write_text(OLD)
    with image.open("wb") as file:
        file.truncate(DISK_MIB << 20)
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "-J", "size=4", "-d", str(root), str(image)], check=True)
    return image


@contextmanager
def mounted(made: Path, folder: Path) -> Iterator[tuple[Path, Path]]:
    """(disk, where it is mounted)"""
    disk, at = folder / "disk", folder / "at"
    shutil.copyfile(made, disk)
    at.mkdir(exist_ok=True)
    subprocess.run(["mount", "-o", "loop", str(disk), str(at)], check=True)
    try:
        yield disk, at
    finally:
        subprocess.run(["umount", str(at)], check=True)


def found(disk: Path) -> str:
    words = ["debugfs", "-R", "cat /boot/grub/grub.cfg", str(disk)]
    return subprocess.run(words, capture_output=True, check=True).stdout.decode(errors="replace")


def fill(at: Path) -> None:
    """Data alone goes to its place; a `sync` would write out the names too."""
    with (at / "filling").open("wb", buffering=0) as file:
        with suppress(OSError):
            while True:
                file.write(b"\xff" * (1 << 16))
        os.fdatasync(file.fileno())


def written(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """`File` on a disk that something is started from; of this machine nothing is told."""
    monkeypatch.setattr(activation, "commands", lambda *_: [])

    def write(at: Path) -> None:
        host = Host(at)
        host.live = True
        live = File().read(host, "/boot/grub/grub.cfg")
        assert live is not None
        File().write(host, "/boot/grub/grub.cfg", {**live, "text": NEW}, live)

    return write


def test_a_rename_that_is_only_synced_is_not_found(made: Path, tmp_path: Path) -> None:
    """Why all this is: the kernel has it, and a boot loader would not."""
    with mounted(made, tmp_path) as (disk, at):
        config = at / "boot/grub/grub.cfg"
        with (config.with_name("new")).open("w") as file:
            file.write(NEW)
            file.flush()
            os.fsync(file.fileno())
        config.with_name("new").rename(config)
        folder = os.open(config.parent, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)
        assert config.read_text() == NEW
        assert found(disk) == OLD
        fill(at)
        assert found(disk) not in {OLD, NEW}, "its blocks are somebody else's"
        assert config.read_text() == NEW


def test_a_boot_loader_finds_what_was_written(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with mounted(made, tmp_path) as (disk, at):
        written(monkeypatch)(at)
        assert found(disk) == NEW
        assert sorted(path.name for path in (at / "boot/grub").iterdir()) == ["grub.cfg"]


def test_a_file_system_that_only_a_freeze_has_write_out_its_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """XFS: what a reader without the journal finds is a mount without recovery of a copy of the disk."""
    if shutil.which("mkfs.xfs") is None:
        pytest.skip("needs xfsprogs")
    made_ = tmp_path / "made"
    with made_.open("wb") as file:
        file.truncate(XFS_MIB << 20)
    subprocess.run(["mkfs.xfs", "-q", str(made_)], check=True)
    with mounted(made_, tmp_path) as (disk, at):
        config = at / "boot/grub/grub.cfg"
        config.parent.mkdir(parents=True)
        config.write_text(OLD)
        subprocess.run(["fsfreeze", "--freeze", str(at)], check=True)
        subprocess.run(["fsfreeze", "--unfreeze", str(at)], check=True)
        written(monkeypatch)(at)
        copy, beside = tmp_path / "copy", tmp_path / "beside"
        shutil.copyfile(disk, copy)
        beside.mkdir()
        subprocess.run(["mount", "-o", "loop,ro,norecovery,nouuid", str(copy), str(beside)], check=True)
        try:
            assert (beside / "boot/grub/grub.cfg").read_text() == NEW
        finally:
            subprocess.run(["umount", str(beside)], check=True)
        config.write_text("it is not frozen any more")


def test_a_death_at_any_call_leaves_one_of_both(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = written(monkeypatch)
    with mounted(made, tmp_path) as (_, at):
        calls = child(write, at, 0, torn=False)
    assert calls > 15
    seen: list[str] = []
    for death in range(1, calls + 1):
        with mounted(made, tmp_path) as (disk, at):
            assert child(write, at, death, torn=False) == -1
            fill(at)
            text = found(disk)
            assert text in {OLD, NEW}, f"after a death at call {death} of {calls}: {len(text)} bytes of neither"
            seen.append("new" if text == NEW else "old")
            host = Host(at)
            host.live = True
            File().settle(host, "/boot/grub/grub.cfg")
            assert sorted(path.name for path in (at / "boot/grub").iterdir()) == ["grub.cfg"]
            assert found(disk) == (at / "boot/grub/grub.cfg").read_text()
    print(
        f"{calls} deaths: a boot loader finds the old one after {seen.count('old')}, the new one after {seen.count('new')}"
    )
    assert seen == sorted(seen, reverse=True), "once it is the new one, it stays so"
    assert {"old", "new"} == set(seen)
