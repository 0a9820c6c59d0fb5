"""Kernel parameters as files: what has to be changed so that the next boot, and each new kernel, has them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hftctl.plan.change import Spec
from hftctl.tuning.boot import entries, grub
from hftctl.tuning.boot.command_line import BYTES_MAX, checked, conflicts
from hftctl.tuning.facts.model import Boot
from hftctl.tuning.places.file import new, text_of
from hftctl.tuning.setting import Argument, Setting, Situation, Skipped, Wish

KNOB = "boot"
IMAGE = "unified-image"
ENTRIES = {"bls", "systemd-boot", "ostree"}  # a file per kernel
WRITTEN = {"grub", IMAGE, *ENTRIES}
BUILD = "build the boot image anew, since it holds the command line: kernel-install add-all, mkinitcpio -P, or what built it"


def wishes(at: Situation, arguments: Sequence[Argument]) -> Iterator[Wish]:
    """File settings for the boot loader that is there; nothing where no parameter is wanted."""
    wanted = checked(dict.fromkeys(argument.text for argument in arguments))
    if not wanted:
        return
    if lacking := unwritable(at):
        yield Skipped("kernel command line", f"{lacking}; hand it to the kernel yourself: {' '.join(wanted)}", KNOB)
        return
    boot = at.facts.boot
    why = f"the next boot has {' '.join(wanted)}"
    if boot.loader == "grub":
        yield Setting(f"folder:{grub.DROP_IN.rpartition('/')[0]}", {"folder": True}, "for the file below it", knob=KNOB)
        text = grub.drop_in(wanted)
        yield Setting(
            f"file:{grub.DROP_IN}", new(at.host, text), "each new kernel gets them", knob=KNOB, needs_reboot=True
        )
        for path in boot.entries:
            yield _edited(at, path, grub.config(_text(at, path), wanted), why)
        return
    if boot.loader == IMAGE:
        why = f"the next image that is built has {' '.join(wanted)}: {BUILD}"
        text = entries.kernel_defaults(_text(at, entries.KERNEL_DEFAULTS), wanted)
        yield _edited(at, entries.KERNEL_DEFAULTS, text, why)
        return
    if boot.loader == "bls":
        text = entries.grub_defaults(_text(at, entries.DEFAULTS), wanted)
        yield _edited(at, entries.DEFAULTS, text, "each new kernel gets them")
    if boot.loader != "ostree" and at.host.exists(entries.KERNEL_DEFAULTS):  # ostree hands on what its entries have
        text = entries.kernel_defaults(_text(at, entries.KERNEL_DEFAULTS), wanted)
        yield _edited(at, entries.KERNEL_DEFAULTS, text, "each new kernel gets them")
    for path in boot.entries:
        yield _edited(at, path, entries.entry(_text(at, path), wanted), why)


def unwritable(at: Situation) -> str:
    """Why the command line cannot be written here; empty where it can."""
    boot = at.facts.boot
    if boot.loader not in WRITTEN:
        return "no boot loader that hftctl writes for was found"
    if boot.loader == IMAGE and not at.host.exists(entries.KERNEL_DEFAULTS):
        return f"the boot image holds the command line, and there is no {entries.KERNEL_DEFAULTS} that it is built from"
    if boot.loader in ENTRIES and not boot.entries:
        return f"{boot.loader} has no entries in /boot/loader/entries"
    if locked := next((path for path in boot.entries if at.host.read_only(path)), ""):
        return f"{locked} is on a file system that is mounted read-only (mount -o remount,rw /boot)"
    return ""


def by_hand(boot: Boot, reboot: Sequence[str]) -> str:
    """What has to be done before a reboot brings parameters, or takes them away; empty where nothing has."""
    return BUILD if boot.loader == IMAGE and reboot else ""


def present(at: Situation) -> Iterator[tuple[str, str]]:
    """File and each kernel command line in it, as others wrote it."""
    if at.facts.boot.loader == IMAGE and (line := _text(at, entries.KERNEL_DEFAULTS).strip()):
        yield entries.KERNEL_DEFAULTS, line
    reader = grub.lines if at.facts.boot.loader == "grub" else entries.lines
    for path in at.facts.boot.entries:
        for line in reader(_text(at, path)):
            yield path, line


def contradictions(at: Situation, wanted: Sequence[str]) -> list[str]:
    """Words in boot entries that say something else; each with the file."""
    found = [(path, word) for path, line in present(at) for word in conflicts(line, wanted)]
    return list(dict.fromkeys(f"{word} in {path}" for path, word in found))


def too_long(at: Situation, wanted: Sequence[str]) -> str:
    for path, line in present(at):
        whole = len(line) + sum(len(word) + 1 for word in wanted if word not in line.split())
        if whole >= BYTES_MAX:
            return f"the command line in {path} would have {whole} bytes; the kernel reads {BYTES_MAX - 1}"
    return ""


def _edited(at: Situation, path: str, text: str, why: str) -> Setting:
    subject = f"file:{at.host.real(path)}"
    before = at.base(subject)
    spec: Spec = {**before, "text": text} if before is not None else new(at.host, text)
    return Setting(subject, spec, why, knob=KNOB, needs_reboot=True)


def _text(at: Situation, path: str) -> str:
    return text_of(at.base(f"file:{at.host.real(path)}"))
