"""Dead and harmful settings, and files that have the last word."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hftctl.tuning.capabilities import capabilities
from hftctl.tuning.dead_knobs import found
from hftctl.tuning.facts.gather import gather
from hftctl.tuning.host import Host
from hftctl.tuning.sysctl_files import files, overruled
from tests.hftctl.tuning.machines import SMALL
from tests.hftctl.tuning.trees import build


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return build(tmp_path / "host", SMALL)


def dead(root: Path) -> dict[str, str]:
    host = Host(root)
    return {f"{one.where} {one.what}": one.why for one in found(host, gather(host))}


def test_a_clean_host_has_none(root: Path) -> None:
    assert dead(root) == {}


def test_what_circulating_scripts_do_is_named(root: Path) -> None:
    """The lines of a widespread tuning guide, run twice."""
    for _ in range(2):
        with (root / "etc/default/grub").open("a") as file:
            file.write("isolated_cores=0-3\n")
        with (root / "etc/sysctl.conf").open("a") as file:
            file.write("vm.nr_hugepages=1024\nnet.core.rmem_max=134217728\nnet.ipv4.tcp_low_latency=1\n")
    said = dead(root)
    assert "it is a variable that GRUB never looks at" in said["/etc/default/grub:5 isolated_cores=0-3"]
    assert "isolcpus is meant" in said["/etc/default/grub:5 isolated_cores=0-3"]
    assert "says nothing when it grants fewer" in said["/etc/sysctl.conf:2 vm.nr_hugepages = 1024"]
    assert "appended (>>) more than once" in said["/etc/sysctl.conf:6 net.core.rmem_max = 134217728"]
    assert said["/etc/sysctl.conf:4 net.ipv4.tcp_low_latency = 1"] == "does nothing since Linux 4.14"


def test_words_on_the_command_line_of_this_boot_are_named(root: Path) -> None:
    (root / "proc/cmdline").write_text(
        "root=x isolated_cores=1-3 isolcpus=domain,0-3 nohz_full=0-3 mitigations=off rcu_nocbs=1-3\n"
    )
    said = dead(root)
    assert "nothing is isolated" in said["/proc/cmdline isolated_cores=1-3"]
    assert "never be free of work" in said["/proc/cmdline isolcpus=domain,0-3"]
    assert "takes it out of nohz_full by itself" in said["/proc/cmdline nohz_full=0-3"]
    assert "/proc/cmdline mitigations=off" in said
    assert len(said) == 4


def test_the_last_word_on_a_sysctl(root: Path) -> None:
    host, ours = Host(root), "/etc/sysctl.d/99-zzz-hftctl.conf"
    for path, text in {
        "etc/sysctl.d/99-sysctl.conf": "net.core.rmem_max = 1\n",  # before ours
        "usr/lib/sysctl.d/99-zzzz.conf": "net.core.wmem_max = 2\n",  # after ours
        "usr/lib/sysctl.d/10-a.conf": "vm.swappiness = 60\n",
        "etc/sysctl.d/10-a.conf": "vm.swappiness = 30\n",  # hides the one of the distribution
        "etc/sysctl.conf": "-net/core/somaxconn=5\n# vm.swappiness = 1\n",
    }.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    assert files(host)[0] == "/etc/sysctl.d/10-a.conf"
    wanted = {"net.core.rmem_max": "9", "net.core.wmem_max": "9", "vm.swappiness": "10", "net.core.somaxconn": "65535"}
    lines = [(line.file, line.line, line.key) for line in overruled(host, ours, wanted)]
    assert lines == [
        ("/usr/lib/sysctl.d/99-zzzz.conf", 1, "net.core.wmem_max"),
        ("/etc/sysctl.conf", 1, "net.core.somaxconn"),
    ]
    assert overruled(host, ours, {"net.core.wmem_max": "2"}) == []


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("net.ipv4.tcp_mem = 16777216 16777216 16777216", "is in pages, not in bytes: 64 GiB for a machine of 16"),
        ("net.ipv4.tcp_sack = 0", "sends a whole window again"),
        ("kernel.sched_rt_runtime_us = -1", "hang its core"),
        ("vm.drop_caches = 3", "is a command, no setting"),
        ("kernel.sched_migration_cost_ns = 5000000", "is gone since Linux 5.13"),
        ("net.core.low_latency = 1", "this kernel has no such sysctl"),
    ],
)
def test_a_sysctl_that_does_not_do_what_it_is_there_for(root: Path, line: str, why: str) -> None:
    (root / "etc/sysctl.d/90-desk.conf").write_text(f"{line}\n")
    (root / "usr/lib/sysctl.d").mkdir(parents=True)
    (root / "usr/lib/sysctl.d/50-vendor.conf").write_text("kernel.of_another_kernel = 1\n")
    [(where, said)] = dead(root).items()
    assert where == f"/etc/sysctl.d/90-desk.conf:1 {line}"
    assert why in said


@pytest.mark.parametrize("word", ["nohz=off", "nopti", "elevator=noop", "noht", "huge_pages=4", "clocksource=hpet"])
def test_a_parameter_that_harms_or_does_nothing(root: Path, word: str) -> None:
    (root / "proc/cmdline").write_text(f"root=x {word} quiet\n")
    assert list(dead(root)) == [f"/proc/cmdline {word}"]


def answers(root: Path) -> dict[str, tuple[str, ...]]:
    host = Host(root)
    return {one.name: one.missing for one in capabilities(host, gather(host))}


def test_what_a_host_can_carry_and_what_is_missing(root: Path) -> None:
    found_ = answers(root)
    assert found_["avx2"] == ()
    assert found_["neon"] == ("this processor has no neon",)
    assert [sentence.split(":")[0].split(",")[0] for sentence in found_["dpdk"]] == [
        "no huge pages are reserved",
        "no vfio-pci",
    ]
    assert found_["af-xdp"] == ()


def test_dpdk_needs_a_card_that_can_be_given_away_alone(root: Path) -> None:
    (root / "sys/devices/system/node/node0/hugepages/hugepages-2048kB/nr_hugepages").write_text("64\n")
    (root / "sys/bus/pci/drivers/vfio-pci").mkdir(parents=True)
    assert answers(root)["dpdk"] == ()
    group = root / "sys/kernel/iommu_groups/7/devices"
    (group / "0000:02:00.0").touch()
    assert answers(root)["dpdk"] == (
        "no card to spare has an IOMMU group of its own: ens2f0 shares its group with 0000:02:00.0 (igb)",
    )
    (root / "sys/bus/pci/devices/0000:3b:00.0/iommu_group").unlink()
    shutil.rmtree(root / "sys/kernel/iommu_groups")
    assert answers(root)["dpdk"][0].startswith("no IOMMU groups")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"cards": SMALL.cards[:1]}, "no card to spare: eno1 carries the default route"),
        ({"cards": (*SMALL.cards[:1], replace(SMALL.cards[1], driver="e1000e"))}, "without a copy (ens2f0: e1000e)"),
        ({"config": {"XDP_SOCKETS": "n", "BPF_SYSCALL": "y"}}, "built without XDP_SOCKETS"),
    ],
    ids=["no card", "driver", "kernel"],
)
def test_af_xdp_needs_a_kernel_and_a_driver_for_it(tmp_path: Path, change: dict[str, Any], why: str) -> None:
    missing = answers(build(tmp_path / "other", replace(SMALL, **change)))["af-xdp"]
    assert why in " ".join(missing)
