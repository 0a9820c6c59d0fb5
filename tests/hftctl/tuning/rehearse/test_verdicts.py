"""Verdicts from what guests say: the kernel's own sentences, and the files of the guest."""

from __future__ import annotations

import pytest

from hftctl.tuning.rehearse import words as wording
from hftctl.tuning.rehearse.boot import parsed
from hftctl.tuning.rehearse.verdicts import DEVICES, Seen, judge, module_file, paths

FILES = {
    f"{DEVICES}/isolated": "2-3",
    f"{DEVICES}/nohz_full": "2-3",
    f"{DEVICES}/present": "0-3",
    "/proc/irq/default_smp_affinity": "3",
    "/sys/kernel/mm/transparent_hugepage/enabled": "always madvise [never]",
    "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages": "40",
    "/sys/devices/system/node/node0/hugepages/hugepages-2048kB/nr_hugepages": "30",
    "/sys/devices/system/node/node1/hugepages/hugepages-2048kB/nr_hugepages": "10",
    "/sys/module/rcutree/parameters/kthread_prio": "11",
    "/sys/module/workqueue/parameters/power_efficient": "Y",
}
LOG = "[    0.1] rcu: \tOffload RCU callbacks from CPUs: 2-3.\n"


def verdicts(line, files=None, log=LOG):
    words = wording.parse(line)
    return list(judge(words, Seen({**FILES, **(files or {})}, log, words)))


def one(line, files=None, log=LOG):
    found = verdicts(line, files, log)[-1]
    return found.accepted, found.effective, found.note


@pytest.mark.parametrize(
    ("word", "effective"),
    [
        ("isolcpus=managed_irq,domain,2-3", "2-3"),
        ("isolcpus=2,3", "2-3"),
        ("nohz_full=2-3", "2-3"),
        ("rcu_nocbs=2-3", "2-3"),
        ("rcu_nocbs=3", "2-3"),
        ("rcu_nocbs=all", "2-3"),
        ("irqaffinity=0-1", "0-1"),
        ("hugepages=40", "40 of 40 x 2 MiB"),
        ("hugepages=0:30,1:10", "node 0: 30 of 30 x 2 MiB, node 1: 10 of 10 x 2 MiB"),
        ("transparent_hugepage=never", "never"),
        ("rcutree.kthread_prio=11", "11"),
        ("workqueue.power_efficient=1", "Y"),
    ],
)
def test_what_the_kernel_did_is_accepted(word, effective):
    assert one(word)[:2] == ("yes", effective)


@pytest.mark.parametrize(
    ("word", "files", "log", "accepted", "said"),
    [
        (
            "nohz_full=0-3",
            {f"{DEVICES}/nohz_full": "1-3"},
            "NO_HZ: Clearing 0 from nohz_full range for timekeeping",
            "partly",
            "Clearing 0",
        ),
        (
            "nohz_full=2-3n",
            {f"{DEVICES}/nohz_full": "(null)"},
            "Housekeeping: nohz_full= or isolcpus= incorrect CPU range",
            "no",
            "incorrect CPU",
        ),
        ("nohz_full=2-3", {f"{DEVICES}/nohz_full": None}, "", "no", "built without NO_HZ_FULL"),
        (
            "isolcpus=0-3",
            {f"{DEVICES}/isolated": "0-3"},
            "Housekeeping: must include one present CPU, using boot CPU:0",
            "no",
            "all CPUs",
        ),
        ("isolcpus=domain,2-9", {}, "", "partly", "CPU 4-9 was left out"),
        ("isolcpus=domian,2-3", {}, "isolcpus: Skipped unknown flag domian", "no", "unknown flag domian"),
        ("rcu_nocbs=2-3", {}, "", "no", "built without RCU_NOCB_CPU"),
        (
            "isolated_cores=2-3",
            {},
            'Unknown kernel command line parameters "isolated_cores=2-3 foo", will be passed to user space.',
            "no",
            "does not know",
        ),
        (
            "hugepages=0:30,1:20",
            {},
            "HugeTLB: allocating 20 of page size 2.00 MiB failed node1.  Only allocated 10 hugepages.",
            "partly",
            "Only allocated 10",
        ),
        ("hugepagesz=1G", {}, "HugeTLB: unsupported hugepagesz=1G", "no", "unsupported"),
        (
            "transparent_hugepage=never",
            {"/sys/kernel/mm/transparent_hugepage/enabled": "always [madvise] never"},
            "",
            "no",
            "",
        ),
        ("rcutree.kthread_prio=12", {}, "", "no", "another value"),
        ("loglevel=x", {}, "early options: `x' invalid for parameter `loglevel'", "no", "invalid value 'x'"),
    ],
    ids=lambda value: value if isinstance(value, str) and "=" in value and " " not in value else "",
)
def test_what_it_did_not_do_is_told_in_its_own_words(word, files, log, accepted, said):
    known = {path: text for path, text in {**FILES, **files}.items() if text is not None}
    words = wording.parse(word)
    (found,) = judge(words, Seen(known, log, words))
    assert found.accepted == accepted
    assert said in found.note


def test_words_that_nothing_tells_of_are_unread_and_never_accepted():
    for word in ("skew_tick=1", "tsc=reliable", "nosuchmodule.depth=3", "systemd.unit=rescue.target"):
        assert one(word)[0] == "unread"


def test_what_judging_needs_is_asked_for():
    words = wording.parse("hugepagesz=1G hugepages=1 rcutree.kthread-prio=1 rd.break")
    asked = paths(words, 2)
    assert "/sys/devices/system/node/node1/hugepages/hugepages-1048576kB/nr_hugepages" in asked
    assert "/sys/module/rcutree/parameters/kthread_prio" in asked
    assert len(asked) == len(set(asked))
    assert module_file(wording.parse("rd.break")[0]) == ""


def test_a_report_is_taken_apart_and_a_panic_is_one():
    report = "@begin\n@file /proc/cmdline\na=1\n@end\n@absent /x 2\n@at 5\n@file /proc/interrupts\n CPU0 CPU1\nLOC: 1 2 Local\n\n@end\n"
    boot = parsed("Linux version", f"{report}@done\n", "tcg", 9.0, late=False)
    assert boot.ended == "done"
    assert boot.files["/proc/cmdline"] == "a=1"
    assert (boot.counted[0].at_ns, boot.counted[0].interrupts) == (5, {"LOC": {0: 1, 1: 2}})
    dead = parsed("x\nKernel panic - not syncing: System is deadlocked on memory\n", report, "tcg", 3.0, late=False)
    assert (dead.ended, dead.panic) == ("panic", "System is deadlocked on memory")
    assert parsed("x", report, "tcg", 60.0, late=True).ended == "timeout"
    assert parsed("x", "", "tcg", 1.0, late=False).ended == "died"


def test_a_known_word_with_a_bad_value_is_told_by_the_kernels_complaint():
    """The kernel lists it among the unknown ones as well."""
    log = (
        "Housekeeping: nohz_full= or isolcpus= incorrect CPU range\n"
        'Unknown kernel command line parameters "nohz_full=2-3n nohz_ful=2", will be passed to user space.\n'
    )
    known, unknown = verdicts("nohz_full=2-3n nohz_ful=2", {f"{DEVICES}/nohz_full": "(null)"}, log)
    assert "incorrect CPU range" in known.note
    assert "does not know" in unknown.note
