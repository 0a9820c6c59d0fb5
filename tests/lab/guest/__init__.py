"""A whole Debian in QEMU, with a disk, GRUB and systemd: what tuning does to a machine that is rebooted, and cut off."""
