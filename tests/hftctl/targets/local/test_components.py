"""What a release becomes on this machine. The services' own loader says whether it is what they take."""

import json

import msgspec
import pytest

from hftctl.paths import Layout
from hftctl.profile.load import load
from hftctl.release import Release
from hftctl.targets.local import components, services
from stack.settings import EngineSettings, GatewaySettings, PersisterSettings
from stack.settings import load as load_settings


def release(**changes):
    profile = {**load("local").values, **changes}
    return Release("paper", "local", "development", profile, {"engine": "a" * 64, "stack": "b" * 64}, (1, 3))


@pytest.fixture
def layout(tmp_path):
    return Layout(tmp_path / "paper")


@pytest.mark.parametrize("authentication", ["none", "api_key"])
@pytest.mark.parametrize(
    ("subject", "kind"),
    [("engine-0", EngineSettings), ("gateway-1", GatewaySettings), ("persister-0", PersisterSettings)],
)
def test_services_take_their_settings_and_every_field_is_said(layout, tmp_path, subject, kind, authentication):
    spec = components.desired(release(authentication=authentication), layout)[subject]
    path = tmp_path / "settings.json"
    path.write_text(json.dumps(spec["settings"]))
    settings = load_settings(path, kind)
    assert set(spec["settings"]) == {field.encode_name for field in msgspec.structs.fields(kind)}
    assert settings.component == subject
    assert settings.deployment == "paper"


def test_desired_is_plain_json_and_the_same_each_time(layout):
    first, second = (components.desired(release(), layout) for _ in range(2))
    assert json.loads(json.dumps(first)) == second == first


def test_what_depends_comes_later(layout):
    subjects = list(components.desired(release(gateways=2), layout))
    assert subjects == components.order(reversed(subjects))
    assert subjects[0] == "supervisor"
    assert subjects[-1] == "nginx"


def test_every_symbol_goes_to_its_engine_and_each_engine_has_its_proof(layout):
    partitions = [{"ranges": ["0-9", "A-G"], "symbols": ["TSLA"]}, {"ranges": ["H-Z"], "symbols": []}]
    wanted = components.desired(release(partitions=partitions), layout)
    first, second = (
        {instrument["symbol"] for instrument in wanted[f"engine-{number}"]["settings"]["instruments"]}
        for number in (0, 1)
    )
    assert {"AAPL", "TSLA", "BTCUSD", "PROOF.0"} <= first
    assert {"MSFT", "XRPUSD", "PROOF.1"} <= second
    assert not first & second
    assert wanted["engine-1"]["settings"]["accounts"][-3:] == ["proof", "load", "replay"]


def test_symbols_that_are_not_enabled_take_cancels_only(layout):
    profile = {"trading": {"max_orders_per_second": 0, "enabled_symbols": ["AAPL"]}}
    instruments = components.desired(release(**profile), layout)["engine-0"]["settings"]["instruments"]
    states = {instrument["symbol"]: instrument["state"] for instrument in instruments}
    assert states["AAPL"] == states["PROOF.0"] == "open"
    assert states["MSFT"] == "halted"


def test_the_engine_owns_the_door_only_alone_and_compiled(monkeypatch, layout):
    two = [{"ranges": ["0-9", "A-G"], "symbols": []}, {"ranges": ["H-Z"], "symbols": []}]
    monkeypatch.setattr(services, "compiled", lambda: True)
    assert services.owns_door(release().profile)
    assert not services.owns_door(release(partitions=two).profile)
    assert not services.owns_door(release(order_entry="gateway").profile)
    assert "orders" in components.desired(release(), layout)["engine-0"]["process"]["listens"]
    assert components.desired(release(), layout)["engine-0"]["settings"]["hft_mode"] is True
    small = components.desired(release(enable_hft_mode=False), layout)["engine-0"]
    assert ("orders" in small["process"]["listens"], small["settings"]["hft_mode"]) == (False, False)
    assert services.owns_door(release(enable_hft_mode=False, order_entry="engine").profile), "who says engine gets it"
    monkeypatch.setattr(services, "compiled", lambda: False)
    assert not services.owns_door(release().profile)
    assert "orders" not in components.desired(release(), layout)["engine-0"]["process"]["listens"]


def test_each_partition_has_a_port_of_its_own_for_sessions(layout):
    two = [{"ranges": ["0-9", "A-G"], "symbols": []}, {"ranges": ["H-Z"], "symbols": []}]
    wanted = components.desired(release(binary_door=True, bind="::1", partitions=two), layout)
    for number, address in enumerate(("[::1]:50052", "[::1]:50053")):
        assert wanted[f"engine-{number}"]["process"]["listens"]["sessions"] == address
        assert wanted[f"engine-{number}"]["settings"]["session_address"] == address
    without = components.desired(release(binary_door=False), layout)["engine-0"]
    assert ("sessions" in without["process"]["listens"], without["settings"]["session_address"]) == (False, None)


def test_a_release_from_before_the_binary_door_has_none(layout):
    older = release()
    profile = {key: value for key, value in older.profile.items() if key != "binary_door"}
    assert services.session_address(profile, 0) is None


def test_no_secret_is_in_a_spec(layout):
    text = json.dumps(components.desired(release(authentication="api_key"), layout))
    assert "requirepass" not in text
    assert '"password"' not in text


def test_new_code_and_new_settings_are_another_process(layout):
    spec = components.desired(release(), layout)["engine-0"]
    before = components.process("engine-0", spec)
    newer = components.process("engine-0", {**spec, "code": "engine:ffff"})
    louder = components.process("engine-0", {**spec, "settings": {**spec["settings"], "log_level": "debug"}})
    assert len({before.digest, newer.digest, louder.digest}) == 3
    assert before.same_program(newer)
