"""Many hosts: one alone first, then waves; the first that is not right ends it. `ssh` runs the command on a tree here."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.hftctl.cli.conftest import Hftctl
from tests.hftctl.tuning.machines import SMALL
from tests.hftctl.tuning.trees import build, snapshot

NAMES = ("desk1", "desk2", "desk3", "desk4")
SSH = """#!/bin/sh
while [ "$1" != "--" ]; do host=$1; shift; done
shift
[ -d "$TREES/$host" ] || { echo "ssh: connect to host $host port 22: No route to host" >&2; exit 255; }
echo "$host $*" >> "$TREES/asked"
exec sh -c "$* --root $TREES/$host"
"""


@pytest.fixture
def trees(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "trees"
    for name in NAMES:
        build(folder / name, SMALL)
    (tmp_path / "bin").mkdir()
    ssh = tmp_path / "bin" / "ssh"
    ssh.write_text(SSH)
    ssh.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("TREES", str(folder))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[3]))
    (tmp_path / "desks.yaml").write_text(
        f"extends: local\nhost:\n  profile: latency\n  wave: 2\n  inventory: [{', '.join(NAMES)}]\n"
    )
    return folder


def hosts(hftctl_: Hftctl, verb: str, *words: str):
    return hftctl_(
        "tune", "hosts", verb, "./desks.yaml", "--program", f"{sys.executable} -m hftctl", *words, "-o", "json"
    )


def test_all_hosts_are_tuned_verified_and_put_back(trees: Path, hftctl_: Hftctl) -> None:
    before = {name: snapshot(trees / name) for name in NAMES}
    ended = hosts(hftctl_, "apply", "--yes")
    assert (ended.code, [one["result"] for one in ended.document("TuneHosts")["hosts"]]) == (0, ["ready"] * 4)
    asked = (trees / "asked").read_text().splitlines()
    assert [line.split()[0] for line in asked[:2]] == ["desk1", "desk1"], "the first alone, applied and verified"
    assert sum(" verify " in line for line in asked) == 4
    assert hosts(hftctl_, "revert", "--yes").code == 0
    assert {name: snapshot(trees / name) for name in NAMES} == before


def test_the_first_host_that_refuses_ends_it(trees: Path, hftctl_: Hftctl) -> None:
    (trees / "desk1/.dockerenv").touch()
    before = {name: snapshot(trees / name) for name in NAMES}
    ended = hosts(hftctl_, "apply", "--yes")
    assert ended.code == 4
    assert [one["result"] for one in ended.document("TuneHosts")["hosts"]] == ["failed", *["not touched"] * 3]
    assert {name: snapshot(trees / name) for name in NAMES} == before


def test_a_host_that_does_not_answer_is_told(trees: Path, hftctl_: Hftctl) -> None:
    (trees / "desk3").rename(trees / "away")
    ended = hosts(hftctl_, "plan")
    assert ended.code == 13
    results = {one["host"]: one["result"] for one in ended.document("TuneHosts")["hosts"]}
    assert results == {"desk1": "pending", "desk2": "pending", "desk3": "unreachable", "desk4": "pending"}
    assert "No route to host" in ended.out


def test_without_an_inventory_it_says_where_to_write_one(hftctl_: Hftctl) -> None:
    ended = hftctl_("tune", "hosts", "plan", "local")
    assert ended.code == 2
    assert "host.inventory" in ended.err
