"""What a release becomes on a Docker engine, without one."""

import json
import re

import pytest

from hftctl.operations.deploy import make_release
from hftctl.plan.diff import diff
from hftctl.profile.load import load
from hftctl.targets.compose import canary as canaries
from hftctl.targets.compose import components, definition, names


def release(tag="abc", **changes):
    return make_release({**load("compose").values, **changes}, tag=tag)


def bodies(**changes):
    specs = components.desired(release(**changes), 2)
    return {subject: components.rendered(subject, spec)[0] for subject, spec in specs.items()}


def test_every_service_of_the_compose_file_is_understood():
    for service in definition.services():
        assert definition.template(service)["HostConfig"]


def test_a_key_that_nothing_is_made_of_is_told(monkeypatch):
    monkeypatch.setattr(definition, "services", lambda: {"engine": {"privileged": True}})
    with pytest.raises(ValueError, match=r"services\.engine\.privileged is not understood"):
        definition.template("engine")


def test_subjects_come_in_order_of_dependency():
    subjects = list(components.desired(release(gateways=2), 2))
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


def test_what_docker_itself_ended_is_started_again_and_a_job_is_not():
    policies = {subject: body["HostConfig"]["RestartPolicy"]["Name"] for subject, body in bodies(gateways=1).items()}
    assert policies.pop("schema-0") == "no"
    assert set(policies.values()) == {"always"}


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
    settings = components.desired(release(binary_door=True), 2)["engine-0"]["settings"]
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
    first, second = (components.desired(release(log_level=level), 2)["gateway-1"] for level in ("info", "warning"))
    names_ = [next(iter(components.rendered("gateway-1", spec)[1])) for spec in (first, second)]
    assert names_[0] != names_[1]
    assert components.rendered("gateway-1", first)[0]["Cmd"][-1] == f"../config/{names_[0]}"


def test_a_plan_names_the_setting_that_changes_and_how():
    before, after = (components.desired(release(log_level=level, gateways=1), 2) for level in ("info", "warning"))
    causes = {change.subject: change.cause for change in diff(after, before).pending}
    assert causes["gateway-1"] == "settings.log_level info -> warning (start-first)"
    assert causes["engine-0"] == "settings.log_level info -> warning (stop-first)"
    assert set(causes) == {"engine-0", "gateway-1", "persister-0"}


def test_another_image_replaces_what_is_made_of_it_and_nothing_else():
    changed = {
        one.subject
        for one in diff(
            components.desired(release("new", gateways=1), 2), components.desired(release(gateways=1), 2)
        ).pending
    }
    assert changed == {"engine-0", "schema-0", "gateway-1", "persister-0"}


def test_nginx_loads_a_new_configuration_and_keeps_its_container():
    one, two = (components.desired(release(gateways=count), 2)["nginx"] for count in (1, 2))
    assert one != two
    assert components.digest(one) == components.digest(two)
    gateway = components.desired(release(log_level="debug"), 2)["gateway-1"]
    assert components.digest(gateway) != components.digest(components.desired(release(), 2)["gateway-1"])


def test_specs_are_plain_json_and_hold_no_path_of_this_machine():
    text = json.dumps(components.desired(release(), 2))
    assert "/work" not in text
    assert "/home" not in text
    assert json.loads(text) == components.desired(release(), 2)


def test_the_kind_of_a_subject():
    assert [names.kind(one) for one in ("engine-0", "redis", "gateway-12")] == ["engine", "redis", "gateway"]


def canary(percent, *, gateways=4, processors=8, **changes):
    wanted = {**load("compose").values["rollout"], "canary": [5, 50, 100]}
    before, after = release("old", gateways=gateways), release("new", gateways=gateways, rollout=wanted, **changes)
    return canaries.beside(after, before, percent, processors)


def weights(spec):
    """Of each socket in nginx's upstream: its weight over all entries, 0 for those that stand by."""
    found = {}
    for line in spec["files"]["nginx.conf"]:
        if seen := re.search(r"server unix:(\S+?)\.sock(?: weight=(\d+))? max_fails=0( backup)?;", line):
            found[seen[1]] = found.get(seen[1], 0) + (0 if seen[3] else int(seen[2] or 1))
    return found


def test_a_canary_has_as_many_gateways_and_requests_as_its_baseline():
    found = canary(5)
    assert list(found) == ["baseline-1", "baseline-2", "canary-1", "canary-2", "nginx"]
    assert [found[name]["image"].rpartition(":")[2] for name in ("baseline-1", "canary-2")] == ["old", "new"]
    share = weights(found["nginx"])
    total = sum(share.values())
    assert share["canary-1"] + share["canary-2"] == share["baseline-1"] + share["baseline-2"] == total * 5 / 100
    assert sum(share[f"gateway-{number}"] for number in range(1, 5)) == total * 90 / 100


def test_at_half_the_gateways_that_stand_are_there_for_when_both_fail():
    share = weights(canary(50)["nginx"])
    assert {name for name, weight in share.items() if not weight} == {f"gateway-{number}" for number in range(1, 5)}
    assert share["canary-1"] == share["baseline-2"] > 0


def test_a_canary_is_a_gateway_with_a_socket_of_its_own():
    found = canary(5, processors=2)
    assert list(found) == ["baseline-1", "canary-1", "nginx"], "one takes requests on two processors"
    body, files = components.rendered("canary-1", found["canary-1"])
    settings = json.loads(next(iter(files.values())))
    assert (settings["component"], settings["socket"]) == ("canary-1", "canary-1.sock")
    assert body["Cmd"][-1].endswith(next(iter(files)))
    assert body["HostConfig"]["Memory"] == bodies()["gateway-1"]["HostConfig"]["Memory"]
    assert components.order(found) == list(found)


def test_the_door_of_a_canary_is_a_reload_of_the_one_that_stands():
    door = components.desired(release("old", gateways=4), 8)["nginx"]
    assert components.digest(canary(5)["nginx"]) == components.digest(door)
    assert canary(5)["nginx"]["edge"] not in {door["edge"], canary(50)["nginx"]["edge"]}
