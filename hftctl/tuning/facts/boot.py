"""Which boot loader hands the kernel its command line, and in which files that stands."""

from __future__ import annotations

from hftctl.tuning.facts.model import Boot
from hftctl.tuning.host import Host

ENTRY_FOLDERS = ("/boot/loader/entries", "/boot/efi/loader/entries", "/efi/loader/entries")
GRUB_CONFIGS = ("/boot/grub/grub.cfg", "/boot/grub2/grub.cfg")
IMAGES = ("/boot/efi/EFI/Linux", "/efi/EFI/Linux", "/boot/EFI/Linux")


def boot(host: Host) -> Boot:
    entries = tuple(f"{folder}/{name}" for folder in ENTRY_FOLDERS for name in host.names(folder, "*.conf"))
    grub = next((path for path in GRUB_CONFIGS if host.exists(path)), "")
    if host.exists("/run/ostree-booted"):
        return Boot("ostree", entries)
    if entries and (grub or "GRUB_ENABLE_BLSCFG=true" in (host.read("/etc/default/grub") or "").replace('"', "")):
        return Boot("bls", entries)
    if entries:
        return Boot("systemd-boot", entries)
    if grub and host.exists("/etc/default/grub"):
        return Boot("grub", (grub,))
    if any(host.names(folder, "*.efi") for folder in IMAGES):
        return Boot("unified-image", ())
    return Boot("", ())
