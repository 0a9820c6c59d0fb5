"""The guest's disk: a Debian from its packages, GRUB in the gap before the partition, our agent as a service.

Built once per list of packages into the lab's cache (some minutes), with one boot in which the guest's own update-grub
writes its grub.cfg. What a test does stands in an overlay of its own; the image is never written again.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path

from tests.lab.guest.machine import Guest
from tests.lab.stock_kernel import cache

SUITE = "bookworm"
PACKAGES = (
    "systemd-sysv", "udev", "dbus", "kmod", "procps", "iproute2", "ethtool", "python3", "initramfs-tools", "zstd",
    "linux-image-cloud-amd64", "grub-pc",
)  # fmt: skip
DISK_MIB = 1800
PARTITION_SECTOR = 2048
SECTOR = 512
LABEL = "labroot"
BUILD_TIMEOUT_S = 900
MODULES = ("biosdisk", "part_msdos", "ext2", "normal", "configfile", "search", "search_label", "linux", "echo", "test")
AGENT = Path(__file__).with_name("agent.py")
UNIT = """\
[Unit]
Description=commands from the lab
After=multi-user.target
[Service]
ExecStart=/usr/bin/python3 /opt/lab/agent.py /dev/ttyS1
Restart=on-failure
[Install]
WantedBy=multi-user.target
"""
GRUB_DEFAULTS = """\
GRUB_DEFAULT=0
GRUB_TIMEOUT=0
GRUB_DISTRIBUTOR=Debian
GRUB_CMDLINE_LINUX_DEFAULT=""
GRUB_CMDLINE_LINUX="console=ttyS0 net.ifnames=0"
GRUB_TERMINAL=console
GRUB_DISABLE_OS_PROBER=true
"""
FIRST_CONFIG = """\
search --no-floppy --label --set=root {label}
linux /vmlinuz root=LABEL={label} ro console=ttyS0
initrd /initrd.img
boot
"""
QUIET = (
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "e2scrub_all.timer",
    "fstrim.timer",
    "dpkg-db-backup.timer",
    "getty@tty1.service",
    "e2scrub_reap.service",
)


def image() -> Path:
    """A qcow2 file; raises CalledProcessError with what failed."""
    stamp = hashlib.sha256("\n".join([*PACKAGES, AGENT.read_text(), Path(__file__).read_text()]).encode()).hexdigest()[
        :12
    ]
    ready = cache() / f"guest-{SUITE}-{stamp}.qcow2"
    if not ready.is_file():
        folder = cache() / f"guest-{SUITE}-{stamp}.building"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        try:
            made = _build(folder)
            _first_boot(made)
            made.rename(ready)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    return ready


def _build(folder: Path) -> Path:
    root, raw, packed = folder / "root", folder / "disk.raw", folder / "disk.qcow2"
    small = (
        'mkdir -p "$1/etc/initramfs-tools/conf.d"; printf "MODULES=list\\nCOMPRESS=gzip\\n" > "$1/etc/initramfs-tools/conf.d/lab"; '
        'printf "virtio_pci\\nvirtio_blk\\next4\\n" >> "$1/etc/initramfs-tools/modules"'
    )
    _run(
        "mmdebstrap", "--mode=root", "--variant=minbase", f"--include={','.join(PACKAGES)}",
        f"--essential-hook={small}", '--dpkgopt=path-exclude=/usr/share/doc/*', "--dpkgopt=path-exclude=/usr/share/locale/*",
        "--dpkgopt=path-exclude=/usr/share/man/*", "--dpkgopt=force-confold", SUITE, str(root),
    )  # fmt: skip
    _furnish(root)
    _run(
        "chroot",
        str(root),
        "grub-mkimage",
        "-O",
        "i386-pc",
        "-p",
        "(hd0,msdos1)/boot/grub",
        "-o",
        "/boot/core.img",
        *MODULES,
    )
    core, boot = (root / "boot/core.img").read_bytes(), (root / "usr/lib/grub/i386-pc/boot.img").read_bytes()
    (root / "boot/core.img").unlink()
    size = DISK_MIB * 2048 - PARTITION_SECTOR
    with raw.open("wb") as disk:
        disk.truncate(DISK_MIB << 20)
    _run(
        "mke2fs",
        "-q",
        "-t",
        "ext4",
        "-L",
        LABEL,
        "-d",
        str(root),
        "-E",
        f"offset={PARTITION_SECTOR * SECTOR}",
        str(raw),
        f"{size // 2}k",
    )
    with raw.open("r+b") as disk:
        disk.write(_boot_record(boot, size))
        disk.seek(SECTOR)
        assert len(core) < (PARTITION_SECTOR - 1) * SECTOR
        disk.write(core)
    _run("qemu-img", "convert", "-O", "qcow2", str(raw), str(packed))
    return packed


def _boot_record(boot: bytes, sectors: int) -> bytes:
    """GRUB's first sector, which loads the second one, and one bootable Linux partition."""
    entry = bytes([0x80, 0xFE, 0xFF, 0xFF, 0x83, 0xFE, 0xFF, 0xFF])
    entry += PARTITION_SECTOR.to_bytes(4, "little") + sectors.to_bytes(4, "little")
    return boot[:440] + b"LAB0\0\0" + entry + bytes(48) + b"\x55\xaa"


def _furnish(root: Path) -> None:
    (root / "opt/lab").mkdir(parents=True)
    shutil.copy(AGENT, root / "opt/lab/agent.py")
    (root / "etc/systemd/system/lab-agent.service").write_text(UNIT)
    (root / "etc/fstab").write_text(f"LABEL={LABEL} / ext4 errors=remount-ro 0 1\n")
    (root / "etc/default/grub").write_text(GRUB_DEFAULTS)
    (root / "etc/hostname").write_text("lab\n")
    (root / "etc/hosts").write_text("127.0.0.1 localhost lab\n")
    grub = root / "boot/grub"
    shutil.copytree(root / "usr/lib/grub/i386-pc", grub / "i386-pc")
    (grub / "grub.cfg").write_text(FIRST_CONFIG.format(label=LABEL))
    _run("chroot", str(root), "systemctl", "enable", "lab-agent.service")
    _run("chroot", str(root), "systemctl", "mask", *QUIET)


def _first_boot(disk: Path) -> None:
    with Guest(disk) as guest:
        guest.say("update-grub && sync")
        guest.power_off()


def _run(*words: str) -> None:
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=BUILD_TIMEOUT_S)
    if done.returncode:
        raise RuntimeError(f"{' '.join(words)[:200]}: exit {done.returncode}: {(done.stderr or done.stdout)[-2000:]}")
