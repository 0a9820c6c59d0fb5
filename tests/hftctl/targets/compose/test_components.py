"""What a release becomes on a Docker engine, without one."""

import json

import pytest

from hftctl.operations.deploy import make_release
from hftctl.plan.diff import diff
from hftctl.profile.load import load
from hftctl.targets.compose import components, definition, names


def release(tag="abc", **changes):
    return make_release({**load("compose").values, **changes}, tag=tag)


def bodies(**changes):
    specs = components.desired(release(**changes))
    return {subject: components.rendered(subject, spec)[0] for subject, spec in specs.items()}


def test_every_service_of_the_compose_file_is_understood():
    for service in definition.services():
        assert definition.template(service)["HostConfig"]


def test_a_key_that_nothing_is_made_of_is_told(monkeypatch):
    monkeypatch.setattr(definition, "services", lambda: {"engine": {"privileged": True}})
    with pytest.raises(ValueError, match=r"services\.engine\.privileged is not understood"):
        definition.template("engine")


def test_subjects_come_in_order_of_dependency():
    subjects = list(components.desired(release(gateways=2)))
    assert subjects == ["postgres-0", "redis", "engine-0", "schema-0", "gateway-1", "gateway-2", "persister-0", "nginx"]
    assert components.order(reversed(subjects)) == subjects


def test_every_container_is_hardened():
    for subject, body in bodies().items():
        host = body["HostConfig"]
        assert host["CapDrop"] == ["ALL"], subject
        assert host["SecurityOpt"] == ["no-new-privileges:true"], subject
        assert host["ReadonlyRootfs"] is True, subject
        assert host["Memory"] == host["MemorySwap"] >= 128 << 20, subject
        assert host["PidsLimit"], subject
        assert body["User"].split(":")[0].isdigit(), subject
        assert body["User"].split(":")[0] != "0", subject
        assert "Env" not in body, "settings are files, and so are secrets"


def test_networks_part_the_door_from_the_data_and_the_engine_has_none():
    networks = {subject: body["HostConfig"]["NetworkMode"] for subject, body in bodies().items()}
    assert networks["nginx"] == "hftctl-compose-edge"
    assert networks["engine-0"] == "none"
    assert {networks[one] for one in ("postgres-0", "redis", "schema-0", "gateway-1", "persister-0")} == {
        "hftctl-compose-data"
    }


def test_only_nginx_publishes_a_port_and_only_on_loopback():
    published = {
        subject: body["HostConfig"]["PortBindings"]
        for subject, body in bodies().items()
        if "PortBindings" in body["HostConfig"]
    }
    assert published == {"nginx": {"8080/tcp": [{"HostIp": "127.0.0.1", "HostPort": "8080"}]}}


def test_a_binary_door_is_published_when_it_is_asked_for():
    body = bodies(binary_door=True)["engine-0"]
    assert body["HostConfig"]["PortBindings"] == {"50052/tcp": [{"HostIp": "127.0.0.1", "HostPort": "50052"}]}
    settings = components.desired(release(binary_door=True))["engine-0"]["settings"]
    assert settings["session_address"] == "0.0.0.0:50052"


def test_nobody_but_their_readers_sees_the_secrets():
    volumes = {
        subject: {mount["Source"] for mount in body["HostConfig"]["Mounts"]} for subject, body in bodies().items()
    }
    assert "hftctl-compose-secrets" not in volumes["nginx"]
    assert all("hftctl-compose-keys" not in found for found in volumes.values())


def test_each_engine_has_a_volume_of_its_own():
    two = [{"ranges": ["0-9", "A-M"], "symbols": []}, {"ranges": ["N-Z"], "symbols": []}]
    made = bodies(partitions=two)
    volumes = [{mount["Source"] for mount in made[f"engine-{number}"]["HostConfig"]["Mounts"]} for number in (0, 1)]
    assert "hftctl-compose-partition-0" in volumes[0]
    assert "hftctl-compose-partition-1" in volumes[1]
    assert made["engine-1"]["Cmd"][-1].startswith("../config/engine-1.")


def test_a_file_is_named_by_its_content_so_that_the_container_before_keeps_its_own():
    first, second = (components.desired(release(log_level=level))["gateway-1"] for level in ("info", "warning"))
    names_ = [next(iter(components.rendered("gateway-1", spec)[1])) for spec in (first, second)]
    assert names_[0] != names_[1]
    assert components.rendered("gateway-1", first)[0]["Cmd"][-1] == f"../config/{names_[0]}"


def test_a_plan_names_the_setting_that_changes_and_how():
    before, after = (components.desired(release(log_level=level, gateways=1)) for level in ("info", "warning"))
    causes = {change.subject: change.cause for change in diff(after, before).pending}
    assert causes["gateway-1"] == "settings.log_level info -> warning (start-first)"
    assert causes["engine-0"] == "settings.log_level info -> warning (stop-first)"
    assert set(causes) == {"engine-0", "gateway-1", "persister-0"}


def test_another_image_replaces_what_is_made_of_it_and_nothing_else():
    changed = {
        one.subject
        for one in diff(components.desired(release("new", gateways=1)), components.desired(release(gateways=1))).pending
    }
    assert changed == {"engine-0", "schema-0", "gateway-1", "persister-0"}


def test_nginx_loads_a_new_configuration_and_keeps_its_container():
    one, two = (components.desired(release(gateways=count))["nginx"] for count in (1, 2))
    assert one != two
    assert components.digest(one) == components.digest(two)
    gateway = components.desired(release(log_level="debug"))["gateway-1"]
    assert components.digest(gateway) != components.digest(components.desired(release())["gateway-1"])


def test_specs_are_plain_json_and_hold_no_path_of_this_machine():
    text = json.dumps(components.desired(release()))
    assert "/work" not in text
    assert "/home" not in text
    assert json.loads(text) == components.desired(release())


def test_the_kind_of_a_subject():
    assert [names.kind(one) for one in ("engine-0", "redis", "gateway-12")] == ["engine", "redis", "gateway"]
