"""Apply, apply again, verify, revert: on every machine with every host profile."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from hftctl.errors import DamageFound, NotFound, Refused
from hftctl.operations.tune_verify import verify
from hftctl.tuning.host_profiles.catalog import PROFILES
from hftctl.tuning.places import as_kernel
from tests.hftctl.tuning.driving import ANYWAY, apply, plan, revert
from tests.hftctl.tuning.machines import MACHINES, SMALL, machine
from tests.hftctl.tuning.trees import STATE, Machine, build, snapshot

# The richest profile on every machine, every profile on the smallest one.
CASES = [*((name, "latency-extreme") for name in MACHINES), *(("small", profile) for profile in PROFILES)]
SMALL_BLS = replace(MACHINES["rhel-bls"], packages=1, cores_per_package=2)


@pytest.fixture
def small(tmp_path: Path) -> Path:
    return build(tmp_path / "small", SMALL)


def read(root: Path, path: str) -> str:
    return (root / path).read_text()


@pytest.mark.parametrize(("name", "profile"), CASES, ids=lambda one: one)
def test_every_profile_goes_on_stays_and_comes_off_every_machine(tmp_path: Path, name: str, profile: str) -> None:
    root = build(tmp_path / name, {"small": SMALL, **MACHINES}[name])
    before = snapshot(root)
    assert apply(root, profile).result == "ready"
    tuned = snapshot(root)
    assert tuned != before
    assert plan(root).plan.pending == ()
    assert apply(root, profile).result == "unchanged"
    assert snapshot(root) == tuned
    answers = {one.answer for one in verify(root).verdicts}
    assert answers <= {"ok", "pending-reboot"}
    assert revert(root).result == "ready"
    assert snapshot(root) == before
    assert revert(root).result == "unchanged"


@settings(deadline=None, max_examples=6, suppress_health_check=list(HealthCheck))
@given(some.lists(some.sampled_from(sorted(PROFILES)), min_size=1, max_size=4), some.sampled_from([SMALL, SMALL_BLS]))
def test_whatever_was_applied_in_whatever_order_a_revert_is_the_identity(
    tmp_path_factory: pytest.TempPathFactory, profiles: list[str], kind: Machine
) -> None:
    root = build(tmp_path_factory.mktemp("host") / "a", kind)
    before = snapshot(root)
    for profile in profiles:
        assert apply(root, profile).result in {"ready", "unchanged"}
        assert plan(root).plan.pending == ()
    last = snapshot(root)
    alone = build(tmp_path_factory.mktemp("alone") / "a", kind)
    apply(alone, profiles[-1])
    assert last == snapshot(alone), "what an earlier profile wanted is gone"
    revert(root)
    assert snapshot(root) == before


def test_the_first_pre_image_is_what_a_revert_leads_back_to(small: Path) -> None:
    for profile in ("latency", "virtual-machine", "latency"):
        apply(small, profile)
    (small / "proc/sys/net/core/rmem_max").write_text("1\n")  # somebody's sysctl -w
    assert [one.subject for one in verify(small).bad if one.answer == "drift"] == ["kernel:/proc/sys/net/core/rmem_max"]
    apply(small)
    revert(small)
    assert read(small, "proc/sys/net/core/rmem_max") == "212992\n"


def test_a_file_that_somebody_edited_is_told_and_left(small: Path) -> None:
    before = snapshot(small)
    apply(small, "latency")
    edited = small / "etc/default/irqbalance"
    edited.write_text(read(small, "etc/default/irqbalance") + "IRQBALANCE_ARGS=--foo\n")
    ours = edited.read_text()
    with pytest.raises(Refused, match="foreign-edit"):
        (small / "etc/default/irqbalance").write_text(ours.replace("BANNED_CPULIST=1", "BANNED_CPULIST=2"))
        apply(small, "latency")
    edited.write_text(ours)
    result = revert(small)
    assert result.result == "failed"
    assert [one.partition(" ")[0] for one in result.left] == ["file:/etc/default/irqbalance"]
    assert edited.read_text() == ours
    assert revert(small, forced=("foreign-edit",)).result == "ready"
    assert snapshot(small) == before


def test_a_forced_apply_over_an_edit_makes_the_edit_what_a_revert_leads_back_to(small: Path) -> None:
    apply(small, "latency")
    edited = small / "etc/default/irqbalance"
    edited.write_text("IRQBALANCE_BANNED_CPULIST=2\n")
    apply(small, "latency", forced=("foreign-edit",))
    assert edited.read_text() == "IRQBALANCE_BANNED_CPULIST=1,3\n"
    revert(small)
    assert edited.read_text() == "IRQBALANCE_BANNED_CPULIST=2\n"


def test_ostree_hands_on_its_entries_and_a_later_deployment_loses_our_words_too(tmp_path: Path) -> None:
    root = machine(tmp_path, "ostree")
    before = read(root, "boot/loader/entries/ostree-1.conf")
    result = apply(root, "latency")
    assert (result.result, result.before_reboot) == ("ready", "")
    changed = read(root, "boot/loader/entries/ostree-1.conf")
    assert "root=UUID=5c1e isolcpus=managed_irq,domain," in changed
    assert not (root / "etc/kernel/cmdline").exists()
    later = root / "boot/loader/entries/ostree-2.conf"  # an upgrade: its options are those of the one before
    later.write_text(changed.replace("boot.1", "boot.0"))
    assert plan(root).plan.pending == ()
    revert(root)
    assert read(root, "boot/loader/entries/ostree-1.conf") == before
    assert later.read_text() == before.replace("boot.1", "boot.0")


def test_a_boot_image_that_holds_the_command_line_is_built_by_hand(tmp_path: Path) -> None:
    root = machine(tmp_path, "unified-image")
    result = apply(root, "latency")
    assert "kernel-install add-all" in result.before_reboot
    assert "nohz_full=" in read(root, "etc/kernel/cmdline")
    (root / "proc/cmdline").write_text(read(root, "etc/kernel/cmdline"))
    assert "kernel-install add-all" in revert(root).before_reboot
    assert read(root, "etc/kernel/cmdline") == "root=PARTUUID=8f3a rw\n"


def test_a_card_goes_to_its_program_and_comes_back(small: Path) -> None:
    before = snapshot(small)
    result = apply(small, "latency-extreme", bind=("ens2f0",))
    assert result.result == "ready"
    assert read(small, "sys/bus/pci/devices/0000:3b:00.0/driver_override") == "vfio-pci\n"
    assert read(small, "sys/bus/pci/devices/0000:3b:00.0/driver").endswith("/vfio-pci\n")
    assert not [one.subject for one in result.plan.pending if "ens2f0" in one.subject], (
        "what it had as the kernel's is left alone"
    )
    shutil.rmtree(small / "sys/class/net/ens2f0")  # as a kernel does it
    lines = small / "proc/interrupts"
    lines.write_text("".join(line for line in read(small, "proc/interrupts").splitlines(True) if "ens2f0" not in line))
    assert plan(small).plan.pending == ()
    assert apply(small).result == "unchanged"
    (small / "sys/bus/pci/devices/0000:3b:00.0/driver_override").write_text("(null)\n")
    (small / "sys/bus/pci/devices/0000:3b:00.0/driver").write_text("../../../bus/pci/drivers/ice\n")
    assert [one.subject for one in verify(small).bad if one.answer == "drift"] == ["driver:0000:3b:00.0"]
    assert apply(small, boot=True).result == "ready", "a start binds it again"
    assert revert(small).result == "ready"
    after = snapshot(small)
    gone = {path for path in {*before, *after} if before.get(path) != after.get(path)}
    assert {path for path in gone if "net/ens2f0" not in path} == {"proc/interrupts"}


def test_a_partition_of_other_cpus_takes_the_place_of_the_first(small: Path) -> None:
    before = snapshot(small)
    group = small / "sys/fs/cgroup/hft.slice"
    apply(small, "latency-extreme")
    assert ((group / "cpuset.cpus").read_text(), (group / "cpuset.cpus.partition").read_text()) == ("1\n", "isolated\n")
    apply(small, "latency-extreme", isolate="1,3", forced=(*ANYWAY, "sibling-split"))
    assert (group / "cpuset.cpus").read_text() == "1,3\n"
    (group / "cpuset.cpus.partition").write_text("isolated invalid (Cpu list in cpuset.cpus not exclusive)\n")
    said = {one.subject: one for one in verify(small).bad}["partition:hft.slice"]
    assert (said.answer, "not exclusive" in said.message) == ("drift", True)
    (group / "cpuset.cpus.partition").write_text("isolated\n")
    revert(small)
    assert snapshot(small) == before


def test_each_cpu_sends_by_a_queue_of_its_own_while_there_are_enough(tmp_path: Path) -> None:
    root = machine(tmp_path, "intel-one-socket")  # 16 CPUs, a card of 8 queues
    apply(root, "latency")
    masks = [int(read(root, f"sys/class/net/ens2f0/queues/tx-{queue}/xps_cpus"), 16) for queue in range(8)]
    assert sum(masks) == 0xFFFF
    assert all(mask.bit_count() == 2 for mask in masks), "no CPU twice, no queue more than another"


def test_a_grub_cfg_that_update_grub_wrote_anew_loses_our_words_and_nothing_else(small: Path) -> None:
    apply(small, "latency")
    config = small / "boot/grub/grub.cfg"
    config.write_text(config.read_text().replace("set default=", "# a newer kernel\nset default="))
    assert "nohz_full=1,3" in config.read_text()
    assert revert(small).result == "ready"
    assert "nohz_full" not in config.read_text()
    assert "# a newer kernel" in config.read_text()


def test_an_entry_of_a_kernel_that_came_later_loses_our_words_too(tmp_path: Path) -> None:
    root = machine(tmp_path, "rhel-bls")
    apply(root, "latency")
    entries = root / "boot/loader/entries"
    first = next(entries.iterdir())
    later = entries / "4c1d-5.14.0-600.conf"
    later.write_text(first.read_text())
    assert plan(root).plan.pending == ()
    revert(root)
    assert later.read_text() == first.read_text()
    assert "isolcpus" not in later.read_text()


def test_more_huge_pages_than_a_node_can_spare_are_refused_before(small: Path) -> None:
    meminfo = small / "sys/devices/system/node/node0/meminfo"
    meminfo.write_text(f"Node 0 MemTotal: {16 << 20} kB\nNode 0 MemFree: {3 << 20} kB\n")
    before = snapshot(small)
    with pytest.raises(Refused, match="1433 MiB to spare, 2048 MiB more would be taken"):
        apply(small, "latency")
    assert snapshot(small) == before


def test_a_short_grant_of_huge_pages_takes_everything_back(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel takes the number, says nothing, and grants 700."""
    take = as_kernel.take
    short = lambda host, where, value: take(host, where, str(min(int(value), 700)) if "nr_huge" in where else value)  # noqa: E731
    monkeypatch.setattr(as_kernel, "take", short)
    before = snapshot(small)
    result = apply(small, "latency")
    assert result.result == "reverted"
    assert "1024 huge pages of 2048 KiB were asked for and 700 granted" in result.cause
    assert snapshot(small) == before


