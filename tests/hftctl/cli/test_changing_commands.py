"""scale, restart, rollback and rollout at the command line, over a target made of files."""

from __future__ import annotations

import pytest

from hftctl.targets import flock
from tests.hftctl.cli.conftest import Ended, Files, Hftctl


def test_scale_restart_and_rollback_end_as_rollouts(deployed: Ended, hftctl_: Hftctl) -> None:
    scaled = hftctl_("scale", "gateway=2", "--yes", "-o", "json").document("Rollout")
    assert (scaled["verb"], scaled["result"], scaled["revision"]) == ("scale", "ready", 2)
    again = hftctl_("restart", "engine", "-p", "local", "--yes", "-o", "json").document("Rollout")
    assert [(c["subject"], c["op"]) for c in again["plan"]["changes"]] == [("engine-0", "restart")]
    back = hftctl_("rollback", "1", "--yes", "-o", "json").document("Rollout")
    assert (back["verb"], back["revision"]) == ("rollback", 3)
    told = hftctl_("scale", "gateway=3", "--yes")
    assert told.out.startswith("scale of 'local' is done: revision 4 is ready at http://127.0.0.1:1 (")
    assert hftctl_("scale", "gateway=3", "--yes").out == "nothing to do: 'local' stands as revision 4\n"


@pytest.mark.parametrize("words", [["scale", "gateway=2"], ["restart"], ["rollback"], ["rollout", "abort"]])
def test_they_need_a_yes_and_say_the_command(deployed: Ended, hftctl_: Hftctl, words: list[str]) -> None:
    hftctl_("scale", "gateway=3", "--yes")
    ended = hftctl_(*words)
    if words[0] == "rollout":
        assert (ended.code, ended.out) == (0, "nothing to do: 'local' stands as revision 2\n")
        return
    assert ended.code == 2
    assert ended.err.splitlines()[-1] == f"hint: type: hftctl {' '.join(words)} --yes"


def test_a_dry_run_shows_what_would_be_restarted(deployed: Ended, hftctl_: Hftctl) -> None:
    ended = hftctl_("restart", "engine", "--dry-run")
    assert (ended.code, ended.out.splitlines()) == (0, ["  ^ restart  engine-0          asked for", "1 to restart"])


@pytest.mark.parametrize("word", ["gateway", "gateway=", "=2", "gateway=two", "gateway=99999", "gateway=-1"])
def test_what_is_no_number_of_something_is_a_usage_error(deployed: Ended, hftctl_: Hftctl, word: str) -> None:
    ended = hftctl_("scale", "--yes", "--", word)
    assert ended.code == 2
    assert "gateway=4" in ended.err


def test_what_is_not_there_is_not_found(deployed: Ended, hftctl_: Hftctl) -> None:
    assert hftctl_("restart", "trader", "--yes").code == 13
    assert hftctl_("rollback", "--yes").code == 13
    assert hftctl_("rollback", "7", "--yes").code == 13
    assert hftctl_("scale", "engine=2", "--yes").code == 2


def test_the_last_rollout_is_told(deployed: Ended, hftctl_: Hftctl) -> None:
    document = hftctl_("rollout", "status", "-o", "json").document("RolloutStatus")
    assert (document["state"], document["rollout"]["verb"], document["holder"]) == ("ready", "deploy", "")
    assert {change["state"] for change in document["changes"]} == {"ready"}
    lines = hftctl_("rollout", "status").out.splitlines()
    assert lines[0].startswith("ready: deploy ")
    assert lines[1].split() == ["SUBJECT", "CHANGE", "STATE", "CAUSE"]


def test_an_interrupted_one_exits_9_and_says_both_ways(deployed: Ended, hftctl_: Hftctl, target: type[Files]) -> None:
    journal = Files("local").journal()
    journal.begin(
        "x-1", verb="scale", actor="ana@desk3", why="scale of gateway 1 -> 2", from_revision=1, to_release="",
        changes=(), release=Files("local").revisions()[-1].release.document(),
    )  # fmt: skip
    ended = hftctl_("rollout", "status")
    assert ended.code == 9
    assert ended.err.splitlines()[-1] == (
        "hint: go on: hftctl rollout continue -p local; or back to what stood before: hftctl rollout abort -p local"
    )
    path = Files("local").layout.lock
    with flock.hold(path, deployment="local", holder="ana@desk3", why="scale", wait_s=0):
        running = hftctl_("rollout", "status", "-o", "json").document("RolloutStatus")
        assert (running["state"], running["holder"].partition(" ")[0]) == ("running", "ana@desk3")
        assert hftctl_("rollout", "continue", "--yes").code == 6
    assert hftctl_("rollout", "continue", "--yes", "-o", "json").document("Rollout")["result"] == "ready"
    assert hftctl_("rollout", "status").code == 0
