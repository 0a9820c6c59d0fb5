"""The partition of CPUs on a stock Debian kernel, booted in QEMU: what `places/partition.py` writes, and what comes of it."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from hftctl.tuning.knobs.cpu_partition import SLICE
from hftctl.tuning.places.partition import CPUS, GROUPS, KIND, NONE, file
from hftctl.tuning.rehearse import initramfs, qemu
from hftctl.tuning.rehearse.shape import MIB, even
from tests.lab.stock_kernel import vmlinuz

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]
GUEST = Path(__file__).with_name("partition_guest.c")
OURS, PARTITION = file(SLICE, CPUS), file(SLICE, KIND)
EINVAL = "errno 22"


def boot(tmp_path: Path, words: str, orders: list[str]) -> Mapping[str, list[str]]:
    """Answers by order, in the order they came."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if qemu.program() is None or compiler is None:
        pytest.skip("needs QEMU and a C compiler: apt install qemu-system-x86 gcc")
    program = tmp_path / "init"
    subprocess.run([compiler, "-O1", "-static", "-o", str(program), str(GUEST)], check=True)
    archive, console = tmp_path / "initramfs", tmp_path / "console"
    archive.write_bytes(initramfs.build(program.read_bytes(), orders))
    shape = even(4, 1, 512 * MIB)
    line = f"console=ttyS0 panic=-1 quiet loglevel=1 rdinit=/init {words}"
    argv = qemu.argv("qemu-system-x86_64", "tcg", vmlinuz(), archive, line, shape, console, tmp_path / "report")
    subprocess.run(argv, check=False, timeout=240)
    said = [text.strip() for text in console.read_text(errors="replace").splitlines()]
    assert "all orders done" in said, said[-10:]
    found: dict[str, list[str]] = {}
    for text in said:
        if " => " in text:
            order, _, answer = text.partition(" => ")
            found.setdefault(order, []).append(answer)
    return found


def test_a_partition_keeps_others_out_beside_isolcpus_and_lets_them_in_again(tmp_path: Path) -> None:
    slice_ = f"{GROUPS}/{SLICE}"
    said = boot(
        tmp_path,
        "isolcpus=managed_irq,domain,2-3",
        [
            "pin 2",
            "pin 0",
            f"write {GROUPS}/cgroup.subtree_control +cpuset",  # systemd does that for a slice with AllowedCPUs
            f"mkdir {slice_}",
            f"read {PARTITION}",
            f"write {OURS} 2-3",
            f"write {PARTITION} isolated",
            f"read {PARTITION}",
            f"read {OURS}",
            "pin 3",
            f"write {slice_}/cgroup.procs 0",
            "pin 2",
            f"write {GROUPS}/cgroup.procs 0",
            f"write {PARTITION} {NONE}",
            f"read {PARTITION}",
            "pin 3",
            f"write {OURS} 0-3",
            f"write {PARTITION} isolated",
            f"read {PARTITION}",
        ],
    )
    assert said[f"write {OURS} 2-3"] == ["errno 0"]
    states = said[f"read {PARTITION}"]
    assert states[:3] == [NONE, "isolated", NONE]
    assert states[3].startswith("isolated invalid ("), "no CPU is left to the rest: the kernel says why"
    assert said[f"read {OURS}"] == ["2-3"]
    assert said["pin 2"] == ["errno 0", "errno 0"], "before there is a partition, and inside of it"
    assert said["pin 3"] == [EINVAL, "errno 0"], "not from outside, while it stands"
