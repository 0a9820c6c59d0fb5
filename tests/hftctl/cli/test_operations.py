"""The commands over a target made of files: documents, exit codes, and what a person reads."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.hftctl.cli.conftest import Ended, Files, Hftctl


def test_deploy_ends_with_the_address_the_proof_and_what_to_try_next(deployed: Ended) -> None:
    assert deployed.code == 0
    lines = deployed.out.splitlines()
    assert lines[0].startswith("'local' is ready at http://127.0.0.1:1 (revision 1, ")
    assert lines[1] == (
        "proved by order 0-7: buy 1 PROOF.0 at 100, filled; acknowledged in 1.5 ms, in PostgreSQL 40 ms later"
    )
    assert lines[3] == "next:"
    assert lines[4].startswith("  curl -s http://127.0.0.1:1/orders -H 'content-type: application/json' -d '{")
    order = json.loads(lines[4].partition("-d '")[2].rstrip("'"))
    assert (order["account"], order["symbol"], order["price"]) == ("demo", "BTCUSD", "100")
    assert lines[5:] == ["  hftctl status", "  hftctl logs -f", "  hftctl load --clients 40 --duration 10s"]


def test_with_keys_the_first_order_to_try_shows_none(target: type[Files], hftctl_: Hftctl) -> None:
    ended = hftctl_("deploy", "--environment", "production", "--yes")
    assert "  hftctl order place BTCUSD buy 1 100 --account demo --yes" in ended.out.splitlines()
    assert "curl" not in ended.out


def test_progress_is_one_line_per_state_change_on_stderr(deployed: Ended) -> None:
    states = [line.split()[2:4] for line in deployed.err.splitlines() if line.strip()]
    assert states[:2] == [["postgres-0", "applying"], ["postgres-0", "ready"]]


def test_deploy_twice_has_nothing_to_do(deployed: Ended, hftctl_: Hftctl) -> None:
    again = hftctl_("deploy", "--yes")
    assert again.code == 0
    assert again.out.startswith("nothing to do: 'local' stands at http://127.0.0.1:1 as revision 1")


def test_deploy_as_json_is_one_document(target: type[Files], hftctl_: Hftctl) -> None:
    document = hftctl_("deploy", "--yes", "-o", "json").document("Rollout")
    assert (document["result"], document["revision"], document["deployment"]) == ("ready", 1, "local")
    assert document["plan"]["pending"] == 4


def test_without_a_terminal_and_without_yes_it_refuses_with_the_command(
    target: type[Files], hftctl_: Hftctl, home: Path
) -> None:
    ended = hftctl_("deploy", "local", "--name", "desk")
    assert ended.code == 2
    assert "needs a yes, and there is no terminal to ask on" in ended.err
    assert ended.err.splitlines()[-1] == "hint: type: hftctl deploy local --name desk --yes"
    assert not home.exists()


def test_a_dry_run_shows_the_plan_and_changes_nothing(target: type[Files], hftctl_: Hftctl, home: Path) -> None:
    ended = hftctl_("deploy", "--dry-run")
    assert ended.code == 0
    assert "+ create   engine-0" in ended.out
    assert not home.exists()


def test_a_failed_deploy_exits_1_and_names_the_cause(
    target: type[Files], hftctl_: Hftctl, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Files, "fate", {"broken": ["engine-0"]})
    ended = hftctl_("deploy", "--yes")
    assert ended.code == 1
    error = next(line for line in ended.err.splitlines() if line.startswith("error:"))
    assert error.startswith("error: cannot deploy 'local' on local: ")
    assert "exited with 3: cannot allocate memory (reverted" in error


def test_a_failed_deploy_as_json_is_one_error_with_the_rollout(
    target: type[Files], hftctl_: Hftctl, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Files, "fate", {"broken": ["engine-0"]})
    ended = hftctl_("deploy", "--yes", "-o", "json")
    document = ended.document("Error")
    assert (ended.code, document["code"], document["rollout"]["result"]) == (1, "failed", "reverted")


def test_a_port_in_use_is_refused_before_the_first_write(
    target: type[Files], hftctl_: Hftctl, monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    monkeypatch.setattr(Files, "fate", {"busy_ports": [8080]})
    ended = hftctl_("deploy", "--yes")
    assert ended.code == 7
    assert "port 8080 is in use by nc (pid 7)" in ended.err
    assert "hint: end nc: kill 7 (8080)" in ended.err
    assert not home.exists()


def test_a_bad_profile_is_told_before_anything_else(target: type[Files], hftctl_: Hftctl, home: Path) -> None:
    Path("desk.yaml").write_text("extends: local\ngateway: 2\nports: {http: 0}\n")
    ended = hftctl_("deploy", "desk.yaml", "--yes")
    assert ended.code == 2
    assert ended.err.splitlines()[:2] == [
        "error: desk.yaml:2: gateway: unknown key; did you mean 'gateways'?",
        "error: desk.yaml:3: ports.http: 0 is out of range; 1 to 65535",
    ]
    assert not home.exists()


def test_plan_exits_3_while_changes_are_pending_and_0_after(target: type[Files], hftctl_: Hftctl) -> None:
    assert hftctl_("plan").code == 3
    hftctl_("deploy", "--yes")
    ended = hftctl_("plan")
    assert (ended.code, ended.out) == (0, "nothing to do: everything is as wanted\n")


def test_a_saved_plan_is_applied_exactly_and_stale_afterwards(target: type[Files], hftctl_: Hftctl) -> None:
    planned = hftctl_("plan", "--save", "plan.json", "-o", "json")
    assert planned.code == 3
    assert planned.document("Plan") == json.loads(Path("plan.json").read_text())
    assert hftctl_("apply", "plan.json", "--yes", "-o", "json").document("Rollout")["result"] == "ready"
    Path("desk.yaml").write_text("extends: local\nname: local\ngateways: 2\n")
    hftctl_("deploy", "desk.yaml", "--yes")
    stale = hftctl_("apply", "plan.json", "--yes")
    assert stale.code == 5
    assert "since it was made" in stale.err


def test_status_of_what_stands_is_0_and_of_what_is_broken_9(deployed: Ended, hftctl_: Hftctl) -> None:
    ended = hftctl_("status", "-o", "json")
    document = ended.document("Status")
    assert (ended.code, document["state"], document["revision"]["number"]) == (0, "ready", 1)
    Files("local").stop()
    broken = hftctl_("status")
    assert broken.code == 9
    assert "engine-0" in broken.out
    assert broken.err.splitlines()[-1] == "hint: hftctl start -p local"
    assert hftctl_("status", "-o", "json").document("Status")["state"] == "degraded"


def test_status_warns_loudly_of_the_plain_python_engine(
    deployed: Ended, hftctl_: Hftctl, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = {"ok": True, "sequence": 7, "halted": False, "implementation": "python"}
    monkeypatch.setattr(Files, "ask_engine", lambda *_, **__: answer)
    ended = hftctl_("status")
    assert ended.code == 0
    assert "warning: engine-0 runs the plain-Python engine" in ended.out
    assert "  fix: install a C compiler" in ended.out


def test_status_names_those_there_are_when_several_stand(target: type[Files], hftctl_: Hftctl) -> None:
    hftctl_("deploy", "--yes")
    hftctl_("deploy", "--yes", "--name", "desk")
    ended = hftctl_("status")
    assert ended.code == 2
    assert "2 stand here: desk, local" in ended.err
    assert hftctl_("status", "-p", "desk").code == 0
    assert hftctl_("status", "-p", "other").code == 13


def test_stop_start_and_destroy(deployed: Ended, hftctl_: Hftctl) -> None:
    assert hftctl_("stop").code == 2
    assert hftctl_("stop", "--yes", "-o", "json").document("Stop")["result"] == "stopped"
    assert hftctl_("status").code == 0
    assert hftctl_("start", "--yes", "-o", "json").document("Rollout")["result"] == "ready"
    assert hftctl_("destroy", "--dry-run").out.splitlines() == [
        "  destroys postgres-0, engine-0, gateway-0, nginx",
        "  journals, database and secrets stay",
    ]
    ended = hftctl_("destroy", "--yes")
    assert ended.out.endswith("data stays; remove it: hftctl destroy -p local --data\n")
    assert hftctl_("status").code == 13


def test_data_is_destroyed_by_name_only(deployed: Ended, hftctl_: Hftctl, home: Path) -> None:
    ended = hftctl_("destroy", "--data", "--yes")
    assert ended.code == 2
    assert "by name only" in ended.err
    assert hftctl_("destroy", "-p", "local", "--data", "--yes", "-o", "json").document("Destroy")["data"] is True
    assert not (home / "local").exists()


def test_halt_and_resume(deployed: Ended, hftctl_: Hftctl) -> None:
    assert hftctl_("halt").code == 2
    assert hftctl_("halt", "--dry-run", "-o", "json").document("Halt")["partitions"] == [
        {"partition": 0, "done": False}
    ]
    assert hftctl_("halt", "--yes", "-o", "json").document("Halt")["partitions"][0]["done"] is True
    halted = hftctl_("status")
    assert (halted.code, "takes no orders" in halted.err) == (9, True)
    assert hftctl_("resume", "--yes").code == 2
    assert hftctl_("resume", "--why", "feed is back", "--yes", "-o", "json").document("Resume")["why"] == "feed is back"
    assert hftctl_("status").code == 0


def test_drain_shows_the_point_and_fails_with_the_halt_standing(deployed: Ended, hftctl_: Hftctl) -> None:
    assert hftctl_("drain").code == 2
    assert "would drain 'local'" in hftctl_("drain", "--dry-run").out
    assert hftctl_("status").code == 0
    ended = hftctl_("drain", "--timeout", "200ms", "--yes", "-o", "json")  # files have no PostgreSQL
    document = ended.document("Drain")
    (partition,) = document["partitions"]
    assert (ended.code, document["result"], partition["halted"], partition["sequence"]) == (12, "unfinished", True, 7)
    assert "a target of files has no PostgreSQL" in document["error"]["message"]
    ended = hftctl_("drain", "--timeout", "200ms", "--yes")
    assert ended.code == 12
    assert "hftctl resume -p local --why TEXT" in ended.err


def test_history_names_revisions_and_rollouts(deployed: Ended, hftctl_: Hftctl) -> None:
    document = hftctl_("history", "-o", "json").document("History")
    assert [revision["number"] for revision in document["revisions"]] == [1]
    assert document["rollouts"][0]["verb"] == "deploy"
    assert "deploy of profile local" in hftctl_("history").out


def test_logs_go_to_the_screen_a_document_or_a_new_file(deployed: Ended, hftctl_: Hftctl) -> None:
    assert hftctl_("logs", "engine").out.endswith("engine-0     last words\n")
    assert hftctl_("logs", "-o", "json").document("Logs")["count"] == 1
    assert hftctl_("logs", "--grep", "nothing").out == ""
    assert hftctl_("logs", "--export", "all.log", "-o", "json").document("Logs")["file"] == "all.log"
    assert Path("all.log").read_text().count("last words") == 1
    assert hftctl_("logs", "--export", "all.log").code == 7
    assert hftctl_("logs", "-f", "-o", "json").code == 2
    assert hftctl_("logs", "--grep", "(").code == 2
    assert hftctl_("logs", "trader").code == 13


def test_the_command_to_type_can_be_typed(deployed: Ended, hftctl_: Hftctl) -> None:
    ended = hftctl_("destroy", "--data")
    assert (ended.code, ended.err.splitlines()[-1]) == (2, "hint: type: hftctl destroy --data -p local --yes")
    ended = hftctl_("order", "place", "AAPL", "buy", "--", "-1")
    assert ended.err.splitlines()[-1] == "hint: type: hftctl order place AAPL buy --yes -- -1"


def test_events_are_lines_or_a_document(deployed: Ended, hftctl_: Hftctl) -> None:
    hftctl_("halt", "--why", "feed is stale", "--yes")
    last = hftctl_("events").out.splitlines()[-1]
    assert "  engine-0      halt         halt of partition 0: feed is stale (sequence 7) (" in last
    document = hftctl_("events", "engine", "-o", "json").document("Events")
    assert {event["component"] for event in document["events"]} == {"engine-0"}
    assert hftctl_("events", "-f", "-o", "json").code == 2


def test_secrets_stay_out_of_logs_and_the_newest_lines_are_enough(
    deployed: Ended, hftctl_: Hftctl, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Files, "said", ("one", "key a-secret-of-the-fake", "three"))
    shown = hftctl_("logs", "engine", "--tail", "2").out.splitlines()
    assert [line.split(maxsplit=2)[2] for line in shown] == ["key ***", "three"]
    assert hftctl_("logs", "engine", "--grep", "secret").out == ""
    assert hftctl_("logs", "engine", "--export", "kept.zst").code == 0
    import zstandard

    kept = zstandard.ZstdDecompressor().stream_reader(Path("kept.zst").read_bytes()).read().decode()
    assert [line.split(maxsplit=2)[1:] for line in kept.splitlines()] == [
        ["engine-0", "one"],
        ["engine-0", "key ***"],
        ["engine-0", "three"],
    ]
    assert [path.name for path in Path().iterdir() if "kept" in path.name] == ["kept.zst"], "nothing half is left"
    again = hftctl_("logs", "--export", "kept.zst")
    assert (again.code, "already there" in again.err) == (7, True)


def test_diff_shows_a_profile_against_a_revision_with_where_its_values_come_from(
    deployed: Ended, hftctl_: Hftctl
) -> None:
    assert hftctl_("diff", "1", "local").code == 0
    assert "no difference: revision 1 and what stands now" in hftctl_("diff", "1").out
    Path("desk.yaml").write_text("extends: local\nname: local\ngateways: 3\n")
    ended = hftctl_("diff", "1", "desk.yaml")
    assert ended.code == 3
    assert ["gateways", "1", "3", "desk.yaml:3"] in [line.split() for line in ended.out.splitlines()]
    document = hftctl_("diff", "1", "desk.yaml", "-o", "json").document("Diff")
    assert (document["different"], document["profile"][0]["origin"]) == (True, "desk.yaml:3")
    assert hftctl_("diff", "2").code == 13
