"""The kernel's command line as its words: in order, quotes kept, nothing thrown together."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

# Read by the boot loader, the initramfs or the system's first process; no kernel judges them.
FOR_USER_SPACE = ("systemd.", "rd.", "luks.", "BOOT_IMAGE", "ostree", "cloud-init", "ds", "fsck.")
# Of the real machine's disks, screens and dumps. The guest has none of them, so they are left out of its command line.
LEFT_OUT = ("root", "rootfstype", "rootflags", "resume", "resume_offset", "crashkernel", "console", "earlycon", "earlyprintk",
            "init", "rdinit", "initrd", "BOOT_IMAGE", "mem", "memmap", "efi", "acpi_rsdp", "panic", "quiet", "splash",
            "rootdelay", "rootwait", "netconsole", "kgdboc", "video", "vga")  # fmt: skip


@dataclass(frozen=True)
class Word:
    """`isolcpus=domain,2-3`; `value` is None for a word without `=`. Dashes in names are underscores to the kernel."""

    text: str

    @property
    def name(self) -> str:
        return self.text.partition("=")[0]

    @property
    def value(self) -> str | None:
        _, given, value = self.text.partition("=")
        return value.strip('"') if given else None

    @property
    def key(self) -> str:
        return self.name.replace("-", "_")

    @property
    def for_user_space(self) -> bool:
        return any(self.key == one or (one.endswith(".") and self.key.startswith(one)) for one in FOR_USER_SPACE)


def parse(line: str) -> tuple[Word, ...]:
    """Words are parted by white space outside of double quotes, as the kernel does; `--` ends what is the kernel's."""
    found, word, quoted = [], "", False
    for letter in line:
        if letter == '"':
            quoted = not quoted
        if letter.isspace() and not quoted:
            if word:
                found.append(word)
            word = ""
        else:
            word += letter
    if word:
        found.append(word)
    return tuple(map(Word, found[: found.index("--")] if "--" in found else found))


def line(words: Iterable[Word]) -> str:
    return " ".join(word.text for word in words)


def last(words: Iterable[Word], key: str) -> str | None:
    """Of a name that is given twice, the kernel mostly takes the last one."""
    values = [word.value or "" for word in words if word.key == key]
    return values[-1] if values else None


def split_flags(value: str) -> tuple[tuple[str, ...], str]:
    """`managed_irq,domain,2-3` of isolcpus: its flags, and its list of CPUs."""
    parts = value.split(",")
    flags = []
    while parts and parts[0] and not parts[0][0].isdigit():
        flags.append(parts.pop(0))
    return tuple(flags), ",".join(parts)