def test_what_the_kernel_refuses_takes_everything_back(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A value that is accepted and reads otherwise: the kernel's way of saying no."""
    shown = as_kernel.shown
    lies = lambda where, before, value: before if where.endswith("tcp_autocorking") else shown(where, before, value)  # noqa: E731
    monkeypatch.setattr(as_kernel, "shown", lies)
    before = snapshot(small)
    result = apply(small, "latency")
    assert result.result == "reverted"
    assert "tcp_autocorking" in result.cause
    assert snapshot(small) == before


def test_interrupts_that_the_kernel_manages_are_left_and_not_tried_again(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    take, tried = as_kernel.take, []

    def managed(host, where, value):
        if "/proc/irq/9/" in where:
            tried.append(value)
            raise OSError(1, "Operation not permitted", where)
        take(host, where, value)

    monkeypatch.setattr(as_kernel, "take", managed)
    assert apply(small, "latency").result == "ready"
    assert plan(small).plan.pending == ()
    assert len(tried) == 1
    assert [one.subject for one in verify(small).verdicts if one.answer == "unsupported"] == ["interrupt:nvme0q0"]
    assert revert(small).result == "ready"


def test_what_a_driver_cannot_do_is_left_and_not_tried_again(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a kernel answers for a card whose driver has no NAPI to make threads for."""
    take, tried = as_kernel.take, []

    def without(host, where, value):
        if where.endswith("eno1/threaded"):
            tried.append(value)
            raise OSError(95, "Operation not supported", where)
        take(host, where, value)

    monkeypatch.setattr(as_kernel, "take", without)
    before = snapshot(small)
    assert apply(small, "throughput").result == "ready"
    assert plan(small).plan.pending == ()
    assert len(tried) == 1
    assert read(small, "sys/class/net/ens2f0/threaded") == "1\n"
    left = [one.subject for one in verify(small).verdicts if one.answer == "unsupported"]
    assert left == ["kernel:/sys/class/net/eno1/threaded"]
    assert revert(small).result == "ready"
    assert snapshot(small) == before


def test_values_of_memory_that_a_boot_set_anew_are_not_called_an_edit(small: Path) -> None:
    apply(small, "latency")
    (small / "proc/sys/kernel/random/boot_id").write_text("99999999-2222-3333-4444-555555555555\n")
    (small / "proc/sys/vm/stat_interval").write_text("7\n")  # another kernel, another default
    assert revert(small).result == "ready"
    assert read(small, "proc/sys/vm/stat_interval") == "7\n"
    assert read(small, "proc/sys/net/core/rmem_max") == "212992\n"


def test_a_start_writes_again_what_no_file_keeps(small: Path) -> None:
    apply(small, "latency")
    tuned = snapshot(small)
    affinity = small / "proc/irq/8/smp_affinity_list"
    affinity.write_text("0-3\n")
    (small / "proc/sys/kernel/random/boot_id").write_text("99999999-2222-3333-4444-555555555555\n")
    tuned["proc/sys/kernel/random/boot_id"] = snapshot(small)["proc/sys/kernel/random/boot_id"]
    assert apply(small, boot=True).result == "ready"
    assert snapshot(small) == tuned
    assert apply(small, boot=True).result == "unchanged"


def test_a_start_leaves_files_alone_whoever_edited_them(small: Path) -> None:
    apply(small, "latency")
    (small / "etc/default/irqbalance").write_text("IRQBALANCE_BANNED_CPULIST=2\n")
    (small / "etc/sysctl.conf").write_text("vm.swappiness = 99\n")
    (small / "proc/irq/8/smp_affinity_list").write_text("0-3\n")
    assert apply(small, boot=True).result == "ready"
    assert read(small, "proc/irq/8/smp_affinity_list") == "0,2\n"
    assert read(small, "etc/default/irqbalance") == "IRQBALANCE_BANNED_CPULIST=2\n"
    assert [one.partition(" ")[0] for one in revert(small).left] == ["file:/etc/default/irqbalance"], "it is remembered"


def test_a_start_without_a_profile_does_nothing(small: Path) -> None:
    before = snapshot(small)
    assert apply(small, boot=True).cause == "nothing is applied on this host"
    assert snapshot(small) == before


def test_nothing_is_verified_where_nothing_is_applied(small: Path) -> None:
    with pytest.raises(NotFound, match="no host profile is applied"):
        verify(small)


def test_a_damaged_ledger_is_named_and_nothing_is_written(small: Path) -> None:
    apply(small, "latency")
    ledger = small / STATE / "ledger"
    ledger.write_text(ledger.read_text().replace("212992", "212993"))
    tuned = snapshot(small)
    for command in (apply, revert, plan):
        with pytest.raises(DamageFound, match="checksum"):
            command(small)
    assert snapshot(small) == tuned


def test_the_words_of_the_next_boot_are_pending_until_they_are_in_effect(small: Path) -> None:
    result = apply(small, "latency")
    assert "nohz_full=1,3" in result.reboot
    pending = {one.subject for one in verify(small).verdicts if one.answer == "pending-reboot"}
    assert "parameter:nohz_full=1,3" in pending
    (small / "proc/cmdline").write_text("root=x " + " ".join(result.reboot))
    (small / "sys/devices/system/cpu/isolated").write_text("1,3\n")
    answers = {one.subject: one for one in verify(small).verdicts}
    assert answers["parameter:isolcpus=managed_irq,domain,1,3"].answer == "ok"
    assert answers["parameter:nohz_full=1,3"].answer == "not-effective", "the word is there, and the kernel dropped it"
    (small / "var/log").mkdir(parents=True, exist_ok=True)
    (small / "var/log/dmesg").write_text(
        '[    0.01] Unknown kernel command line parameters "skew_tick=1", will be passed\n'
    )
    assert {one.subject: one.answer for one in verify(small).verdicts}["parameter:skew_tick=1"] == "not-effective"


def test_a_journal_tells_each_place_before_it_is_touched(small: Path) -> None:
    apply(small, "latency")
    entries = [json.loads(line) for line in read(small, f"{STATE}/journal").splitlines()]
    begin, *steps, end = entries
    assert (begin["entry"], begin["verb"], end["result"]) == ("begin", "apply", "ready")
    assert [one["entry"] for one in steps] == ["intent", "outcome"] * len(begin["changes"])
