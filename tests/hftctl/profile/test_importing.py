"""Settings of an older deployment become a profile, and no key of theirs is dropped in silence."""

from __future__ import annotations

from pathlib import Path

import pytest

from hftctl.errors import ProfileError, Refused, UsageError
from hftctl.profile import importing
from hftctl.profile.load import load

SETTINGS = """\
[system]
max_workers = 8                    # cores
worker_queue_size = 100000

[trading]
max_orders_per_second = 100000
enabled_symbols = ["BTCUSD", "ETHUSD"]

[latency_profiling]
enabled = true
sample_rate = 1.0

[monitoring]
metrics_port = 8080
enable_prometheus = true

[env]
RUST_LOG = "warn"
MAX_LATENCY_US = "100"
ENABLE_HFT_MODE = "true"
DPDK_ENABLED = "false"
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    (tmp_path / "profiles").mkdir()
    return tmp_path


def settings(folder: Path, text: str, name: str = "production.toml") -> Path:
    (folder / name).write_text(text)
    return folder / name


def test_every_setting_arrives_in_the_profile_that_is_written(folder: Path) -> None:
    imported = importing.read(settings(folder, SETTINGS))
    importing.write(imported)
    values = load("production").values
    assert values["system"] == {"max_workers": 8, "worker_queue_size": 100_000}
    assert values["trading"] == {"max_orders_per_second": 100_000, "enabled_symbols": ["BTCUSD", "ETHUSD"]}
    assert values["latency_profiling"] == {"enabled": True, "sample_rate": 1.0}
    assert values["monitoring"] == {"enable_prometheus": True}
    assert values["ports"]["http"] == 8080
    assert (values["log_level"], values["max_latency_us"], values["enable_hft_mode"]) == ("warning", 100, True)
    assert values["environment"] == "production"


def test_every_key_of_the_file_is_accounted_for(folder: Path) -> None:
    taken = {one.key: one for one in importing.read(settings(folder, SETTINGS + 'Colour = "red"\n')).taken}
    assert len(taken) == 14  # thirteen keys and the file's name
    assert [key for key, one in taken.items() if not one.became] == ["env.DPDK_ENABLED", "env.Colour"]
    assert all(one.note for one in taken.values() if not one.became)
    assert taken["env.RUST_LOG"].became == "log_level"
    assert taken["monitoring.metrics_port"].became == "ports.http"


def test_what_is_left_out_stands_in_the_profile_too(folder: Path) -> None:
    text = importing.read(settings(folder, SETTINGS)).text
    assert "#   env.DPDK_ENABLED: the stack uses the kernel's network\n" in text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[system]\nmax_workers = 0\n", "s.toml:2: system.max_workers: 0 is out of range; 1 to 1024"),
        ('[system]\nmax_workers = "8"\n', "s.toml:2: system.max_workers: expected a whole number, got text '8'"),
        (
            "[trading]\n\nenabled_symbols = ['DOGE']\n",
            "s.toml:3: trading.enabled_symbols[0]: DOGE is not in instruments",
        ),
        ("log_level = 'info'\nRUST_LOG = 'info'\n", "s.toml:2: RUST_LOG: 'log_level' is set twice"),
        ("[system\n", "s.toml:1: not TOML: Expected ']' at the end of a table declaration (at line 1, column 8)"),
    ],
)
def test_a_setting_that_no_profile_may_have_is_told_with_its_line(folder: Path, text: str, message: str) -> None:
    with pytest.raises(ProfileError) as caught:
        importing.read(settings(folder, text, "s.toml"))
    assert caught.value.message == message
    assert list((folder / "profiles").iterdir()) == []


def test_a_profile_that_is_there_is_never_overwritten(folder: Path) -> None:
    imported = importing.read(settings(folder, SETTINGS))
    imported.file.write_text("mine\n")
    with pytest.raises(Refused, match="already there"):
        importing.write(imported)
    assert imported.file.read_text() == "mine\n"


def test_no_settings_file_is_said(folder: Path) -> None:
    with pytest.raises(UsageError, match=r"no settings file at gone\.toml"):
        importing.read(folder / "gone.toml")


def test_without_a_folder_for_profiles_it_goes_to_the_users(folder: Path) -> None:
    (folder / "profiles").rmdir()
    imported = importing.read(settings(folder, SETTINGS))
    importing.write(imported)
    assert imported.file == folder / "config" / "hftctl" / "profiles" / "production.yaml"
    assert load("production").values["system"]["max_workers"] == 8
