"""load and replay start a process: what becomes of its report, its talk, its exit code and a key."""

from __future__ import annotations

import json

import pytest

from hftctl.cli.generator import run
from hftctl.errors import Failed, HftctlError, NotFound, Refused, UsageError
from stack.traffic.load_report import merged, report
from tests.hftctl.cli.conftest import Ended, Files, Hftctl

PRETEND = "tests.hftctl.cli.pretend"


@pytest.mark.parametrize("code", [0, 11])
def test_a_report_comes_back_with_its_code_and_the_talk_goes_to_stderr(
    deployed: Ended, capsys: pytest.CaptureFixture[str], code: int
) -> None:
    found, ended = run(PRETEND, None, [str(code)], i_mean=None)
    assert (found["url"], ended) == ("http://127.0.0.1:1", code)
    assert capsys.readouterr().err == f"warming up\nthe last word, {code}\n"


@pytest.mark.parametrize(("code", "kind"), [(2, UsageError), (7, Refused), (13, NotFound), (1, Failed), (3, Failed)])
def test_without_a_report_the_last_word_is_the_error(
    deployed: Ended, capsys: pytest.CaptureFixture[str], code: int, kind: type[HftctlError]
) -> None:
    with pytest.raises(kind) as caught:
        run(PRETEND, None, [str(code)], i_mean=None)
    assert caught.value.message == f"pretend: the last word, {code}"
    assert capsys.readouterr().err == "warming up\n"


def test_a_key_reaches_the_process_and_stands_on_no_command_line(
    deployed: Ended, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Files, "key", "k" * 43)
    found, _ = run(PRETEND, None, ["0"], i_mean=None)
    assert (found["key_length"], found["key_in_words"]) == (43, False)


def test_the_report_of_a_load_is_what_its_schema_says(
    deployed: Ended, hftctl_: Hftctl, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = report(*merged([]), duration_s=1.0, rate=100.0)
    monkeypatch.setattr("hftctl.cli.generator._ended", lambda *_: (json.dumps(made), "", 0))
    document = hftctl_("load", "--rate", "100", "-o", "json").document("Load")
    assert document["loop"].startswith("open loop")
    assert "latency_ms" in hftctl_("load").out


def test_more_workers_than_clients_and_a_missing_file_are_refused_at_once(deployed: Ended, hftctl_: Hftctl) -> None:
    assert hftctl_("load", "--clients", "3", "--workers", "4").code == 2
    assert hftctl_("replay", "gone.gz").code == 13
