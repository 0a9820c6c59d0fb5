"""Of each word of the command line: what was asked for, whether the kernel took it, and what came of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from hftctl.errors import UsageError
from hftctl.tuning import cpu_list
from hftctl.tuning.rehearse import words as wording
from hftctl.tuning.rehearse.shape import asked
from hftctl.tuning.rehearse.words import Word

UNKNOWN = re.compile(r'Unknown kernel command line parameters "(.*)", will be passed to user space')
INVALID = re.compile(r"[`'\"]([^`'\"]*)' invalid for parameter [`'\"]([^`'\"]*)'")
OFFLOADED = re.compile(r"Offload RCU callbacks from CPUs: (.*?)\.?$", re.MULTILINE)
HOUSEKEEPING = re.compile(r"(?:Housekeeping|housekeeping|NO_HZ|isolcpus)[:,] .*")
HUGE = re.compile(r"(?:HugeTLB|hugepagesz|HugeTlb).*(?:fail|nvalid|nsupported|Only).*")
DEVICES = "/sys/devices/system/cpu"
PAGES = "/sys/kernel/mm/hugepages/hugepages-{kib}kB/nr_hugepages"
NODE_PAGES = "/sys/devices/system/node/node{node}/hugepages/hugepages-{kib}kB/nr_hugepages"

YES, PARTLY, NO, UNREAD = "yes", "partly", "no", "unread"


@dataclass(frozen=True)
class Verdict:
    """`accepted`: `yes`, `partly`, `no`; `unread` where the kernel knows the word and nothing tells what came of it."""

    word: str
    requested: str
    accepted: str
    effective: str
    note: str = ""


@dataclass(frozen=True)
class Seen:
    """What a boot shows: files of the guest, and the kernel's log."""

    files: Mapping[str, str]
    log: str
    guest_words: Sequence[Word]  # as the guest got them: huge pages in its proportion

    def said(self, pattern: re.Pattern[str], about: str = "") -> str:
        """The lines of the log that match and speak of it, without time stamps, each once."""
        lines = [found.group(0).strip() for found in pattern.finditer(self.log) if about in found.group(0)]
        return "; ".join(dict.fromkeys(lines))


def paths(words: Sequence[Word], nodes: int) -> list[str]:
    """The files of the guest that judging needs."""
    sizes = sorted({size >> 10 for size, _, _ in asked(words)} | {2048})
    found = [
        "/proc/cmdline", "/proc/1/status", "/proc/meminfo", "/proc/irq/default_smp_affinity",
        *(f"{DEVICES}/{name}" for name in ("possible", "present", "online", "isolated", "nohz_full", "smt/control")),
        *(PAGES.format(kib=kib) for kib in sizes),
        *(NODE_PAGES.format(kib=kib, node=node) for kib in sizes for node in range(nodes)),
        "/sys/kernel/mm/transparent_hugepage/enabled",
        *(f"/sys/devices/system/clocksource/clocksource0/{name}_clocksource" for name in ("current", "available")),
        *(f"/proc/sys/kernel/{name}" for name in ("nmi_watchdog", "watchdog", "soft_watchdog")),
        *(place for word in words if (place := module_file(word))),
    ]  # fmt: skip
    return list(dict.fromkeys(found))


def module_file(word: Word) -> str:
    """Where a parameter of a module that is built in shows its value; empty for other words."""
    module, dot, name = word.key.partition(".")
    return f"/sys/module/{module}/parameters/{name}" if dot and name and not word.for_user_space else ""


def judge(words: Sequence[Word], seen: Seen) -> Iterator[Verdict]:
    """One verdict per word, in their order."""
    unknown = {word.text for found in UNKNOWN.finditer(seen.log) for word in wording.parse(found[1])}
    invalid = {name.replace("-", "_"): value for value, name in INVALID.findall(seen.log)}
    for word in words:
        requested = word.value if word.value is not None else "given"
        if word.for_user_space:
            yield Verdict(word.text, requested, UNREAD, "-", "for user space: no kernel judges it")
        elif word.text in unknown or word.text.replace('"', "") in unknown:
            yield Verdict(word.text, requested, NO, "nothing", _refused(word, seen))
        elif word.key in invalid:
            yield Verdict(word.text, requested, NO, "nothing", f"the kernel says: invalid value {invalid[word.key]!r}")
        elif (place := module_file(word)) and word.key not in JUDGES:
            yield _module(word, requested, place, seen)
        else:
            accepted, effective, note = JUDGES.get(word.key, _unread)(word, seen)
            yield Verdict(word.text, requested, accepted, effective, note)


def _refused(word: Word, seen: Seen) -> str:
    """The kernel calls a word unknown too when it knows it and cannot use its value; then it has complained before."""
    accepted, _, note = JUDGES.get(word.key, _unread)(word, seen)
    return note if accepted == NO and note else "this kernel does not know the parameter"


Judged = tuple[str, str, str]  # accepted, effective, note


def _unread(word: Word, seen: Seen) -> Judged:
    return UNREAD, "-", "known to this kernel; no file tells what came of it"


def _module(word: Word, requested: str, place: str, seen: Seen) -> Verdict:
    effective = seen.files.get(place)
    if effective is None:
        note = f"no {place} in this kernel: the module is not built in, or has no such parameter"
        return Verdict(word.text, requested, UNREAD, "-", note)
    same = _plain(effective) == _plain(word.value if word.value is not None else "Y")
    note = "" if same else "the kernel has another value"
    return Verdict(word.text, requested, YES if same else NO, effective, note)


