"""Dead and harmful settings, and files that have the last word."""

from __future__ import annotations

from pathlib import Path

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


def test_what_a_host_can_carry_and_what_is_missing(root: Path) -> None:
    host = Host(root)
    answers = {one.name: one for one in capabilities(host, gather(host))}
    assert answers["avx2"].ready
    assert answers["neon"].missing == ("this processor has no neon",)
    assert not answers["dpdk"].ready
    assert [sentence.split(",")[0].split(":")[0] for sentence in answers["dpdk"].missing] == [
        "no IOMMU groups", "no vfio-pci", "no huge pages are reserved",
    ]  # fmt: skip
