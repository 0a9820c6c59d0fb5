"""What became of kernel parameters and huge pages: judged by what the kernel shows, never by the word on its command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from hftctl.operations.tune_verify import verify
from hftctl.tuning.effective import effects
from hftctl.tuning.host import Host
from tests.hftctl.tuning.driving import apply
from tests.hftctl.tuning.machines import MACHINES, SMALL
from tests.hftctl.tuning.trees import build

NODE = "sys/devices/system/node/node{node}/hugepages/hugepages-{kib}kB"
MACHINE = "sys/kernel/mm/hugepages/hugepages-{kib}kB"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return build(tmp_path / "host", SMALL)


def granted(root: Path, place: str, pages: int, free: int) -> None:
    for name, count in (("nr_hugepages", pages), ("free_hugepages", free)):
        (root / place / name).write_text(f"{count}\n")


def judged(root: Path, *words: str) -> dict[str, tuple[str, str]]:
    found = effects(Host(root), " ".join(words), list(words))
    return {one.parameter: (one.effective, one.message) for one in found}


def test_pages_of_the_command_line_are_counted(root: Path) -> None:
    granted(root, MACHINE.format(kib=1048576), 2, 1)
    with (root / "proc/meminfo").open("a") as file:
        file.write("Hugetlb: 2097152 kB\n")
    found = judged(root, "hugepagesz=1G", "hugepages=2")
    assert found["hugepagesz=1G"] == ("yes", "this kernel has pages of 1 GiB")
    assert found["hugepages=2"] == ("yes", "2 pages of 1 GiB, 1 of them free; huge pages of the machine in all: 2 GiB")
    assert judged(root, "hugepagesz=1G", "hugepages=3")["hugepages=3"][0] == "no", "two are there"
    assert judged(root, "hugepagesz=16M", "hugepages=1")["hugepages=1"] == ("no", "this kernel has no pages of 16 MiB")


def test_pages_of_each_node_are_counted_there(tmp_path: Path) -> None:
    root = build(tmp_path / "two", MACHINES["amd-two-socket"])
    for node in (0, 1):
        granted(root, NODE.format(node=node, kib=1048576), 2 - node, 0)
    effective, message = judged(root, "hugepagesz=1G", "hugepages=0:2,1:2")["hugepages=0:2,1:2"]
    assert effective == "no"
    assert message == "node 0: 2 pages of 1 GiB, 0 of them free; node 1: 1 pages of 1 GiB, 0 of them free"


def test_without_a_size_it_is_the_kernels_own(root: Path) -> None:
    granted(root, MACHINE.format(kib=2048), 16, 16)
    assert judged(root, "hugepages=16")["hugepages=16"] == ("yes", "16 pages of 2 MiB, 16 of them free")


def test_only_a_domain_shows_in_the_list_of_isolated_cpus(root: Path) -> None:
    """The profile kubernetes-node asks for managed interrupts alone: the file stays empty, and that is no fault."""
    assert judged(root, "isolcpus=managed_irq,1,3")["isolcpus=managed_irq,1,3"][0] == "unknown"
    assert judged(root, "isolcpus=managed_irq,domain,1,3")["isolcpus=managed_irq,domain,1,3"][0] == "no"
    (root / "sys/devices/system/cpu/isolated").write_text("1,3\n")
    assert judged(root, "isolcpus=managed_irq,domain,1,3")["isolcpus=managed_irq,domain,1,3"][0] == "yes"


def test_offloaded_callbacks_and_the_watchdog_show_too(root: Path) -> None:
    (root / "var/log").mkdir(parents=True)
    (root / "var/log/dmesg").write_text("[    0.021354] rcu: \tOffload RCU callbacks from CPUs: 1,3.\n")
    (root / "proc/sys/kernel/soft_watchdog").write_text("1\n")
    found = judged(root, "rcu_nocbs=1,3", "nosoftlockup")
    assert found["rcu_nocbs=1,3"] == ("yes", "the kernel offloads the callbacks of CPUs 1,3")
    assert found["nosoftlockup"] == ("no", "/proc/sys/kernel/soft_watchdog is 1")
    assert judged(root, "rcu_nocbs=0-3")["rcu_nocbs=0-3"][0] == "no"


def test_verify_says_how_many_pages_are_there_and_how_many_are_free(root: Path) -> None:
    apply(root, "latency", only=("huge-pages",))
    place = NODE.format(node=0, kib=2048)
    granted(root, place, 1024, 1000)
    (one,) = [verdict for verdict in verify(root).verdicts if verdict.subject == "pages:node0/2048"]
    assert (one.answer, one.message) == ("ok", "1024 pages of 2 MiB, 1000 of them free")
    granted(root, place, 3, 3)
    (one,) = [verdict for verdict in verify(root).verdicts if verdict.subject == "pages:node0/2048"]
    assert (one.answer, one.message) == ("drift", "is 3; wanted: 1024")
