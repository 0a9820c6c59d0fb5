"""Bad profiles: each ends in one clear line with file, line and key, exit 2, and nothing changed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hftctl.errors import ProfileError
from hftctl.profile.load import load

GOOD = """\
target: local
accounts: [demo]
ports:
  http: 8080
trading:
  enabled_symbols: []
instruments:
  - symbol: AAPL
    tick_size: "0.01"
    lot_size: "1"
    currency: USD
"""
PATTERN = "is not 1 to 12 of A-Z, 0-9 and dot"
DECIMAL = 'is not a decimal such as "0.01", up to 12 digits on each side'

# What is appended to (or, as a pair, replaced in) the good profile of eleven lines, and what is said about it.
CASES: list[tuple[str | tuple[str, str], str]] = [
    # keys
    ("gateway: 1\n", "12: gateway: unknown key; did you mean 'gateways'?"),
    ("max_workers: 1\n", "12: max_workers: unknown key; did you mean 'system.max_workers'?"),
    ("system: {max_worker: 1}\n", "12: system.max_worker: unknown key; did you mean 'max_workers'?"),
    ("extend: local\n", "12: extend: unknown key; did you mean 'extends'?"),
    ("leverage: 5\n", "12: leverage: unknown key; the nearest valid key is 'log_level'"),
    (("lot_size", "lotsize"), "10: instruments[0].lotsize: unknown key; did you mean 'lot_size'?"),
    (("target: local\n", ""), "1: target: is missing"),
    (("    currency: USD\n", ""), "8: instruments[0].currency: is missing"),
    # canaries
    (
        "rollout: {canary: [5, 100]}\n",
        "12: rollout.canary: a canary is of the target compose: on local gateways of both releases would run the code that is "
        "installed; write []",
    ),
    (("target: local\n", "target: compose\nrollout: {canary: [5, 50]}\n"),
     "2: rollout.canary: [5, 50] must rise from step to step and end with 100"),
    (("target: local\n", "target: compose\nrollout: {canary: [5, 75, 100]}\n"),
     "2: rollout.canary: above 50 the baseline cannot have as many requests as the canary: leave out [75]"),
    # types
    ("gateways: one\n", "12: gateways: expected a whole number, got text 'one'"),
    ('gateways: "1"\n', "12: gateways: expected a whole number, got text '1'"),
    ("gateways: 1.5\n", "12: gateways: expected a whole number, got number 1.5"),
    ("gateways: true\n", "12: gateways: expected a whole number, got true"),
    ("gateways:\n", "12: gateways: expected a whole number, got nothing"),
    ("gateways: [1]\n", "12: gateways: expected a whole number, got a list"),
    ("enable_hft_mode: 1\n", "12: enable_hft_mode: expected true or false, got number 1"),
    ("system: 4\n", "12: system: expected a mapping, got number 4"),
    ("partitions: {ranges: [A-Z]}\n", "12: partitions: expected a list, got a mapping"),
    (('"0.01"', "0.01"), '9: instruments[0].tick_size: expected text, got number 0.01; write "0.01"'),
    (("[demo]", "[123]"), '2: accounts[0]: expected text, got number 123; write "123"'),
    ("latency_profiling: {sample_rate: high}\n", "12: latency_profiling.sample_rate: expected a number, got text 'high'"),
    # ranges
    ("gateways: 0\n", "12: gateways: 0 is out of range; 1 to 64"),
    ("gateways: -1\n", "12: gateways: -1 is out of range; 1 to 64"),
    ("gateways: 9223372036854775808\n", "12: gateways: 9223372036854775808 is out of range; 1 to 64"),
    ("shards: 2\n", "12: shards: 2 is out of range; 1 to 1"),
    (("8080", "65536"), "4: ports.http: 65536 is out of range; 1 to 65535"),
    ("latency_profiling: {sample_rate: 1.5}\n", "12: latency_profiling.sample_rate: 1.5 is out of range; 0.0 to 1.0"),
    ("max_latency_us: 0\n", "12: max_latency_us: 0 is out of range; 1 to 60000000"),
    ("log_level: verbose\n", "12: log_level: text 'verbose' is not one of: debug, info, warning, error"),
    ("environment: prod\n", "12: environment: text 'prod' is not one of: development, staging, production"),
    (("target: local", "target: mars"), "1: target: text 'mars' is not one of: local, compose, kubernetes"),
    (("[demo]", "[]"), "2: accounts: needs at least 1 of them, has 0"),
    ("partitions: []\n", "12: partitions: needs at least 1 of them, has 0"),
    ("engine: {segment_bytes: 1048577}\n", "12: engine.segment_bytes: 1048577 is not a multiple of 4096"),
    # names and decimals
    ("name: My Desk\n", "12: name: 'My Desk' is not a small letter followed by up to 30 of a-z, 0-9 and -"),
    (("AAPL", "aapl"), f"8: instruments[0].symbol: 'aapl' {PATTERN}"),
    (("AAPL", "ABCDEFGHIJKLM"), f"8: instruments[0].symbol: 'ABCDEFGHIJKLM' {PATTERN}"),
    (("AAPL", "PROOF.0"), "8: instruments[0].symbol: PROOF.0 is reserved: PROOF.<n> proves partition n"),
    (("[demo]", "[proof]"), "2: accounts[0]: 'proof' is reserved for the orders a deployment proves itself with"),
    (("[demo]", "[demo, load]"), "2: accounts[1]: 'load' is reserved for hftctl load, which cancels all it leaves"),
    (("[demo]", "[a b]"), "2: accounts[0]: 'a b' is not 1 to 32 of A-Z, a-z, 0-9, _ . -"),
    (("[demo]", "[demo, demo]"), "2: accounts[1]: 'demo' stands here twice"),
    (("0.01", "1e-2"), f"9: instruments[0].tick_size: '1e-2' {DECIMAL}"),
    (("0.01", "-0.01"), f"9: instruments[0].tick_size: '-0.01' {DECIMAL}"),
    (("0.01", "NaN"), f"9: instruments[0].tick_size: 'NaN' {DECIMAL}"),
    (("0.01", "0.00"), "9: instruments[0].tick_size: must be above 0"),
    (('"1"', '"0"'), "10: instruments[0].lot_size: must be above 0"),
    (("USD", "usd"), "11: instruments[0].currency: 'usd' is not 1 to 8 of A-Z and 0-9"),
    ('    base_price: "0.005"\n', "12: instruments[0].base_price: 0.005 is not a multiple of tick_size 0.01"),
    # between values
    (("  http: 8080", "  http: 56379"), "3: ports.redis: port 56379 is already that of ports.http"),
    (("  http: 8080", "  http: 50052\nbinary_door: true"), "3: ports.binary: port 50052 is already that of ports.http"),
    (
        ("  http: 8080", "  http: 50053\nbinary_door: true\npartitions: [{ranges: [0-9]}, {ranges: [A-Z]}]"),
        "3: ports.binary: port 50053 (of partition 1) is already that of ports.http",
    ),
    (
        ("  http: 8080", "  binary: 65535\nbinary_door: true\npartitions: [{ranges: [0-9]}, {ranges: [A-Z]}]"),
        "4: ports.binary: 65535 leaves no port for partition 1: 65536 is above 65535",
    ),
    (
        "bind: 0.0.0.0\n",
        "12: bind: 0.0.0.0 with authentication: none lets everybody on the network trade; write api_key, or bind 127.0.0.1",
    ),
    ("bind: localhost\n", "12: bind: 'localhost' is not an IP address; 127.0.0.1 is this machine only"),
    (("enabled_symbols: []", "enabled_symbols: [MSFT]"), "6: trading.enabled_symbols[0]: MSFT is not in instruments"),
    ("partitions: [{ranges: [0-9, A-M]}]\n", "12: partitions: no range covers symbols that begin with N-Z"),
    ("partitions: [{ranges: [0-9, A-N]}, {ranges: [N-Z]}]\n", "12: partitions[1].ranges[0]: 'N-Z' takes N, which partition 0 already has"),
    ("partitions: [{ranges: [0-9, A-Z, Z-A]}]\n", "12: partitions[0].ranges[2]: 'Z-A' runs backwards"),
    (
        "partitions: [{ranges: [0-9, A-Z, a]}]\n",
        "12: partitions[0].ranges[2]: 'a' is not a range of first characters such as \"A-G\", or one such as \"A\"",
    ),
    (
        "partitions: [{ranges: [0-9, A-M]}, {ranges: [N-Z]}]\norder_entry: engine\n",
        "13: order_entry: engine needs exactly one partition, there are 2; write gateway",
    ),
    ("partitions: [{ranges: [0-9, A-Z], symbols: [AAPL, AAPL]}]\n", "12: partitions[0].symbols[1]: AAPL already belongs to partition 0"),
    (("AAPL", ".SPX"), "8: instruments[0].symbol: .SPX begins with a dot, which no range covers; name it in partitions[0].symbols"),
    # YAML
    ("gateways: 2\ngateways: 3\n", "13: gateways: duplicate key; first written in line 12"),
    ("\tgateways: 2\n", "12: tab in column 1; YAML indents with spaces"),
    ("a: &x 1\n", "12: anchor &x: anchors are not used in profiles"),
    ("a: *x\n", "12: alias *x: write the value out; shared parts go into a profile to extend"),
    ("a: !!python/object/apply:os.system [id]\n", "12: tag tag:yaml.org,2002:python/object/apply:os.system: tags are not used in profiles"),
    ("<<: {gateways: 2}\n", "12: merge key <<: use `extends` to build on another profile"),
    ("---\ngateways: 2\n", "12: a second document; a profile is one"),
    ("1: 2\n", "12: a key is text, this is number 1"),
    ("enable_hft_mode: no\n", "12: no is read as false by some and as text by others; write false, or 'no' in quotes"),
    ("gateways: 017\n", "12: 017 is octal in YAML 1.1, decimal elsewhere; write a plain decimal number, or text in quotes"),
    ("max_latency_us: 12:30:45\n", "12: 12:30:45 is a number to the base 60 in YAML 1.1; write a plain decimal number, or text in quotes"),
    ("max_latency_us: 1e3\n", "12: 1e3 is text in YAML 1.1, a number elsewhere; write a plain decimal number, or text in quotes"),
    ("latency_profiling: {sample_rate: .inf}\n", "12: .inf is not a finite number; write a plain decimal number, or text in quotes"),
    ("gateways: [1\n", "13: not YAML: while parsing a flow sequence, expected ',' or ']', but got '<stream end>'"),
    ("a: " + "[" * 20 + "]" * 20 + "\n", "12: nested deeper than 20 levels"),
    ("a: \x01\n", "12: control character #x0001"),
    # extends
    ("extends: nobody\n", "12: extends: no profile is named 'nobody'"),
    ("extends: [local]\n", "12: extends: expected the name of a profile"),
    ("extends: ../up\n", "12: extends: expected the name of a profile"),
]  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    (tmp_path / "profiles").mkdir()
    return tmp_path / "profiles"


def refusal() -> ProfileError:
    with pytest.raises(ProfileError) as caught:
        load("desk")
    assert caught.value.exit_code == 2
    return caught.value


def test_the_profile_that_the_cases_spoil_is_good(folder: Path) -> None:
    (folder / "desk.yaml").write_text(GOOD)
    assert load("desk").values["instruments"][0]["symbol"] == "AAPL"


@pytest.mark.parametrize(("change", "line"), CASES, ids=[line[:60] for _, line in CASES])
def test_a_bad_profile_is_one_line_with_file_line_and_key(
    folder: Path, change: str | tuple[str, str], line: str
) -> None:
    text = GOOD + change if isinstance(change, str) else GOOD.replace(*change)
    (folder / "desk.yaml").write_text(text)
    assert refusal().message == f"profiles/desk.yaml:{line}"


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"\xef\xbb\xbf" + GOOD.encode(), ":1: starts with a byte order mark; save it as UTF-8 without one"),
        (b"# caf\xe9\n" + GOOD.encode(), ":1: byte 0xe9 is not UTF-8"),
        (GOOD.encode() + b"#" * (1 << 20), ": larger than 1048576 bytes; a profile is a few kilobytes"),
        (b"- a\n", ":1: a profile is a mapping of keys to values, this is a list"),
        (b"hello\n", ":1: a profile is a mapping of keys to values, this is text 'hello'"),
        (b"%YAML 1.1\n---\na: 1\n", ":1: directives (%YAML, %TAG) are not used in profiles"),
    ],
)
def test_a_bad_file_is_one_line(folder: Path, content: bytes, line: str) -> None:
    (folder / "desk.yaml").write_bytes(content)
    assert refusal().message == f"profiles/desk.yaml{line}"


def test_an_empty_profile_says_everything_that_is_missing(folder: Path) -> None:
    (folder / "desk.yaml").write_text("")
    assert refusal().message.splitlines() == [
        "profiles/desk.yaml:1: target: is missing",
        "profiles/desk.yaml:1: accounts: is missing",
        "profiles/desk.yaml:1: instruments: is missing",
    ]


def test_several_mistakes_are_told_together_in_the_order_of_lines(folder: Path) -> None:
    (folder / "desk.yaml").write_text(GOOD.replace("8080", "0") + "gateways: 0\nfoo: 1\n")
    lines = [line.split(": ")[0] for line in refusal().message.splitlines()]
    assert lines == ["profiles/desk.yaml:4", "profiles/desk.yaml:12", "profiles/desk.yaml:13"]


def test_a_symbolic_link_in_a_circle_is_refused(folder: Path) -> None:
    (folder / "desk.yaml").symlink_to("desk.yaml")
    assert refusal().message == "profiles/desk.yaml: cannot read the profile: its symbolic links lead in a circle"


def test_a_fifo_is_refused_without_waiting_for_a_writer(folder: Path) -> None:
    os.mkfifo(folder / "desk.yaml")
    assert refusal().message == "profiles/desk.yaml: cannot read the profile: not a regular file"


def test_a_folder_is_refused(folder: Path) -> None:
    (folder / "desk.yaml").mkdir()
    assert refusal().message == "profiles/desk.yaml: cannot read the profile: not a regular file"


def test_a_device_is_refused(folder: Path) -> None:
    (folder / "desk.yaml").symlink_to("/dev/zero")
    assert refusal().message == "profiles/desk.yaml: cannot read the profile: not a regular file"


def test_a_circle_of_extends_shows_the_chain_and_the_line_that_closes_it(folder: Path) -> None:
    (folder / "desk.yaml").write_text("extends: b\n")
    (folder / "b.yaml").write_text("# second\nextends: c\n")
    (folder / "c.yaml").write_text("# third\n\nextends: desk\n")
    assert refusal().message == (
        "profiles/c.yaml:3: extends: profiles extend each other in a circle: desk -> b -> c -> desk"
    )


def test_a_mistake_in_a_base_names_the_bases_file(folder: Path) -> None:
    (folder / "desk.yaml").write_text("extends: base\n")
    (folder / "base.yaml").write_text(GOOD + "gateways: 99\n")
    assert refusal().message == "profiles/base.yaml:12: gateways: 99 is out of range; 1 to 64"


def test_a_mistake_in_an_environments_layer_names_its_file(folder: Path) -> None:
    (folder / "desk.yaml").write_text(GOOD)
    (folder / "environments").mkdir()
    layer = folder / "environments" / "development.yaml"
    layer.write_text("log_levle: info\n")
    assert refusal().message == (
        "profiles/environments/development.yaml:1: log_levle: unknown key; did you mean 'log_level'?"
    )
    layer.write_text("target: local\n")
    assert refusal().message == (
        "profiles/environments/development.yaml:1: target: does not belong into an environment's layer"
    )


def test_a_bad_profile_leaves_the_state_home_alone(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = folder.parent / "home"
    monkeypatch.setenv("HFTCTL_HOME", str(home))
    (folder / "desk.yaml").write_text(GOOD + "gateways: 0\n")
    before = sorted(folder.parent.rglob("*"))
    refusal()
    assert sorted(folder.parent.rglob("*")) == before
