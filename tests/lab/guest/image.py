"""The guest's disk: a Debian from its packages, GRUB in the gap before the partition, our agent as a service.

Built once into the lab's cache (some minutes), with one boot in which the guest's own update-grub writes its grub.cfg. That
boot is kept as a snapshot, from which every test goes on with a copy of the image, so that no test waits for it.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path

from tests.lab.guest import machine
from tests.lab.guest.machine import Guest
from tests.lab.guest.software import blank
from tests.lab.stock_kernel import cache

SUITE = "bookworm"
PACKAGES = (
    "systemd-sysv", "udev", "kmod", "procps", "iproute2", "ethtool", "python3", "initramfs-tools", "zstd",
    "linux-image-cloud-amd64", "grub-pc", "irqbalance",
)  # fmt: skip
DISK_MIB = 1800
PARTITION_SECTOR = 2048
SECTOR = 512
LABEL = "labroot"
MEMBER, STRANGER = "nobody", "daemon"  # of the group whose sessions get limits; and not
BUILD_TIMEOUT_S = 900
BOOTED = "booted"  # the snapshot: up for the first time, nothing of ours in it but the agent
# By emulation the clock is a device, each look at which costs what a thousand instructions cost; the tsc is not. And a timer
# that comes late because the machine below is busy is not taken for a broken one. Two GiB of huge pages that are cleared when
# they are set aside are a minute at the apply and half of one at each boot.
COMMAND_LINE = (
    "console=ttyS0 net.ifnames=0 quiet tsc=reliable no_timer_check mitigations=off init_on_alloc=0 8250.nr_uarts=2"
)
MODULES = ("biosdisk", "part_msdos", "ext2", "normal", "configfile", "search", "search_label", "linux", "echo", "test")
AGENT = Path(__file__).with_name("agent.py")
UNIT = """\
[Unit]
Description=commands from the lab
[Service]
ExecStart=/usr/bin/python3 /opt/lab/agent.py /dev/ttyS1
Restart=on-failure
[Install]
WantedBy=multi-user.target
"""
GRUB_DEFAULTS = f"""\
GRUB_DEFAULT=0
GRUB_TIMEOUT=0
GRUB_DISTRIBUTOR=Debian
GRUB_CMDLINE_LINUX_DEFAULT=""
GRUB_CMDLINE_LINUX="{COMMAND_LINE}"
GRUB_TERMINAL=console
GRUB_DISABLE_LINUX_UUID=true
GRUB_DISABLE_OS_PROBER=true
"""
FIRST_CONFIG = """\
search --no-floppy --label --set=root {label}
linux /vmlinuz root=/dev/vda1 ro {words}
initrd /initrd.img
boot
"""
# What has nothing to do with tuning is left out: by emulation each process that starts takes a second.
FEWER_DEVICES = "[Service]\nExecStart=\nExecStart=udevadm trigger --type=devices --action=add " + " ".join(
    f"--subsystem-match={one}" for one in ("pci", "virtio", "net", "block")
)
QUIET = (
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "e2scrub_all.timer",
    "fstrim.timer",
    "dpkg-db-backup.timer",
    "getty@tty1.service",
    "getty-static.service",
    "systemd-binfmt.service",
    "systemd-sysusers.service",
    "e2scrub_reap.service",
    "serial-getty@ttyS0.service",
    "systemd-logind.service",
    "systemd-pstore.service",
    "systemd-update-utmp.service",
    "systemd-update-utmp-runlevel.service",
    "systemd-user-sessions.service",
    "systemd-random-seed.service",
    "modprobe@configfs.service",
    "modprobe@dm_mod.service",
    "modprobe@drm.service",
    "modprobe@efi_pstore.service",
    "modprobe@fuse.service",
    "modprobe@loop.service",
    "sys-kernel-debug.mount",
    "sys-kernel-tracing.mount",
    "sys-fs-fuse-connections.mount",
    "sys-kernel-config.mount",
    "systemd-tmpfiles-clean.timer",
)


def image() -> Path:
    """A qcow2 file; raises CalledProcessError with what failed."""
    made_of = [AGENT, Path(__file__), Path(machine.__file__)]
    stamp = hashlib.sha256(b"".join(path.read_bytes() for path in made_of)).hexdigest()[:12]
    ready = cache() / f"guest-{SUITE}-{stamp}.qcow2"
    if not ready.is_file():
        folder = cache() / f"guest-{SUITE}-{stamp}.building"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        try:
            made = _build(folder)
            _first_boot(made, blank(folder / "software"))
            made.rename(ready)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    return ready


def _build(folder: Path) -> Path:
    root, raw, packed = folder / "root", folder / "disk.raw", folder / "disk.qcow2"
    small = (
        'mkdir -p "$1/etc/initramfs-tools/conf.d"; printf "MODULES=list\\nCOMPRESS=zstd\\n" > "$1/etc/initramfs-tools/conf.d/lab"; '
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
    with (root / "etc/group").open("a") as file:
        file.write(f"hft:x:64999:{MEMBER}\n")
    (root / "etc/hosts").write_text("127.0.0.1 localhost lab\n")
    grub = root / "boot/grub"
    shutil.copytree(root / "usr/lib/grub/i386-pc", grub / "i386-pc")
    (grub / "grub.cfg").write_text(FIRST_CONFIG.format(label=LABEL, words=COMMAND_LINE))
    generators = root / "etc/systemd/system-generators"
    generators.mkdir()
    for generator in (root / "usr/lib/systemd/system-generators").iterdir():
        if generator.name != "systemd-fstab-generator":
            (generators / generator.name).symlink_to("/dev/null")
    (root / "etc/systemd/system/systemd-udev-trigger.service.d").mkdir()
    (root / "etc/systemd/system/systemd-udev-trigger.service.d/lab.conf").write_text(f"{FEWER_DEVICES}\n")
    for part in ("hooks", "scripts/init-top", "scripts/init-bottom"):
        (root / "usr/share/initramfs-tools" / part / "udev").unlink()
    _run("chroot", str(root), "update-initramfs", "-u")
    _run("chroot", str(root), "systemctl", "enable", "lab-agent.service")
    _run("chroot", str(root), "systemctl", "mask", *QUIET)


def _first_boot(disk: Path, software: Path) -> None:
    with Guest(disk, second=software) as guest:
        guest.say("update-grub && sync", 300)
        guest.keep(BOOTED)


def _run(*words: str) -> None:
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=BUILD_TIMEOUT_S)
    if done.returncode:
        raise RuntimeError(f"{' '.join(words)[:200]}: exit {done.returncode}: {(done.stderr or done.stdout)[-2000:]}")
