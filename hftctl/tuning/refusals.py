"""Why a plan is not applied. Each reason has one code; `--force=CODE` names exactly one of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from hftctl.plan.change import Plan
from hftctl.tuning import cpu_list, persistence, sysctl_files
from hftctl.tuning.boot import wishes as boot
from hftctl.tuning.facts.pci import NO_GROUP
from hftctl.tuning.knobs import boot_pages
from hftctl.tuning.knobs.clocksource import STABLE
from hftctl.tuning.knobs.sysctl import key_of
from hftctl.tuning.places.kind import split
from hftctl.tuning.places.pages import spare_bytes
from hftctl.tuning.setting import Situation
from hftctl.tuning.wanted import Wanted

BOOT_PAGES_SHARE = 0.6  # of a node's memory: above that a boot ends in a panic, not in a message
OWNERS = {
    "tuned": ("sysctl", "frequency", "isolation", "transparent-huge-pages", "irqbalance", "interrupts"),
    "power-profiles-daemon": ("frequency",),
    "tlp": ("frequency", "idle-states"),
    "auto-cpufreq": ("frequency",),
    "cpupower": ("frequency",),
    "ksmtuned": ("same-page-merging",),
}
STAGED = "/run/ostree/staged-deployment"
HEATING = {"idle-states", "frequency"}  # what keeps a processor from cooling down
DRAIN = "kubectl drain {host} --ignore-daemonsets && systemctl stop kubelet"


@dataclass(frozen=True)
class Refusal:
    code: str
    message: str
    fix: str
    forceable: bool = True


Check = Callable[[Situation, Wanted, Plan], Iterator[Refusal]]


def refusals(at: Situation, wanted: Wanted, plan: Plan, foreign: Sequence[str]) -> tuple[Refusal, ...]:
    """All reasons, the weightiest first. Nothing is refused where nothing would be changed."""
    if not plan.pending:
        return ()
    found = [one for check in CHECKS for one in check(at, wanted, plan)]
    if foreign:
        said = f"somebody changed since we wrote: {', '.join(foreign)}"
        found.append(
            Refusal("foreign-edit", said, "look at them; forced, their version is what a revert leads back to")
        )
    return tuple(found)


def standing(found: Sequence[Refusal], forced: Collection[str]) -> tuple[Refusal, ...]:
    return tuple(one for one in found if not one.forceable or one.code not in forced)


def _place(at: Situation, wanted: Wanted, plan: Plan) -> Iterator[Refusal]:
    if at.facts.plan_only:
        yield Refusal("plan-only", at.facts.plan_only, "apply it on the host itself", forceable=False)


def _layout(at: Situation, wanted: Wanted, plan: Plan) -> Iterator[Refusal]:
    isolated, facts = set(at.layout.isolated), at.facts
    if not isolated:
        return
    shown = cpu_list.shown
    online = set(facts.online)
    if absent := isolated - online:
        yield Refusal("cpu-absent", f"CPUs {shown(absent)} are not there or not online", f"there are {shown(online)}")
    if 0 in isolated:
        said = "CPU 0 keeps the time and answers at boot: the kernel takes it out of nohz_full, and it is never free of work"
        yield Refusal("cpu0-isolated", said, f"leave it out: --isolate {shown(isolated - {0}) or '1'}")
    if online <= isolated:
        yield Refusal(
            "all-isolated", "no CPU would be left for everything else", "leave at least one core of each node"
        )
        return
    for node in facts.nodes:
        there = set(node.cpus) & online
        if there and there <= isolated:
            said = f"node {node.number} would have no housekeeping CPU: its interrupts and kernel threads go to another node"
            yield Refusal("node-without-housekeeping", said, f"leave one core of {shown(there)}")
    needed = max(1, -(-len(online) // 16))
    if len(online - isolated) < needed:
        said = f"{len(online - isolated)} housekeeping CPUs for {len(online)} CPUs; {needed} are needed"
        yield Refusal("too-few-housekeeping", said, "isolate fewer")
    split_cores = {
        cpu.siblings for cpu in facts.cpus
        if cpu.online and 0 < len(isolated & set(cpu.siblings)) < len(set(cpu.siblings) & online)
    }  # fmt: skip
    if split_cores and not wanted.profile.one_thread:
        said = f"threads of one core on both sides: {', '.join(shown(one) for one in sorted(split_cores))}"
        yield Refusal("sibling-split", said, "isolate whole cores")


def _memory(at: Situation, wanted: Wanted, plan: Plan) -> Iterator[Refusal]:
    for change in plan.pending:
        kind, where = split(change.subject)
        if kind != "pages" or change.after is None or change.before is None:
            continue
        more = (int(change.after["pages"]) - int(change.before["pages"])) * (int(where.partition("/")[2]) << 10)
        if more > 0 and more > (spare := max(spare_bytes(at.host, where), 0)):
            said = f"{where.partition('/')[0]} has {spare >> 20} MiB to spare, {more >> 20} MiB more would be taken"
            yield Refusal("memory-short", said, "free memory, or ask for fewer pages", forceable=False)
    asked = boot_pages.asked(list(wanted.arguments))
    for node in at.facts.nodes:
        there = asked.get(node.number, 0) + (asked.get(-1, 0) if node.number == at.facts.nodes[0].number else 0)
        if there and (there << 30) > BOOT_PAGES_SHARE * node.memory_bytes:
            whole = f"{node.memory_bytes / (1 << 30):.1f} GiB"
            said = f"{there} GiB of huge pages at boot on node {node.number}, which has {whole}: it may not boot"
            yield Refusal("boot-pages-too-many", said, "ask for at most 60 % of a node")


def _isolation(at: Situation, wanted: Wanted, plan: Plan) -> Iterator[Refusal]:
    words = [one.text for one in wanted.arguments]
    stops_tick = any(word.startswith("nohz_full=") for word in words) and at.facts.vendor in {"intel", "amd"}
    if stops_tick and (lacking := sorted(set(STABLE) - set(at.facts.flags))):
        said = f"nohz_full without a steady clock: this processor lacks {', '.join(lacking)}"
        yield Refusal("unsteady-clock", said, "use another profile, or --only without isolation")
    if against := boot.contradictions(at, words):
        said = f"the boot entries say something else: {', '.join(against)}"
        yield Refusal("argument-conflict", said, "take those out; forced, ours come last and win")
    if long := boot.too_long(at, words):
        yield Refusal("command-line-too-long", long, "take words out of it", forceable=False)


def _boot(at: Situation, wanted: Wanted, plan: Plan) -> Iterator[Refusal]:
    if wanted.arguments and (lacking := boot.unwritable(at)):
        said = f"the kernel command line is not written: {lacking}"
        yield Refusal("boot-loader-unsupported", said, "mend that; forced, everything else is applied")
    files = {one.subject for one in wanted.settings if one.knob == boot.KNOB}
    if not files & {change.subject for change in plan.pending}:
        return
    if at.facts.boot.loader == boot.IMAGE and at.facts.surroundings.secure_boot:
        said = "Secure Boot is on, and the command line is inside of a signed image: one that is built anew does not start unsigned"
        yield Refusal("secure-boot", said, "have a key that this machine knows where images are built; then force it")
    if at.facts.boot.loader == "ostree" and at.host.exists(STAGED):
        said = f"an update is staged ({STAGED}): the next boot has it, with the command line of before"
        yield Refusal("update-staged", said, "reboot into it first")


def _others(at: Situation, wanted: Wanted, plan: Plan) -> Iterator[Refusal]:
    knobs = {one.subject: one.knob for one in wanted.settings}
    pending = {knobs.get(change.subject, "") for change in plan.pending}
    for service in at.facts.surroundings.services:
        if both := [knob for knob in OWNERS.get(service, ()) if knob in pending]:
            said = f"{service} runs and sets {', '.join(both)} too: whoever writes last wins"
            yield Refusal("owned-elsewhere", said, f"systemctl disable --now {service}")
    if "kubelet" in pending and "kubelet" in at.facts.surroundings.services:
        said = f"the kubelet runs, with {at.facts.surroundings.pods} pods: another policy needs it stopped and its pods gone"
        yield Refusal("kubelet-running", said, DRAIN.format(host=at.facts.host_name))
    if "idle-states" in pending and at.facts.surroundings.battery:
        yield Refusal(
            "on-battery", "this machine has a battery: without idle states it gets hot", "--only without idle-states"
        )
    if pending & HEATING and at.facts.throttled:
        said = f"the processor was throttled {at.facts.throttled} times since the start because it got too hot"
        yield Refusal(
            "thermal", f"{said}: with {' and '.join(sorted(pending & HEATING))} it gets hotter", "cool it first"
        )
    keys: Mapping[str, str] = {
        key_of(split(one.subject)[1]): str((one.wanted or {}).get("value"))
        for one in wanted.settings
        if one.persist == "sysctl.d"
    }
    if over := sysctl_files.overruled(at.host, persistence.SYSCTLS, keys):
        said = "; ".join(f"{line.file}:{line.line} says {line.key} = {line.value}" for line in over)
        yield Refusal("overruled", f"read after our file, and saying something else: {said}", "take those lines out")


def _cards(at: Situation, wanted: Wanted, plan: Plan) -> Iterator[Refusal]:
    carrying = {nic.name: nic.carries for nic in at.facts.nics if nic.carries}
    disruptive = {one.subject for one in wanted.settings if one.disruptive}
    for change in plan.pending:
        kind, where = split(change.subject)
        card = where.partition("/")[0]
        if kind == "nic" and card in carrying and change.subject in disruptive:
            said = f"{card} carries the {carrying[card]}, and its link would go down"
            yield Refusal("management-nic", said, "do that from a console, with --force=management-nic")


def _bound(at: Situation, wanted: Wanted, plan: Plan) -> Iterator[Refusal]:
    """Cards that a program is to drive itself."""
    named = {split(change.subject)[1] for change in plan.pending if split(change.subject)[0] == "driver"}
    for one in at.bound:
        if one.group == NO_GROUP:
            said = f"{one.address} has no IOMMU group: the IOMMU is off, and its program could reach all memory"
            fix = "switch it on in the firmware (VT-d, AMD-Vi); forced, the kernel is told to, and the card is bound after the reboot"
            yield Refusal("iommu-off", said, fix)
        elif one.address not in named:
            continue
        if one.neighbours:
            said = f"{one.address} shares IOMMU group {one.group} with {', '.join(one.neighbours)}"
            yield Refusal(
                "iommu-group-shared",
                f"{said}: no program gets a part of a group",
                "bind those too, or use another slot",
            )
        if one.carries:
            said = f"{one.card} carries the {one.carries}, and would leave the kernel"
            yield Refusal("management-nic", said, "do that from a console, with --force=management-nic")
        elif one.routed:
            yield Refusal(
                "card-in-use", f"routes lead over {one.card}, which would leave the kernel", "take them away first"
            )


CHECKS: tuple[Check, ...] = (_place, _layout, _memory, _isolation, _boot, _others, _cards, _bound)
CODES = (
    "plan-only", "cpu-absent", "cpu0-isolated", "all-isolated", "node-without-housekeeping", "too-few-housekeeping",
    "sibling-split", "memory-short", "boot-pages-too-many", "unsteady-clock", "argument-conflict", "command-line-too-long",
    "boot-loader-unsupported", "secure-boot", "update-staged", "owned-elsewhere", "kubelet-running", "on-battery", "thermal",
    "overruled", "management-nic", "card-in-use", "iommu-off", "iommu-group-shared", "foreign-edit",
)  # fmt: skip
