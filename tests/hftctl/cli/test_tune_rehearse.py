"""hftctl tune rehearse where there is no QEMU: rules, and how it is said that they are nothing more."""

from __future__ import annotations

import struct

import pytest

from tests.hftctl.tuning.machines import machine

HOST = ("--cpus", "8", "--nodes", "1", "--memory", "16G")
GOOD = "isolcpus=managed_irq,domain,2-7 nohz_full=2-7 rcu_nocbs=2-7 irqaffinity=0-1"


@pytest.fixture(autouse=True)
def no_qemu(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))


@pytest.fixture
def kernel(tmp_path):
    """The head of an image, as far as it is read without booting it, and its configuration beside it."""
    head = bytearray(4096)
    head[0x202:0x206] = b"HdrS"
    struct.pack_into("<H", head, 0x20E, 0x400)
    head[0x600:0x620] = b"6.1.0-9-amd64 (debian) #1 SMP\0\0\0"
    file = tmp_path / "vmlinuz"
    file.write_bytes(head)
    (tmp_path / "config-6.1.0-9-amd64").write_text(
        "CONFIG_HZ=250\n# CONFIG_NO_HZ_FULL is not set\nCONFIG_RCU_NOCB_CPU=y\n"
    )
    return file


def test_rules_that_find_nothing_prove_nothing(hftctl_, kernel):
    (kernel.parent / "config-6.1.0-9-amd64").unlink()
    found = hftctl_("tune", "rehearse", "--kernel", str(kernel), "--cmdline", GOOD, *HOST, "-o", "json")
    assert found.code == 8
    document = found.document("TuneRehearsal")
    assert (document["state"], document["kernel_release"]) == ("not rehearsed", "6.1.0-9-amd64")
    assert "qemu-system-x86_64 is not installed" in document["why_not"]
    assert document["verdicts"] == document["findings"] == []


def test_what_the_rules_find_is_told_and_labelled(hftctl_, kernel):
    found = hftctl_("tune", "rehearse", "--kernel", str(kernel), "--cmdline", "nohz_full=0-7 root=/dev/vda1", *HOST)
    assert found.code == 9
    assert found.out.startswith("not rehearsed: qemu-system-x86_64 is not installed")
    assert "all-isolated: nohz_full=0-7: all CPUs are named" in found.out
    assert "no-nohz-full: nohz_full: this kernel is built without NO_HZ_FULL" in found.out
    assert "left out, of the real machine only: root=/dev/vda1" in found.out
    assert "by the rules alone, not rehearsed: all-isolated, no-nohz-full" in found.err


def test_a_guess_is_no_finding(hftctl_, kernel):
    found = hftctl_("tune", "rehearse", "--kernel", str(kernel), "--cmdline", "nosuchword=1", *HOST)
    assert found.code == 8
    assert "unknown-parameter: nosuchword=1: not among" in found.out
    assert "(only a rehearsal can tell)" in found.out


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("--kernel", "absent", "--cmdline", "a=1"), 13),
        (("--kernel", "text", "--cmdline", "a=1"), 2),
        (("--kernel", "vmlinuz", "--cmdline", " "), 2),
        (("--kernel", "vmlinuz", "--cmdline", "a=1", "--memory", "much"), 2),
        (("--kernel", "vmlinuz", "--cmdline", "a=1", "--accelerator", "warp"), 2),
        (("--kernel", "vmlinuz", "--cpus", "4"), 2),
        (("--kernel", "vmlinuz", "--cmdline", "a=1", "--cpus", "2", "--nodes", "3", "--memory", "1G"), 2),
    ],
)
def test_what_cannot_be_rehearsed_is_refused(hftctl_, kernel, words, code):
    (kernel.parent / "text").write_text("no kernel")
    assert hftctl_("tune", "rehearse", *words).code == code


def test_without_a_command_line_it_is_the_one_that_is_planned(hftctl_, kernel, tmp_path):
    """What stands there now, and behind it what an apply of the host profile would add."""
    root = machine(tmp_path, "intel-one-socket")
    words = ("tune", "rehearse", "latency", "--root", str(root), "--kernel", str(kernel), "-o", "json")
    document = hftctl_(*words).document("TuneRehearsal")
    planned = hftctl_("tune", "plan", "latency", "--root", str(root), "-o", "json").document("TunePlan")
    present = (root / "proc/cmdline").read_text().split()
    assert document["command_line"].split()[: len(present)] == present
    assert any(word.startswith("nohz_full=") for word in document["command_line"].split())
    assert "isolcpus=" in str(planned)
    assert "cpu0-isolated" not in [one["code"] for one in document["findings"]]
