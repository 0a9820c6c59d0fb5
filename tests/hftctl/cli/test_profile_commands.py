"""profile, build and doctor: their documents and exit codes."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from hftctl.operations import build as building
from hftctl.operations import machine
from hftctl.targets.base import Finding
from tests.hftctl.cli.conftest import SCHEMAS, Files, Hftctl


def test_list_names_the_shipped_profiles_and_who_they_are_for(hftctl_: Hftctl) -> None:
    found = {one["name"]: one for one in hftctl_("profile", "list", "-o", "json").document("ProfileList")["profiles"]}
    assert found["local"]["summary"].startswith("For the first hour")
    assert "local-partitions" in hftctl_("profile", "list").out


def test_show_tells_the_origin_of_each_value(hftctl_: Hftctl) -> None:
    document = hftctl_("profile", "show", "--environment", "production", "-o", "json").document("Profile")
    assert document["profile"]["authentication"] == "api_key"
    assert document["origins"]["authentication"]["file"].endswith("environments/production.yaml")
    assert document["origins"]["environment"] == {"file": "--environment", "line": 0}
    shown = hftctl_("profile", "show").out
    assert "ports.http" in shown
    assert "10 of them" in shown


def test_check_schema_and_docs(hftctl_: Hftctl) -> None:
    assert hftctl_("profile", "check", "-o", "json").document("ProfileCheck")["valid"] is True
    assert hftctl_("profile", "check").out.startswith("local is right: ")
    schema = hftctl_("profile", "schema", "-o", "json").document("ProfileSchema")["schema"]
    assert schema["additionalProperties"] is False
    keys = hftctl_("profile", "docs", "ports", "-o", "json").document("ProfileDocs")["keys"]
    assert [key["key"] for key in keys] == ["ports", "ports.http", "ports.binary", "ports.postgres", "ports.redis"]
    assert "ports.http: whole number, 1 to 65535; default 8080" in hftctl_("profile", "docs").out
    assert hftctl_("profile", "docs", "colour").code == 13


def test_import_refuses_without_a_yes_shows_on_a_dry_run_and_writes(hftctl_: Hftctl) -> None:
    Path("desk.toml").write_text("MAX_LATENCY_US = 100\ncolour = 'red'\n")
    words = ("profile", "import", "desk.toml", "--to", "desk.yaml")
    assert hftctl_(*words).code == 2
    assert "max_latency_us: 100" in hftctl_(*words, "--dry-run").out
    assert not Path("desk.yaml").exists()
    document = hftctl_(*words, "--yes", "-o", "json").document("ProfileImport")
    assert document["written"] is True
    assert [one["became"] for one in document["settings"]] == ["max_latency_us", ""]
    assert hftctl_("profile", "check", "desk.yaml").code == 0
    assert hftctl_(*words, "--yes").code == 7


def test_build_does_nothing_when_up_to_date(hftctl_: Hftctl, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(building, "stale", lambda: [])
    document = hftctl_("build", "-o", "json").document("Build")
    assert document["built"] is False
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    images = hftctl_("build", "--only", "images")
    assert images.code == 13
    assert "unix:///nowhere/docker.sock: No such file or directory" in images.err
    assert hftctl_("build", "--only", "wheels").code == 2


def test_doctor_prints_the_rights_of_a_pipeline_for_one_namespace(hftctl_: Hftctl) -> None:
    ended = hftctl_("doctor", "orbstack", "--print-rbac")
    assert ended.code == 0, ended.err
    role, cluster_role = yaml.safe_load_all(ended.out)
    assert role["metadata"]["namespace"] == "hftctl-orbstack"
    assert cluster_role["rules"][0]["resourceNames"] == ["kube-system", "hftctl-orbstack"]
    assert not any("*" in rule["verbs"] + rule["resources"] for rule in role["rules"] + cluster_role["rules"])
    assert hftctl_("doctor", "local", "--print-rbac").code == 2


def test_doctor_is_0_when_nothing_stops_a_deployment(
    target: type[Files], hftctl_: Hftctl, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "findings", lambda _: iter([Finding("warning", "cores", "2", "use more")]))
    monkeypatch.setattr("hftctl.operations.doctor.user_namespace", lambda: Finding("ok", "namespaces", "fine"))
    ended = hftctl_("doctor")
    assert (ended.code, "fix cores: use more" in ended.out) == (0, True)
    monkeypatch.setattr(Files, "fate", {"busy_ports": [8080]})
    ended = hftctl_("doctor", "-o", "json")
    assert (ended.code, ended.document("Doctor")["healthy"]) == (9, False)
    assert "hint: end nc" in hftctl_("doctor").err


def test_the_machine_is_looked_at_without_leaving_a_trace(tmp_path: Path) -> None:
    found = {finding.subject: finding for finding in machine.findings(tmp_path / "not" / "there")}
    assert {"python", "cores", "memory", "disk", "sync", "files"} <= set(found)
    assert "median" in found["sync"].message
    assert all(finding.fix for finding in found.values() if finding.level != "ok")
    assert list(tmp_path.iterdir()) == []


def test_every_kind_has_a_schema_that_names_it() -> None:
    import json

    for path in SCHEMAS.glob("*.json"):
        schema = json.loads(path.read_text())
        assert schema["properties"]["kind"] == {"const": path.stem}
        assert schema["description"]
