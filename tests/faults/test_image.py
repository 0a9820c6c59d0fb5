"""The disk after a cut: what was synced is there, what was not may be there in part, and nothing else is."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults import shim
from tests.faults.shim.image import Disk, Fate, Kind, read_file, read_log

pytestmark = [pytest.mark.lab, pytest.mark.skipif(bool(shim.missing()), reason=shim.missing())]
HEAD = "import mmap, os, shutil\nfrom pathlib import Path\nF = os.O_CREAT | os.O_RDWR\n"
HEAD += "def sync(p):\n    fd = os.open(p, os.O_RDONLY); os.fsync(fd); os.close(fd)\n"


class Recorded:
    def __init__(self, folder: Path, script: str) -> None:
        self.folder = folder
        self.disk = folder / "disk"
        self.disk.mkdir()
        (self.disk / "old").write_bytes(b"old" * 3000)
        self.model = Disk(self.disk)
        log = folder / "log"
        done = subprocess.run(
            [sys.executable, "-c", HEAD + script], cwd=self.disk, capture_output=True, text=True, check=False,
            env={**os.environ, **shim.environment(self.disk, log=log)},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        self.entries = list(read_log(log))

    def cut(self, seed: int, fate: Fate, place: int | None = None) -> Path:
        """The disk as it is left when the power goes after `place` entries; after all of them by default."""
        for entry in self.entries[self.model.followed : place]:
            self.model.follow(entry)
        target = self.folder / f"cut-{seed}-{fate}-{place}"
        self.model.cut(target, fate, random.Random(seed), at_the_end=place is None)
        return target

    def all_cuts(self) -> list[Path]:
        return [self.cut(seed, fate) for fate in Fate for seed in range(12)]


def test_what_was_synced_with_its_name_is_there_and_the_rest_need_not_be(tmp_path: Path) -> None:
    recorded = Recorded(
        tmp_path,
        """
os.mkdir("new")
for name in ("synced", "nameless"):
    fd = os.open(f"new/{name}", F, 0o600); os.write(fd, b"x" * 5000); os.fdatasync(fd)
    if name == "synced": sync("new"); sync(".")
fd = os.open("old", os.O_RDWR); os.pwrite(fd, b"NEW" * 3000, 0)
""",
    )
    cuts = recorded.all_cuts()
    assert {(cut / "new/synced").read_bytes() for cut in cuts} == {b"x" * 5000}
    assert {(cut / "new/nameless").exists() for cut in cuts} == {False, True}
    assert {(cut / "new/nameless").read_bytes() for cut in cuts if (cut / "new/nameless").exists()} == {b"x" * 5000}
    old = {(cut / "old").read_bytes() for cut in cuts}
    assert {b"old" * 3000, b"NEW" * 3000} < old, "and mixtures of both"


def test_a_folder_whose_name_was_not_synced_takes_all_in_it_along(tmp_path: Path) -> None:
    recorded = Recorded(tmp_path, "os.mkdir('new')\nfd = os.open('new/file', F, 0o600)\nos.fsync(fd)\nsync('new')\n")
    assert not (recorded.cut(1, Fate.LOST) / "new").exists()
    assert (recorded.cut(1, Fate.KEPT) / "new" / "file").exists()


def test_a_rename_happens_whole_or_not_at_all_and_may_come_before_the_data(tmp_path: Path) -> None:
    recorded = Recorded(tmp_path, "Path('part').write_bytes(b'fresh' * 1000)\nos.rename('part', 'old')\n")
    seen = {tuple(sorted((p.name, p.stat().st_size) for p in cut.iterdir())) for cut in recorded.all_cuts()}
    assert (("old", 9000),) in seen, "neither"
    assert (("old", 5000),) in seen, "both"
    assert (("old", 0),) in seen, "the name and no data"
    assert all(len(names) == 1 or {n for n, _ in names} == {"old", "part"} for names in seen)


def test_every_change_of_data_is_recorded(tmp_path: Path) -> None:
    recorded = Recorded(
        tmp_path,
        """
fd = os.open("a", F, 0o600)
os.write(fd, b"1" * 5000); os.writev(fd, [b"2" * 10, b"3" * 5000]); os.pwrite(fd, b"4" * 5000, 3000); os.pwritev(fd, [b"5", b"6"], 9000)
os.ftruncate(fd, 20000); os.truncate("a", 15000); os.posix_fallocate(fd, 0, 16000)
Path("b").write_bytes(b"7" * 5000); Path("b").write_bytes(b"8")
shutil.copyfile("a", "c"); os.link("c", "d"); os.unlink("c")
os.mkdir("e"); os.rename("b", "e/b"); os.mkdir("f"); os.rmdir("f")
with open("old", "r+b") as file:
    mapped = mmap.mmap(file.fileno(), 9000)
    mapped[4000:4005] = b"mapped"[:5]
""",
    )
    kept, real = recorded.cut(1, Fate.KEPT), recorded.disk
    assert {p.relative_to(kept) for p in kept.rglob("*")} == {p.relative_to(real) for p in real.rglob("*")}
    for path in real.rglob("*"):
        assert path.is_dir() or (kept / path.relative_to(real)).read_bytes() == path.read_bytes(), path
    assert read_file(recorded.cut(1, Fate.LOST) / "old").pages == read_file(kept / "old").pages | {
        0: (b"old" * 3000)[:4096]
    }, "what is written through a mapping is not synced"


def test_a_sync_covers_what_was_written_before_it_began(tmp_path: Path) -> None:
    recorded = Recorded(
        tmp_path, "fd = os.open('old', os.O_RDWR)\nos.pwrite(fd, b'A', 0)\nos.fdatasync(fd)\nos.pwrite(fd, b'B', 1)\n"
    )
    (ended,) = (place for place, entry in enumerate(recorded.entries) if entry.kind == Kind.SYNC_END)
    assert (recorded.cut(1, Fate.LOST, ended) / "old").read_bytes()[:2] == b"ol", "it had not ended"
    assert (recorded.cut(2, Fate.LOST, ended + 1) / "old").read_bytes()[:2] == b"Al"
    assert (recorded.cut(3, Fate.LOST) / "old").read_bytes()[:2] == b"Al", "the second write came after it"
