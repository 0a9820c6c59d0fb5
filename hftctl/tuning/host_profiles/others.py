"""`throughput`, `virtual-machine`, `kubernetes-node`."""

from __future__ import annotations

from hftctl.tuning.host_profiles.latency import CLOCK, MEMORY
from hftctl.tuning.host_profiles.model import Choice, HostProfile
from hftctl.tuning.host_profiles.network import BUFFERS, FIRST_PACKETS, QUEUES, WINDOWS
from hftctl.tuning.layout import Share

THROUGHPUT = HostProfile(
    name="throughput",
    who="a host that stores, replays or simulates: as much work as possible, whenever each piece of it ends",
    gives_up="single orders wait while packets and pages are gathered",
    isolates=Share.NONE,
    choices=(
        BUFFERS, WINDOWS, QUEUES,
        Choice("sysctl", {"net.core.netdev_budget": 600}, "more packets per turn"),
        Choice(
            "interrupt-deferral",
            {"napi_defer_hard_irqs": 2, "gro_flush_timeout": 20000, "threaded": 1},
            "a busy card is polled again before it interrupts again, by threads that any CPU may run",
        ),
        Choice("sysctl", {"vm.swappiness": 10}, "the page cache gives way before programs do"),
        Choice("transparent-huge-pages", "always", "large heaps need fewer TLB entries, whoever waits for them"),
        Choice("frequency", {"governor": "performance", "preference": "performance"}, "work ends sooner at full speed"),
    ),
)  # fmt: skip

VIRTUAL_MACHINE = HostProfile(
    name="virtual-machine",
    who="a guest: what its own kernel decides, and nothing that only the machine below could",
    gives_up="2 GiB of memory; time that the hypervisor takes away cannot be won back inside",
    isolates=Share.NONE,
    choices=(
        BUFFERS, WINDOWS, QUEUES, FIRST_PACKETS, *MEMORY,
        Choice("sysctl", {"kernel.numa_balancing": 0}, "the hypervisor moves memory already"),
        CLOCK,
    ),
)  # fmt: skip

KUBERNETES_NODE = HostProfile(
    name="kubernetes-node",
    who="a node whose pods of class Guaranteed get whole CPUs",
    gives_up="housekeeping CPUs are taken from what pods can have; the node is drained to change it",
    isolates=Share.MOST,
    choices=(
        BUFFERS, QUEUES,
        Choice("huge-pages", {"2048": 1024}, "pods ask for them as hugepages-2Mi; the kubelet counts them when it starts"),
        Choice("transparent-huge-pages", "madvise", "only who asks for huge pages waits until they are put together"),
        Choice(
            "sysctl",
            {"kernel.timer_migration": 1, "kernel.numa_balancing": 0, "vm.swappiness": 10},
            "timers must leave CPUs that pods come to and go from, unlike on a host whose threads stay",
        ),
        Choice("isolation", "interrupts", "the kubelet, not isolcpus, says who runs where; interrupts stay off its pods"),
        Choice("workqueues", "housekeeping", "deferred kernel work stays on the CPUs that are reserved for the system"),
        Choice("interrupts", "housekeeping", "interrupts stay on the CPUs that are reserved for the system"),
        Choice("irqbalance", "banned", "so that irqbalance does not move them back"),
        Choice("frequency", {"governor": "performance", "preference": "performance"}, "no CPU has to speed up first"),
        Choice(
            "kubelet",
            {"cpuManagerPolicy": "static", "topologyManagerPolicy": "single-numa-node", "memoryManagerPolicy": "Static"},
            "a pod that asks for whole CPUs has them alone, beside its memory",
        ),
    ),
)  # fmt: skip
