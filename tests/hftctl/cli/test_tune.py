"""hftctl tune on a tree: what is said, what the documents hold, how each command ends."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.hftctl.cli.conftest import Hftctl
from tests.hftctl.tuning.machines import SMALL
from tests.hftctl.tuning.trees import build, snapshot


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return build(tmp_path / "desk3", SMALL)


def test_a_host_from_facts_to_revert(root: Path, hftctl_: Hftctl) -> None:
    at = ("--root", str(root))
    before = snapshot(root)
    assert hftctl_("tune", "facts", *at, "-o", "json").document("TuneFacts")["facts"]["host_name"] == "desk3"
    assert "stands in       bare metal" in hftctl_("tune", "facts", *at).out
    planned = hftctl_("tune", "plan", "latency", *at, "-o", "json")
    assert planned.code == 3
    made = planned.document("TunePlan")
    assert (made["layout"]["isolated"], made["refused"]) == ([1, 3], [])
    assert {one["text"] for one in made["arguments"]} >= {"nohz_full=1,3"}
    assert snapshot(root) == before

    dry = hftctl_("tune", "apply", "latency", *at, "--dry-run", "-o", "json").document("TuneResult")
    assert (dry["result"], snapshot(root) == before) == ("planned", True)
    done = hftctl_("tune", "apply", "latency", *at, "--yes", "-o", "json")
    assert (done.code, done.document("TuneResult")["result"]) == (0, "ready")
    assert hftctl_("tune", "plan", *at).code == 0
    verified = hftctl_("tune", "verify", *at, "-o", "json")
    assert verified.code == 3
    assert {one["answer"] for one in verified.document("TuneVerification")["verdicts"]} == {"ok", "pending-reboot"}

    assert "ok              file:/boot/grub/grub.cfg" in hftctl_("tune", "verify", "--all", *at).out
    shown = hftctl_("tune", "show", *at, "-o", "json").document("TuneShow")
    assert (shown["profile"], shown["interrupted"]) == ("latency", "")
    (waiting,) = shown["bad"]
    assert waiting.startswith("a reboot is needed for isolcpus=managed_irq,domain,1,3 ")
    assert shown["remembered"] > 30
    back = hftctl_("tune", "revert", *at, "--yes")
    assert back.code == 0
    assert "places changed" in back.out
    assert snapshot(root) == before


def test_a_refusal_names_its_codes_and_how_to_force_them(root: Path, hftctl_: Hftctl) -> None:
    ended = hftctl_("tune", "apply", "latency", "--isolate", "3", "--root", str(root), "--yes", "-o", "json")
    assert ended.code == 7
    error = ended.document("Error")
    assert error["refusals"] == ["sibling-split"]
    assert "--force=sibling-split" in error["hint"]


def test_without_a_terminal_a_yes_is_needed(root: Path, hftctl_: Hftctl) -> None:
    ended = hftctl_("tune", "apply", "latency", "--root", str(root))
    assert ended.code == 2
    assert f"hftctl tune apply latency --root {root} --yes" in ended.err
    assert "isolated 1,3, housekeeping 0,2" in ended.err


def test_a_container_says_what_it_is(root: Path, hftctl_: Hftctl) -> None:
    (root / ".dockerenv").touch()
    assert hftctl_("tune", "plan", "--root", str(root)).code == 3
    ended = hftctl_("tune", "apply", "--root", str(root), "--yes")
    assert ended.code == 7
    assert "this is a container (docker): the kernel belongs to the host [plan-only]" in ended.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("plan", "fast"), "no host profile is named 'fast'; there are: latency,"),
        (("plan", "latncy"), "did you mean 'latency'?"),
        (("plan", "--force", "cpu0-isolate"), "did you mean 'cpu0-isolated'?"),
        (("plan", "--only", "magic"), "no knob is named 'magic'; there are: sysctl,"),
        (("plan", "--isolate", "2-3n"), "'2-3n' is no list of CPUs"),
        (("revert", "--force", "cpu0-isolated", "--yes"), "a revert can be forced over foreign-edit only"),
    ],
)
def test_what_is_typed_wrong_is_told(root: Path, hftctl_: Hftctl, words: tuple[str, ...], message: str) -> None:
    ended = hftctl_("tune", *words, "--root", str(root))
    assert ended.code == 2
    assert message in ended.err


def test_a_folder_that_is_not_there(hftctl_: Hftctl) -> None:
    assert hftctl_("tune", "plan", "--root", "/nowhere").code == 13


def test_what_was_captured_is_planned_like_the_host_itself(root: Path, tmp_path: Path, hftctl_: Hftctl) -> None:
    (root / "proc/1/environ").write_bytes(b"PASSWORD=secret\0container=\0")
    (root / "boot/grub/grub.cfg").chmod(0o600)
    copy = tmp_path / "copy"
    first = hftctl_("tune", "facts", "--root", str(root), "--capture", str(copy), "-o", "json").document("TuneFacts")
    assert hftctl_("tune", "facts", "--root", str(copy), "-o", "json").document("TuneFacts") == first
    plans = [
        hftctl_("tune", "plan", "latency-extreme", "--bind", "ens2f0", "--root", str(one), "-o", "json").document(
            "TunePlan"
        )
        for one in (root, copy)
    ]
    assert plans[0] == plans[1]
    assert [one["after"] for one in plans[1]["changes"] if one["subject"] == "driver:0000:3b:00.0"] == [
        {"driver": "vfio-pci", "override": "vfio-pci"}
    ]
    carry = [
        hftctl_("tune", "show", "--root", str(one), "-o", "json").document("TuneShow")["capabilities"]
        for one in (root, copy)
    ]
    assert carry[0] == carry[1]
    assert not [path for path in copy.rglob("*") if path.is_file() and b"secret" in path.read_bytes()]
    assert (copy / "boot/grub/grub.cfg").stat().st_mode & 0o077 == 0


def test_pods_that_share_their_cpus_are_named(root: Path, tmp_path: Path, hftctl_: Hftctl) -> None:
    file = tmp_path / "engine.yaml"
    file.write_text(
        "kind: Pod\nmetadata: {name: engine}\nspec: {containers: [{name: engine, resources: {limits: {cpu: 4}}}]}\n"
    )
    ended = hftctl_("tune", "pods", str(file), "--root", str(root))
    assert ended.code == 9
    assert "container 'engine': it has no memory limit: the pod is not Guaranteed" in ended.out
    assert "the kubelet's cpuManagerPolicy is none" in ended.out
    assert "0 of 1 pods get what they are meant to, on desk3" in ended.out
    file.write_text(file.read_text().replace("cpu: 4", "cpu: 4, memory: 1Gi"))
    (root / "var/lib/kubelet/config.yaml").unlink()
    body = hftctl_("tune", "pods", str(file), "--root", str(root), "-o", "json").document("TunePods")
    assert (body["bad"], body["node"], body["pods"][0]["cpus"]) == (0, "", 4)
    shown = hftctl_("tune", "pods", str(file), "--root", str(root)).out
    assert "engine: 4 CPUs of its own" in shown
    assert "by the manifest alone: there is no kubelet here" in shown
