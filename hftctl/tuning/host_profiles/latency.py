"""`latency` and `latency-extreme`: bare metal that trades."""

from __future__ import annotations

from hftctl.tuning.host_profiles.model import Choice, HostProfile
from hftctl.tuning.host_profiles.network import BUFFERS, BUSY_POLL, FIRST_PACKETS, QUEUES, WINDOWS
from hftctl.tuning.layout import Share

MEMORY = (
    Choice("huge-pages", {"2048": 1024}, "2 GiB in pages of 2 MiB: fewer TLB misses for who maps them"),
    Choice("transparent-huge-pages", "madvise", "only who asks for huge pages waits until they are put together"),
    Choice("same-page-merging", "off", "no thread compares pages, and no write finds its page shared"),
    Choice(
        "sysctl",
        {"vm.swappiness": 10, "vm.stat_interval": 10, "vm.compaction_proactiveness": 0, "vm.zone_reclaim_mode": 0},
        "pages stay where they are, and nobody wakes up each second to count them",
    ),
)
SCHEDULER = Choice(
    "sysctl",
    {"kernel.numa_balancing": 0, "kernel.timer_migration": 0},
    "memory and timers stay where a pinned thread put them",
)
CARDS = Choice(
    "network-card",
    {"coalescing": {"adaptive_rx": 0, "adaptive_tx": 0, "rx_usecs": 0, "tx_usecs": 0}},
    "a packet is handed over when it comes, not when more have come",
)
AT_ONCE = Choice(
    "interrupt-deferral",
    {"napi_defer_hard_irqs": 0, "gro_flush_timeout": 0},
    "a card's interrupt comes at once: put off it helps only who polls with SO_PREFER_BUSY_POLL, and delays all others",
)
AWAY = (
    Choice("workqueues", "housekeeping", "deferred kernel work stays off the isolated CPUs"),
    Choice("interrupts", "housekeeping", "interrupts stay off the isolated CPUs, a card's on its own node"),
    Choice("irqbalance", "banned", "so that irqbalance does not move them back"),
    Choice(
        "packet-steering",
        {"receive": "housekeeping", "transmit": "spread"},
        "received packets are worked on by housekeeping CPUs",
    ),
)
CLOCK = Choice("clocksource", "tsc", "reading the time asks nobody")
BOUND = Choice("vfio", "named", "DPDK drives the card itself; only the cards that --bind names")
LIMITS = Choice(
    "limits",
    {"group": "hft", "memlock": "unlimited", "rtprio": 99, "nofile": 1048576},
    "programs of that group may lock their memory and run at real-time priority",
)

LATENCY = HostProfile(
    name="latency",
    who="a bare-metal host that trades and also does other things",
    gives_up="three quarters of the cores of each node run only what is pinned to them; more power",
    isolates=Share.MOST,
    choices=(
        BUFFERS, WINDOWS, QUEUES, FIRST_PACKETS, *MEMORY, SCHEDULER,
        Choice("isolation", "full", "nobody else runs on the CPUs of the engine"),
        *AWAY, CLOCK, CARDS, AT_ONCE,
        Choice("frequency", {"governor": "performance", "preference": "performance"}, "no CPU has to speed up first"),
        Choice("idle-states", "isolated", "an isolated CPU wakes up at once"),
        BOUND, LIMITS,
    ),
)  # fmt: skip

EXTREME = HostProfile(
    name="latency-extreme",
    who="a bare-metal host that trades and does nothing else",
    gives_up="all cores but one of each node, the second thread of each core, turbo, watchdogs, a lot of power",
    isolates=Share.ALL_BUT_ONE,
    choices=(
        BUFFERS, WINDOWS, QUEUES, FIRST_PACKETS, BUSY_POLL, *(one for one in MEMORY if one.knob != "transparent-huge-pages"),
        Choice("transparent-huge-pages", "never", "nobody ever waits until huge pages are put together"),
        Choice("boot-pages", 2, "2 GiB per node in pages of 1 GiB, reserved before memory is in pieces"),
        Choice("huge-page-mount", "1G", "DPDK takes its memory from there"),
        SCHEDULER,
        Choice(
            "sysctl", {"kernel.nmi_watchdog": 0, "kernel.watchdog_cpumask": "HOUSEKEEPING"}, "no watchdog takes a counter or wakes a CPU"
        ),
        Choice("isolation", "full", "nobody else runs on the CPUs of the engine"),
        Choice("cpu-partition", "isolated", "and nobody else can ask to: not a script, not a container, not by mistake"),
        Choice(
            "kernel-parameters", ["nmi_watchdog=0", "tsc=reliable", "transparent_hugepage=never"],
            "the same from the first moment of a boot on",
        ),
        *AWAY, CLOCK, CARDS, AT_ONCE,
        Choice("network-card", {"offloads": {"gro": 0, "lro": 0}}, "packets are handed over one by one"),
        Choice(
            "frequency", {"governor": "performance", "preference": "performance", "turbo": False}, "the clock is the same under any load"
        ),
        Choice("idle-states", "all", "no CPU has to wake up"),
        Choice("smt", "off", "nobody shares a core's caches with the engine"),
        BOUND, LIMITS,
    ),
)  # fmt: skip
