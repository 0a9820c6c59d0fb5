"""Kernel parameters in the files of boot loaders: added where they belong, once, and nothing else moved."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from hftctl.errors import UsageError
from hftctl.tuning.boot import entries, grub
from hftctl.tuning.boot.command_line import checked, conflicts, missing, words
from tests.hftctl.tuning.machines import ARCH_ENTRY, DEBIAN_GRUB, RHEL_DEFAULT, RHEL_ENTRY, UBUNTU_GRUB

OURS = ["isolcpus=managed_irq,domain,2-7", "nohz_full=2-7"]


def test_grub_cfg_gets_them_in_ordinary_entries_only() -> None:
    changed = grub.config(DEBIAN_GRUB, OURS)
    assert "root=UUID=0b6f1a52 ro  quiet isolcpus=managed_irq,domain,2-7 nohz_full=2-7\n" in changed
    assert "ro single\n" in changed
    assert grub.config(changed, OURS) == changed


def test_grub_cfg_of_ubuntu_keeps_its_last_word_last() -> None:
    assert "quiet splash isolcpus=managed_irq,domain,2-7 nohz_full=2-7 $vt_handoff\n" in grub.config(UBUNTU_GRUB, OURS)


@pytest.mark.skipif(not shutil.which("sh"), reason="no shell")
def test_a_shell_reads_the_drop_in_as_it_is_meant() -> None:
    """What another tool writes with a stray `n` at its end is found by reading it back."""
    script = f'GRUB_CMDLINE_LINUX_DEFAULT="quiet"\n{grub.drop_in(OURS)}printf %s "$GRUB_CMDLINE_LINUX_DEFAULT"'
    said = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True).stdout
    assert said.split() == ["quiet", *OURS]


@pytest.mark.parametrize("text", [RHEL_ENTRY, ARCH_ENTRY, "title x\nlinux /vmlinuz\n"])
def test_an_entry_gets_them_at_the_end_of_its_options(text: str) -> None:
    changed = entries.entry(text, OURS)
    assert next(iter(entries.lines(changed))).endswith(" ".join(OURS))
    assert entries.entry(changed, OURS) == changed
    assert set(text.splitlines()) - set(changed.splitlines()) <= {
        line for line in text.splitlines() if line.startswith("options")
    }


def test_defaults_of_rhel_keep_their_quotes() -> None:
    changed = entries.grub_defaults(RHEL_DEFAULT, OURS)
    assert (
        'GRUB_CMDLINE_LINUX="crashkernel=1G-2G:192M,2G-64G:256M,64G-:512M isolcpus=managed_irq,domain,2-7 nohz_full=2-7"\n'
        in changed
    )
    assert entries.grub_defaults(changed, OURS) == changed
    assert entries.grub_defaults("", OURS) == f'GRUB_CMDLINE_LINUX="{" ".join(OURS)}"\n'


def test_pairs_of_huge_pages_are_no_repeats() -> None:
    line = "hugepagesz=2M hugepages=512 quiet"
    assert missing(line, ["hugepagesz=1G", "hugepages=2"]) == ["hugepagesz=1G", "hugepages=2"]
    assert missing(f"{line} hugepagesz=1G hugepages=2", ["hugepagesz=1G", "hugepages=2"]) == []


def test_quotes_and_other_spellings() -> None:
    assert words('root=x dyndbg="file a +p" quiet') == ["root=x", 'dyndbg="file a +p"', "quiet"]
    assert conflicts("nohz-full=1 isolcpus=3", ["nohz_full=2"]) == ["nohz-full=1"]
    with pytest.raises(UsageError, match="without quoting"):
        checked(["a=b c"])
