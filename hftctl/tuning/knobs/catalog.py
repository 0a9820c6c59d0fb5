"""Every knob by its name in host profiles and for --only."""

from __future__ import annotations

from hftctl.tuning.knobs.boot_pages import BootPages
from hftctl.tuning.knobs.clocksource import Clocksource
from hftctl.tuning.knobs.cpu_partition import CpuPartition
from hftctl.tuning.knobs.frequency import Frequency
from hftctl.tuning.knobs.huge_page_mount import HugePageMount
from hftctl.tuning.knobs.huge_pages import HugePages
from hftctl.tuning.knobs.idle_states import IdleStates
from hftctl.tuning.knobs.interrupt_deferral import InterruptDeferral
from hftctl.tuning.knobs.interrupts import Interrupts
from hftctl.tuning.knobs.irqbalance import Irqbalance
from hftctl.tuning.knobs.isolation import Isolation
from hftctl.tuning.knobs.kernel_parameters import KernelParameters
from hftctl.tuning.knobs.kubelet import Kubelet
from hftctl.tuning.knobs.limits import Limits
from hftctl.tuning.knobs.network_card import NetworkCard
from hftctl.tuning.knobs.packet_steering import PacketSteering
from hftctl.tuning.knobs.same_page_merging import SamePageMerging
from hftctl.tuning.knobs.smt import Smt
from hftctl.tuning.knobs.sysctl import Sysctl
from hftctl.tuning.knobs.transparent_huge_pages import TransparentHugePages
from hftctl.tuning.knobs.vfio import Vfio
from hftctl.tuning.knobs.workqueues import Workqueues
from hftctl.tuning.setting import Knob

KNOBS: dict[str, Knob] = {
    knob.name: knob
    for knob in (
        Sysctl(), HugePages(), BootPages(), HugePageMount(), TransparentHugePages(), SamePageMerging(), Isolation(),
        CpuPartition(), KernelParameters(), Workqueues(), Interrupts(), Irqbalance(), PacketSteering(), InterruptDeferral(),
        Frequency(), IdleStates(), Smt(), Clocksource(), NetworkCard(), Vfio(), Limits(), Kubelet(),
    )
}  # fmt: skip
