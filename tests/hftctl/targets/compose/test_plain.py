"""Files for plain `docker compose`, of any profile: what the hand-written file has, as often as the profile says."""

import hashlib

import pytest
import yaml

from hftctl.operations.deploy import make_release
from hftctl.profile.load import load
from hftctl.targets.compose import definition, plain
from stack.images import secrets_once

TWO = [{"ranges": ["0-9", "A-M"], "symbols": []}, {"ranges": ["N-Z"], "symbols": []}]


def made(**changes):
    release = make_release({**load("compose").values, **changes}, tag="abc")
    return {name: yaml.safe_load(text) for name, text in plain.files(release, 8).items()}


def test_one_of_each_is_the_hand_written_file_with_its_images_named():
    found = made(gateways=1)["compose.yaml"]["services"]
    written = definition.services()
    assert {name.removesuffix("-0").removesuffix("-1") for name in found} == set(written)
    for name, service in found.items():
        other = written[name.removesuffix("-0").removesuffix("-1")]
        for key in set(other) - {"image", "depends_on", "ports", "configs"}:
            assert service[key] == other[key], f"{name}.{key}"
    assert found["gateway-1"]["image"] == "hftctl/stack:abc"
    assert found["redis"]["image"] == load("compose").values["images"]["redis"]


def test_gateways_and_partitions_are_as_many_as_the_profile_says():
    files = made(gateways=3, partitions=TWO, gateways_in_turn=2)
    services, configs = files["compose.yaml"]["services"], files["configs.yaml"]["configs"]
    assert {"engine-0", "engine-1", "persister-0", "persister-1", "gateway-1", "gateway-2", "gateway-3"} <= set(
        services
    )
    assert services["engine-1"]["command"][-1] == "../config/engine-1.json"
    assert "partition-1:/srv/hftctl/data" in services["engine-1"]["volumes"]
    assert set(services["gateway-2"]["depends_on"]) == {"engine-0", "engine-1"}
    assert set(services["nginx"]["depends_on"]) == {"gateway-1", "gateway-2", "gateway-3"}
    assert {"partition-0", "partition-1", "postgres-0", "run"} <= set(files["compose.yaml"]["volumes"])
    assert {one["source"] for one in services["setup"]["configs"]} == set(configs)
    assert configs["nginx.conf"]["content"].count("gateway-3.sock max_fails=0 backup;") > 1
    assert "$$http_upgrade" in configs["nginx.conf"]["content"]


def test_a_door_of_an_engine_has_its_network_and_port():
    engine = made(binary_door=True, bind="::1")["compose.yaml"]["services"]["engine-0"]
    assert "network_mode" not in engine
    assert engine["networks"] == ["edge"]
    assert engine["ports"] == [{"target": 50052, "host_ip": "::1", "published": "50052"}]


def test_with_authentication_the_keys_stand_where_no_service_looks():
    services = made(authentication="api_key", accounts=["alice"])["compose.yaml"]["services"]
    assert services["setup"]["command"] == ["/opt/hftctl/secrets_once.py", "alice", "proof", "load", "replay"]
    users = [
        name for name, one in services.items() if any(mount.startswith("keys:") for mount in one.get("volumes", []))
    ]
    assert users == ["setup"]


@pytest.mark.parametrize("accounts", [[], ["alice", "operator"]])
def test_secrets_are_made_once_and_only_hashes_of_keys_are_for_services(tmp_path, accounts):
    for folder in ("secrets", "keys"):
        (tmp_path / folder).mkdir()
    secrets_once.main(tmp_path, accounts)
    before = {path: path.read_text() for path in tmp_path.rglob("*") if path.is_file()}
    secrets_once.main(tmp_path, accounts)
    assert {path: path.read_text() for path in tmp_path.rglob("*") if path.is_file()} == before
    keys = {path.name: path.read_text() for path in (tmp_path / "keys").iterdir()}
    assert len(set(keys.values())) == (3 if accounts else 0)
    assert (tmp_path / "secrets" / "api_keys").exists() == bool(accounts)
    if accounts:
        hashed = {name: hashlib.sha256(key.encode()).hexdigest() for name, key in keys.items()}
        assert (tmp_path / "secrets" / "api_keys").read_text().splitlines() == [
            f"{hashed['api_key.operator']} operator *",
            f"{hashed['api_key.alice']} trader alice",
            f"{hashed['api_key.account.operator']} trader operator",
        ]
        secrets_once.main(tmp_path, [*accounts, "bob"])
        assert len((tmp_path / "secrets" / "api_keys").read_text().splitlines()) == 4
