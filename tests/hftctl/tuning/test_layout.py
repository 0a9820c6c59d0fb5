"""Which CPUs are left alone: never CPU 0, whole cores, somebody on every node."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from hftctl.errors import UsageError
from hftctl.tuning import cpu_list
from hftctl.tuning.facts.gather import gather
from hftctl.tuning.facts.model import Cpu
from hftctl.tuning.host import Host
from hftctl.tuning.layout import Share, _keepers, compute
from tests.hftctl.tuning.machines import machine


@given(some.sets(some.integers(0, 300), max_size=40))
def test_a_list_and_a_mask_say_the_same(cpus: set[int]) -> None:
    assert cpu_list.parse(cpu_list.shown(cpus)) == tuple(sorted(cpus))
    assert cpu_list.from_mask(cpu_list.mask(cpus, width=320)) == tuple(sorted(cpus))


@pytest.mark.parametrize("text", ["2-3n", "a", "5-2", "1--2", "99999999", "-1"])
def test_what_is_no_list_is_told(text: str) -> None:
    with pytest.raises(UsageError, match="is no list of CPUs"):
        cpu_list.parse(text)


def test_a_mask_has_groups_of_32_bits() -> None:
    assert cpu_list.mask([0, 33], width=40) == "02,00000001"
    assert cpu_list.mask([0, 3], width=4) == "9"


@given(
    some.integers(1, 4), some.integers(1, 24), some.integers(1, 2), some.sampled_from([Share.MOST, Share.ALL_BUT_ONE])
)
def test_cpu_0_keeps_house_and_so_does_a_whole_core_of_each_node(
    nodes: int, cores: int, threads: int, share: Share
) -> None:
    whole = nodes * cores
    cpus = [
        Cpu(
            core + whole * thread,
            True,
            core // cores,
            core % cores,
            core // cores,
            tuple(core + whole * t for t in range(threads)),
        )
        for thread in range(threads)
        for core in range(whole)
    ]
    keepers = _keepers(cpus, share)
    assert 0 in keepers
    assert all(set(cpu.siblings) <= keepers for cpu in cpus if cpu.number in keepers)
    assert {cpu.node for cpu in cpus if cpu.number in keepers} == set(range(nodes))
    assert len(keepers) >= -(-len(cpus) // 16)


def test_engines_go_to_the_node_of_the_card_first(tmp_path: Path) -> None:
    facts = gather(Host(machine(tmp_path, "amd-two-socket")))
    layout = compute(facts, Share.MOST)
    assert layout.housekeeping == cpu_list.parse("0-3,16-19,32-35,48-51")
    assert layout.isolated == cpu_list.parse("4-15,20-31,36-47,52-63")
    assert set(layout.preferred) == set(layout.isolated)
    one = compute(facts, Share.ALL_BUT_ONE, one_thread=True)
    assert one.housekeeping == (0, 1, 16)[:1] + one.housekeeping[1:]
    assert all(cpu < 32 for cpu in one.isolated), "the second threads go away"


def test_a_single_core_is_not_isolated(tmp_path: Path) -> None:
    root = machine(tmp_path, "vm")
    for name in ("online", "present"):
        (root / f"sys/devices/system/cpu/{name}").write_text("0\n")
    assert compute(gather(Host(root)), Share.ALL_BUT_ONE).isolated == ()
