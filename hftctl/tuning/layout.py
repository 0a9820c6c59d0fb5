"""Which CPUs keep house and which are left alone: whole cores, some of each node, never CPU 0's."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from hftctl.tuning import cpu_list
from hftctl.tuning.facts.model import Cpu, Facts

HOUSEKEEPING_PER_CPUS = 16  # one CPU in so many at least must answer interrupts and run everybody else


class Share(StrEnum):
    """How much of a host is left alone."""

    NONE = "none"
    MOST = "most"  # a quarter of the cores of each node keeps house
    ALL_BUT_ONE = "all-but-one"  # one core of each node does, and more where that is under a sixteenth


@dataclass(frozen=True)
class Layout:
    housekeeping: tuple[int, ...]
    isolated: tuple[int, ...]
    preferred: tuple[
        int, ...
    ]  # the isolated ones, those on a network card's node first: engines go there in this order
    chosen: str  # how they were chosen, for people

    @property
    def divided(self) -> bool:
        """Whether there are both: CPUs to keep work off, and CPUs that can take it."""
        return bool(self.isolated and self.housekeeping)

    @property
    def housekeeping_mask(self) -> str:
        return cpu_list.mask(self.housekeeping, width=max(self.housekeeping) + 1)

    @property
    def shown(self) -> str:
        return f"isolated {cpu_list.shown(self.isolated) or 'none'}, housekeeping {cpu_list.shown(self.housekeeping)}"


def compute(
    facts: Facts, share: Share, *, asked: str = "", one_thread: bool = False, near: Iterable[int] = ()
) -> Layout:
    """`asked`: a CPU list somebody named, taken as it is (the refusals look at it); `one_thread`: SMT will be off; `near`: nodes
    of cards that the kernel does not drive."""
    usable = [cpu for cpu in facts.cpus if cpu.online and (not one_thread or cpu.number == min(cpu.siblings))]
    if asked:
        isolated = cpu_list.parse(asked)
        chosen = "as asked"
    else:
        isolated = tuple(sorted(set(_numbers(usable)) - _keepers(usable, share)))
        chosen = "nothing is isolated" if not isolated else f"{share.value}, whole cores of each node"
    housekeeping = tuple(number for number in _numbers(usable) if number not in isolated)
    beside = {nic.node for nic in facts.nics if nic.node >= 0} | set(near)
    node_of = {cpu.number: cpu.node for cpu in facts.cpus}
    preferred = tuple(sorted(isolated, key=lambda cpu: (node_of.get(cpu) not in beside, cpu)))
    return Layout(housekeeping, isolated, preferred, chosen)


def _keepers(usable: Sequence[Cpu], share: Share) -> set[int]:
    cores: dict[int, list[tuple[int, ...]]] = {}
    known = set(_numbers(usable))
    for cpu in usable:
        threads = tuple(one for one in cpu.siblings if one in known)
        if threads and cpu.number == threads[0]:
            cores.setdefault(cpu.node, []).append(threads)
    if share is Share.NONE or sum(map(len, cores.values())) < 2:
        return known
    keepers: set[int] = set()
    spare: list[tuple[int, ...]] = []
    for of_node in cores.values():
        kept = -(-len(of_node) // 4) if share is Share.MOST else 1
        keepers.update(cpu for core in of_node[:kept] for cpu in core)
        spare += of_node[kept:]
    needed = -(-len(known) // HOUSEKEEPING_PER_CPUS)
    for core in sorted(spare):
        if len(keepers) >= needed:
            break
        keepers.update(core)
    return keepers


def _numbers(cpus: Sequence[Cpu]) -> tuple[int, ...]:
    return tuple(cpu.number for cpu in cpus)
