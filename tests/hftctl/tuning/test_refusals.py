"""Every reason not to tune a host, each with its one code; and --force names exactly one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from hftctl.errors import Refused, UsageError
from hftctl.operations import tune_apply, tune_plan
from hftctl.operations.tune_plan import Asked
from hftctl.tuning import refusals
from hftctl.tuning.facts.surroundings import SECURE_BOOT
from tests.hftctl.tuning.machines import KUBELET, MACHINES, SMALL, UNIFIED
from tests.hftctl.tuning.trees import Card, build, snapshot

CASES = {
    "cpu-absent": (SMALL, "1,9", {}),
    "cpu0-isolated": (SMALL, "0,2", {}),
    "all-isolated": (SMALL, "0-3", {}),
    "node-without-housekeeping": (MACHINES["amd-two-socket"], "16-31,48-63", {}),
    "too-few-housekeeping": (replace(SMALL, cores_per_package=32, threads=1), "1-31", {}),
    "sibling-split": (SMALL, "3", {}),
    "unsteady-clock": (SMALL, "", {"proc/cpuinfo": "processor: 0\nvendor_id: GenuineIntel\nflags: pdpe1gb constant_tsc\n"}),
    "argument-conflict": (SMALL, "", {"boot/grub/grub.cfg": "linux /vmlinuz root=x isolcpus=2 quiet\n"}),
    "command-line-too-long": (SMALL, "", {"boot/grub/grub.cfg": f"linux /vmlinuz root=x a={'b' * 2000}\n"}),
    "boot-loader-unsupported": (replace(SMALL, files={**SMALL.files, "run/ostree-booted": ""}), "", {}),
    "secure-boot": (replace(SMALL, files=UNIFIED), "", {SECURE_BOOT.lstrip("/"): "\6\0\0\0\1"}),
    "update-staged": (MACHINES["ostree"], "", {"run/ostree/staged-deployment": ""}),
    "thermal": (SMALL, "", {"sys/devices/system/cpu/cpu0/thermal_throttle/package_throttle_count": "12"}),
    "owned-elsewhere": (replace(SMALL, services=("tuned",)), "", {}),
    "on-battery": (SMALL, "", {"sys/class/power_supply/BAT0/type": "Battery"}),
    "overruled": (SMALL, "", {"etc/sysctl.conf": "net.core.rmem_max=1\nnet.core.rmem_max = 2\n"}),
    "memory-short": (replace(SMALL, memory_gib=2), "", {}),
    "plan-only": (SMALL, "", {".dockerenv": ""}),
}  # fmt: skip


@pytest.mark.parametrize("code", CASES)
def test_each_reason_refuses_alone_and_by_its_code(tmp_path: Path, code: str) -> None:
    machine, isolate, files = CASES[code]
    root = build(tmp_path / "host", machine)
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    before = snapshot(root)
    found = tune_plan.plan(root, Asked("latency", isolate)).refusals
    one = next(one for one in found if one.code == code)
    assert one.message
    assert one.fix
    others = tuple(other.code for other in found if other.code != code)
    asked = Asked("latency", isolate, forced=others)
    if [other for other in found if other.code != code and not other.forceable]:
        return
    with pytest.raises(Refused, match=code):
        tune_apply.apply(root, asked, confirm=lambda _made: True)
    assert snapshot(root) == before
    forced = tune_plan.plan(root, replace(asked, forced=(*others, code)))
    assert bool(forced.against) is not one.forceable


def test_a_card_that_keeps_us_connected_is_not_taken_down(tmp_path: Path) -> None:
    card = Card("eno1", "igb", "0000:02:00.0", 0, 1, default_route=True, tables={"rings": {"rx": 256, "tx": 256}})
    from hftctl.plan.change import Change, Op, Plan

    root = build(tmp_path / "host", replace(SMALL, cards=(card,)))
    made = tune_plan.plan(root, Asked("latency"))
    change = Change("nic:eno1/rings", Op.UPDATE, {"rx": 256}, {"rx": 512}, "")
    from hftctl.tuning.setting import Setting

    setting = Setting("nic:eno1/rings", {"rx": 512}, "", disruptive="the link goes down")
    wish = replace(made.wanted, settings=(*made.wanted.settings, setting))
    at = type("At", (), {"facts": made.facts})()
    assert [one.code for one in refusals._cards(at, wish, Plan((change,)))] == ["management-nic"]


def test_a_running_kubelet_is_not_reconfigured(tmp_path: Path) -> None:
    root = build(
        tmp_path / "host",
        replace(SMALL, services=("kubelet",), files={**SMALL.files, "var/lib/kubelet/config.yaml": KUBELET}),
    )
    found = {one.code: one for one in tune_plan.plan(root, Asked("kubernetes-node")).refusals}
    assert "kubectl drain host" in found["kubelet-running"].fix


@pytest.mark.parametrize(
    ("card", "files", "code"),
    [
        ("ens2f0", {}, ""),
        ("0000:3b:00.0", {"sys/kernel/iommu_groups/7/devices/0000:02:00.0": ""}, "iommu-group-shared"),
        ("eno1", {}, "management-nic iommu-off"),
        ("ens2f0", {"proc/net/route": "Iface\nens2f0\t0000A8C0\t0\t0\t0\t0\t0\t0\t0\n"}, "card-in-use"),
        ("ens2f0", {"sys/bus/pci/devices/0000:3b:00.0/iommu_group": "x"}, "iommu-off"),
    ],
)
def test_a_card_that_cannot_be_given_away_as_it_is(tmp_path: Path, card: str, files: dict[str, str], code: str) -> None:
    root = build(tmp_path / "host", SMALL)
    for path, text in files.items():
        (root / path).write_text(text)
    made = tune_plan.plan(root, Asked("latency", bind=(card,)))
    found = {one.code for one in made.refusals}
    assert found == set(code.split())
    if code == "iommu-off":
        assert "driver:0000:3b:00.0" not in made.wanted.state, "after the reboot"
        assert {"intel_iommu=on", "iommu=pt"} <= {one.text for one in made.wanted.arguments}
    for one in found:
        with pytest.raises(Refused, match=one):
            tune_apply.apply(
                root, Asked("latency", bind=(card,), forced=tuple(found - {one})), confirm=lambda _made: True
            )


def test_pages_at_boot_that_would_end_in_a_panic(tmp_path: Path) -> None:
    root = build(tmp_path / "host", replace(SMALL, memory_gib=3))
    assert "boot-pages-too-many" in [one.code for one in tune_plan.plan(root, Asked("latency-extreme")).refusals]


@pytest.mark.parametrize("users", ["         0     100000      65536\n", "0 0 1\n"])
def test_a_container_without_marks_is_known_by_its_users(tmp_path: Path, users: str) -> None:
    root = build(tmp_path / "host", SMALL)
    (root / "proc/self/ns").mkdir(parents=True)
    (root / "proc/self/uid_map").write_text(users)
    (root / "proc/self/ns/pid").write_text("pid:[4026531836]\n")
    with pytest.raises(Refused, match=r"this is a container \(user namespace\): the kernel belongs to the host"):
        tune_apply.apply(root, Asked(), confirm=lambda _made: True)
    (root / "proc/self/uid_map").write_text("         0          0 4294967295\n")
    assert not tune_plan.plan(root, Asked()).facts.plan_only


def test_wsl_says_what_it_is(tmp_path: Path) -> None:
    root = build(tmp_path / "host", replace(SMALL, kernel="5.15.167.4-microsoft-standard-WSL2"))
    with pytest.raises(Refused, match="this is WSL: its kernel is started and configured by Windows"):
        tune_apply.apply(root, Asked(), confirm=lambda _made: True)


def test_a_code_that_does_not_exist_is_told(tmp_path: Path) -> None:
    root = build(tmp_path / "host", SMALL)
    with pytest.raises(UsageError, match="no refusal has the code 'everything'"):
        tune_plan.plan(root, Asked(forced=("everything",)))


def test_every_code_has_a_test() -> None:
    elsewhere = {
        "management-nic",
        "kubelet-running",
        "boot-pages-too-many",
        "foreign-edit",
        "card-in-use",
        "iommu-off",
        "iommu-group-shared",
    }
    assert set(CASES) | elsewhere == set(refusals.CODES)
