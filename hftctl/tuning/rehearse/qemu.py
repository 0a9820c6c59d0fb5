"""QEMU's command line for a rehearsal, and which accelerators are worth a try."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from hftctl.tuning.rehearse.shape import MIB, Shape

PROGRAM = "qemu-system-x86_64"
KVM = Path("/dev/kvm")
# TCG without five-level page tables, which cost it a tenth of the time and change nothing that is rehearsed.
PROCESSOR = {"kvm": "host,migratable=off", "tcg": "max,la57=off"}


def program() -> str | None:
    return shutil.which(PROGRAM)


def accelerators(wanted: str = "") -> tuple[str, ...]:
    """In the order to try. KVM inside of a virtual machine may be there and not work, so TCG stands behind it."""
    if wanted:
        return (wanted,)
    return ("kvm", "tcg") if os.access(KVM, os.R_OK | os.W_OK) else ("tcg",)


def argv(
    qemu: str,
    accelerator: str,
    kernel: Path,
    initramfs: Path,
    command_line: str,
    shape: Shape,
    console: Path,
    report: Path,
) -> list[str]:
    """No disk, no network, no display: nothing of the host but its kernel's image is in there."""
    return [
        qemu, "-nodefaults", "-no-user-config", "-display", "none", "-monitor", "none", "-no-reboot",
        "-machine", "pc", "-accel", _accelerator(accelerator), "-cpu", PROCESSOR[accelerator],
        "-smp", f"{shape.present},maxcpus={shape.possible},sockets={shape.possible},cores=1,threads=1",
        *_memory(shape),
        "-kernel", os.fspath(kernel), "-initrd", os.fspath(initramfs), "-append", command_line,
        "-serial", f"file:{console}", "-serial", f"file:{report}",
    ]  # fmt: skip


def _accelerator(name: str) -> str:
    return "tcg,thread=multi" if name == "tcg" else name


def _memory(shape: Shape) -> Sequence[str]:
    whole = ["-m", f"{shape.memory_bytes // MIB}M"]
    if len(shape.nodes) == 1:
        return whole
    for number, node in enumerate(shape.nodes):
        cpus = "".join(f",cpus={cpu}" for cpu in node.cpus)
        whole += ["-object", f"memory-backend-ram,id=node{number},size={node.memory_bytes // MIB}M"]
        whole += ["-numa", f"node,nodeid={number},memdev=node{number}{cpus}"]
    return whole