def _plain(value: str) -> str:
    """Switches and numbers as the kernel may print them."""
    text = value.strip().lower()
    text = {"y": "1", "on": "1", "true": "1", "n": "0", "off": "0", "false": "0"}.get(text, text)
    return str(int(text, 0)) if re.fullmatch(r"0x[0-9a-f]+|[1-9]\d*|0", text) else text


def _cpus(text: str) -> set[int] | None:
    try:
        return set(cpu_list.parse(text))
    except UsageError:
        return None


def _compared(requested: str, effective: set[int], note: str) -> Judged:
    wanted, shown = _cpus(requested), cpu_list.shown(effective) or "none"
    if wanted is None:
        return NO if not effective else PARTLY, shown, note or f"{requested!r} is no list of CPUs"
    if wanted == effective:
        return YES, shown, ""
    lost = (
        f"CPU {cpu_list.shown(wanted - effective)} was left out"
        if wanted - effective
        else "it took more than was asked for"
    )
    return (PARTLY if wanted & effective else NO), shown, note or lost


def _isolcpus(word: Word, seen: Seen) -> Judged:
    flags, cpus = wording.split_flags(word.value or "")
    said = seen.said(HOUSEKEEPING)
    if flags and "domain" not in flags:
        skipped = seen.said(HOUSEKEEPING, "isolcpus")
        return (NO if skipped else UNREAD), "-", skipped or f"flags {','.join(flags)}: no file tells what came of them"
    accepted, effective, note = _compared(cpus, _cpus(seen.files.get(f"{DEVICES}/isolated", "")) or set(), said)
    unknown = seen.said(HOUSEKEEPING, "nknown flag")
    everything = _cpus(seen.files.get(f"{DEVICES}/present", "")) or set()
    if "must include one present CPU" in seen.log and everything <= (_cpus(cpus) or set()):
        return NO, effective, f"all CPUs are asked for, none would be left for the system: {said}"
    return (PARTLY, effective, unknown) if accepted == YES and unknown else (accepted, effective, note)


def _nohz_full(word: Word, seen: Seen) -> Judged:
    found = seen.files.get(f"{DEVICES}/nohz_full")
    if found is None:
        return NO, "nothing", "this kernel is built without NO_HZ_FULL"
    said = seen.said(HOUSEKEEPING)
    return _compared(word.value or "", _cpus(found.replace("(null)", "").strip()) or set(), said)


def _rcu_nocbs(word: Word, seen: Seen) -> Judged:
    offloaded = OFFLOADED.search(seen.log)
    if offloaded is None:
        return NO, "nothing", "this kernel offloads no RCU callbacks (built without RCU_NOCB_CPU, or a bad list)"
    wanted = "0-8191" if word.value in {None, "all"} else word.value or ""
    effective = _cpus(offloaded[1].replace("(none)", "")) or set()
    if wanted == "0-8191":
        return (YES if effective else NO), cpu_list.shown(effective) or "none", ""
    wanted_cpus = _cpus(wanted)
    if wanted_cpus is not None and wanted_cpus < effective:
        return YES, cpu_list.shown(effective), "nohz_full brings along the others"
    return _compared(wanted, effective, "")


def _irqaffinity(word: Word, seen: Seen) -> Judged:
    found = seen.files.get("/proc/irq/default_smp_affinity", "")
    return _compared(word.value or "", set(cpu_list.from_mask(found)), "")


def _hugepages(word: Word, seen: Seen) -> Judged:
    """Of all requests together: `hugepagesz` and `hugepages` are pairs, and one word alone says little."""
    said = seen.said(HUGE)
    short, got = False, []
    for size, node, wanted in asked(seen.guest_words):
        place = PAGES.format(kib=size >> 10) if node is None else NODE_PAGES.format(kib=size >> 10, node=node)
        found = int(seen.files.get(place, "0") or 0)
        got.append(f"{'' if node is None else f'node {node}: '}{found} of {wanted} x {size >> 20} MiB")
        short = short or found < wanted
    if not got:
        return NO, "nothing", said or f"{word.value!r} is no number of pages"
    return (PARTLY if short else YES), ", ".join(got), said if short else ""


def _hugepagesz(word: Word, seen: Seen) -> Judged:
    refused = seen.said(HUGE, "nsupported") or seen.said(HUGE, "nvalid")
    return (NO, "nothing", refused) if refused else (YES, word.value or "", "")


def _bracketed(place: str) -> Callable[[Word, Seen], Judged]:
    def judged(word: Word, seen: Seen) -> Judged:
        found = seen.files.get(place)
        if found is None:
            return NO, "nothing", f"this kernel has no {place}"
        effective = found.partition("[")[2].partition("]")[0] or found
        return (YES if effective == word.value else NO), effective, ""

    return judged


def _number(place: str) -> Callable[[Word, Seen], Judged]:
    def judged(word: Word, seen: Seen) -> Judged:
        found = seen.files.get(place)
        if found is None:
            return UNREAD, "-", f"this kernel has no {place}"
        return (YES if _plain(found) == _plain(word.value or "1") else NO), found, ""

    return judged


JUDGES: dict[str, Callable[[Word, Seen], Judged]] = {
    "isolcpus": _isolcpus,
    "nohz_full": _nohz_full,
    "rcu_nocbs": _rcu_nocbs,
    "irqaffinity": _irqaffinity,
    "hugepages": _hugepages,
    "hugepagesz": _hugepagesz,
    "transparent_hugepage": _bracketed("/sys/kernel/mm/transparent_hugepage/enabled"),
    "nmi_watchdog": _number("/proc/sys/kernel/nmi_watchdog"),
}
