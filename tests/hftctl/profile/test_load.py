"""How layers merge, where values come from, and what each plain scalar of YAML means."""

from __future__ import annotations

from pathlib import Path

import pytest

from hftctl.errors import UsageError
from hftctl.profile.load import load
from hftctl.profile.scalars import plain

BODY = """\
target: local
accounts: [demo]
instruments:
  - {symbol: AAPL, tick_size: "0.01", lot_size: "1", currency: USD}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    (tmp_path / "profiles").mkdir()
    return tmp_path / "profiles"


@pytest.mark.parametrize("name", ["local", "local-partitions"])
@pytest.mark.parametrize("environment", [None, "development", "staging", "production"])
def test_shipped_profiles_are_right_in_every_environment(name: str, environment: str | None) -> None:
    resolved = load(name, environment=environment)
    assert resolved.values["name"] == name
    assert resolved.values["environment"] == (environment or "development")
    assert resolved.values["authentication"] == ("none" if environment in {None, "development"} else "api_key")


def test_a_profile_wins_over_what_it_extends_and_both_over_the_environment(folder: Path) -> None:
    (folder / "base.yaml").write_text(BODY + "ports: {http: 8081, redis: 7000}\ngateways: 2\n")
    (folder / "desk.yaml").write_text("extends: base\nports: {http: 8082}\n")
    (folder / "environments").mkdir()
    (folder / "environments" / "development.yaml").write_text("gateways: 9\nmax_latency_us: 77\n")
    resolved = load("desk")
    assert resolved.values["ports"] == {"http": 8082, "binary": 50052, "postgres": 55432, "redis": 7000}
    assert resolved.values["gateways"] == 2
    assert resolved.values["max_latency_us"] == 77
    origins = {key: str(origin) for key, origin in resolved.origins.items()}
    assert origins["ports.http"] == "profiles/desk.yaml:2"
    assert origins["ports.redis"] == "profiles/base.yaml:5"
    assert origins["max_latency_us"] == "profiles/environments/development.yaml:2"
    assert origins["ports.postgres"] == "default"
    assert resolved.layers == (
        "profiles/desk.yaml",
        "profiles/base.yaml",
        "profiles/environments/development.yaml",
    )


def test_a_name_is_never_inherited(folder: Path) -> None:
    (folder / "base.yaml").write_text("name: base\n" + BODY)
    (folder / "desk.yaml").write_text("extends: base\n")
    assert load("desk").values["name"] == "desk"


def test_the_option_wins_over_the_profiles_environment(folder: Path) -> None:
    (folder / "desk.yaml").write_text("environment: development\n" + BODY)
    resolved = load("desk", environment="production")
    assert resolved.values["environment"] == "production"
    assert str(resolved.origins["environment"]) == "--environment"


def test_an_unknown_environment_names_those_there_are(folder: Path) -> None:
    (folder / "desk.yaml").write_text(BODY)
    with pytest.raises(UsageError, match="there are: development, staging, production"):
        load("desk", environment="prod")


def test_a_users_profile_hides_a_shipped_one(folder: Path) -> None:
    user = folder.parent / "config" / "hftctl" / "profiles"
    user.mkdir(parents=True)
    (user / "local.yaml").write_text("gateways: 3\n" + BODY)
    assert load("local").values["gateways"] == 3
    (folder / "local.yaml").write_text("gateways: 4\n" + BODY)
    assert load("local").values["gateways"] == 4
    assert load(str(user / "local.yaml")).values["gateways"] == 3


def test_a_users_profile_may_extend_the_shipped_one_of_its_name(folder: Path) -> None:
    (folder / "local.yaml").write_text("extends: local\ngateways: 5\n")
    resolved = load("local")
    assert resolved.values["gateways"] == 5
    assert resolved.values["ports"]["http"] == 8080


def test_no_such_profile_names_those_there_are(folder: Path) -> None:
    with pytest.raises(
        UsageError,
        match=r"no profile is named 'lokal'; there are: compose, local, local-partitions, orbstack, production, stage1, staging",
    ):
        load("lokal")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None), ("~", None), ("null", None), ("true", True), ("false", False), ("0", 0), ("17", 17), ("-3", -3),
        ("0.5", 0.5), ("BTCUSD", "BTCUSD"), ("0-9", "0-9"), ("A-Z", "A-Z"), ("127.0.0.1", "127.0.0.1"), ("y", "y"),
        ("N", "N"), ("::1", "::1"),
    ],
)  # fmt: skip
def test_a_plain_scalar_that_everybody_reads_the_same(text: str, value: object) -> None:
    assert plain(text) == value
    assert type(plain(text)) is type(value)


@pytest.mark.parametrize(
    "text",
    [
        "no", "yes", "on", "Off", "NO", "True", "FALSE", "017", "0o17", "0x1F", "0b11", "1_000", "+5", "-0", "12:30:45",
        "1:30", "1e3", "1.5E-3", ".inf", "-.INF", ".nan", "1.", ".5", "2024-01-31", "2024-1-1T10:00:00", "08", "00",
        "1" * 20,
    ],
)  # fmt: skip
def test_a_plain_scalar_that_some_read_otherwise_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"write|digits"):
        plain(text)
