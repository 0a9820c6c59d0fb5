"""What a profile needs of its machine is checked before a deploy."""

from __future__ import annotations

from pathlib import Path

from hftctl.operations.host_contract import findings
from hftctl.profile.schema import Profile
from hftctl.tuning.host_profiles.catalog import PROFILES
from tests.hftctl.tuning.machines import machine


def test_each_need_is_looked_for_on_this_host(tmp_path: Path) -> None:
    root = machine(tmp_path, "vm")
    found = {one.subject: one for one in findings({"host": {"needs": ["avx2", "numa", "dpdk"]}}, root)}
    assert found["needs avx2"].level == "ok"
    assert (
        found["needs numa"].message
        == "the profile needs numa, and this host has one memory node: there is nothing to place"
    )
    assert "no card to spare: ens3 carries the default route" in found["needs dpdk"].message
    assert found["needs dpdk"].level == "problem"


def test_nothing_is_looked_at_where_nothing_is_needed(tmp_path: Path) -> None:
    assert list(findings({}, tmp_path / "nowhere")) == []
    assert list(findings({"host": {"needs": []}}, tmp_path / "nowhere")) == []


def test_a_profile_can_name_every_host_profile_and_no_other() -> None:
    schema = Profile.model_json_schema()["$defs"]["Host"]["properties"]["profile"]["enum"]
    assert set(schema) == {"", *PROFILES}
