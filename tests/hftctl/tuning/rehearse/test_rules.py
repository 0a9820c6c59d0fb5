"""What is found without a boot, one case per rule; and what is not."""

from __future__ import annotations

import pytest

from hftctl.tuning.rehearse import words as wording
from hftctl.tuning.rehearse.rules import examine
from hftctl.tuning.rehearse.shape import GIB, even

HOST = even(8, 2, 16 * GIB)
WITH = {"NO_HZ_FULL": "y", "RCU_NOCB_CPU": "y"}
GOOD = "isolcpus=managed_irq,domain,2-3,6-7 nohz_full=2-3,6-7 rcu_nocbs=2-3,6-7 irqaffinity=0-1,4-5"


def codes(line, config=WITH):
    return [found.code for found in examine(wording.parse(line), HOST, config)]


@pytest.mark.parametrize(
    "line",
    [
        GOOD,
        f"{GOOD} hugepagesz=1G hugepages=0:2,1:2 transparent_hugepage=never skew_tick=1 rcutree.kthread_prio=11 ro quiet",
        "BOOT_IMAGE=/vmlinuz root=/dev/vda1 ro console=ttyS0 systemd.cpu_affinity=0",
        "rcu_nocbs=all nohz_full=2-3",
        "isolcpus=5-N nohz_full=5-7:1/2",
    ],
)
def test_good_lines_have_no_findings(line):
    assert codes(line) == []


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("nohz_full=0-3", "cpu0-isolated"),
        ("isolcpus=domain,0,2", "cpu0-isolated"),
        ("isolcpus=0-7", "all-isolated"),
        ("nohz_full=0-7", "all-isolated"),
        ("nohz_full=2-3n", "bad-range"),
        ("isolcpus=3-2", "bad-range"),
        ("irqaffinity=", "bad-range"),
        ("nohz_full=2-9", "absent-cpu"),
        ("isolcpus=domian,2-3", "bad-flag"),
        ("isolated_cores=2-3", "unknown-parameter"),
        ("nohz_ful=2-3", "unknown-parameter"),
        ("isolcpus=4-7", "node-without-housekeeping"),
        ("isolcpus=2-3 irqaffinity=0-2", "irq-on-isolated"),
        ("hugepagesz=2M hugepages=5000", "huge-pages-over"),
        ("hugepagesz=1G hugepages=1:9", "huge-pages-over"),
        ("hugepagesz=2M hugepages=2:10", "absent-node"),
        (f"{GOOD} {'quiet ' * 400}", "too-long"),
    ],
)
def test_each_rule_finds_its_case(line, code):
    assert code in codes(line)


def test_the_kernels_configuration_counts_where_it_is_known():
    assert codes(GOOD, {"HZ": "250"}) == ["no-nohz-full", "no-rcu-nocb"]
    assert codes(GOOD, {}) == []


def test_what_only_a_rehearsal_can_tell_says_so():
    (guess,) = examine(wording.parse("nohz_ful=2-3"), HOST, WITH)
    assert not guess.sure
    assert "nohz_full is meant?" in guess.message
    (known,) = examine(wording.parse("isolated_cores=2-3"), HOST, WITH)
    assert known.sure
    assert "isolcpus is meant" in known.message
