"""Every error ends in lines on stderr (or one document) and its exit code; nothing else gets out."""

from __future__ import annotations

import errno
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from hftctl.cli import boundary
from hftctl.errors import LockHeld
from tests.hftctl.cli.conftest import Ended, Hftctl

ROOT = Path(__file__).parents[3]


def failing(error: BaseException) -> Callable[[], int]:
    def command() -> int:
        raise error

    return command


def guarded(capsys: pytest.CaptureFixture[str], error: BaseException, *words: str, debug: bool = False) -> Ended:
    code = boundary.guarded(failing(error), words, debug=debug)
    said = capsys.readouterr()
    return Ended(code, said.out, said.err)


def test_a_known_error_is_a_line_and_a_hint(capsys: pytest.CaptureFixture[str]) -> None:
    ended = guarded(capsys, LockHeld("lock held by ana@desk3", hint="wait with --lock-wait"))
    assert ended == (6, "", "error: lock held by ana@desk3\nhint: wait with --lock-wait\n")


def test_a_known_error_as_json_is_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["-o", "json"], ["-ojson"], ["--output=json"], ["--output", "json"]):
        ended = guarded(capsys, LockHeld("held"), "deploy", *words)
        assert ended.document("Error")["code"] == "lock-held"
        assert ended.err == ""


def test_our_own_bug_names_a_log_file_that_holds_the_trace(capsys: pytest.CaptureFixture[str], home: Path) -> None:
    ended = guarded(capsys, ZeroDivisionError("division by zero"), "status")
    (log,) = (home / "errors").iterdir()
    assert ended.code == 70
    assert (
        ended.err == f"error: hftctl has a bug: ZeroDivisionError: division by zero\nhint: the details stand in {log}\n"
    )
    assert "Traceback" in log.read_text()
    assert log.stat().st_mode & 0o777 == 0o600


def test_the_trace_is_shown_only_on_request(capsys: pytest.CaptureFixture[str]) -> None:
    assert "Traceback" not in guarded(capsys, LockHeld("held")).err
    assert "Traceback" in guarded(capsys, LockHeld("held"), debug=True).err


def test_a_state_home_that_cannot_be_written_does_not_hide_the_bug(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HFTCTL_HOME", "/proc/nowhere")
    ended = guarded(capsys, ZeroDivisionError("zero"))
    assert ended.code == 70
    assert "run it again with --debug" in ended.err


def test_ctrl_c_is_130(capsys: pytest.CaptureFixture[str]) -> None:
    assert guarded(capsys, KeyboardInterrupt()) == (
        130,
        "",
        "error: interrupted\nhint: see what stands: hftctl status\n",
    )


def test_wrong_usage_is_2_with_the_help_to_read(hftctl_: Hftctl) -> None:
    assert hftctl_("deploy", "--colour") == (2, "", "error: No such option: --colour\nhint: hftctl deploy --help\n")
    assert hftctl_("profile", "chek").err.startswith("error: No such command 'chek'. Did you mean 'check'")
    assert hftctl_("deploy", "--colour", "-o", "json").document("Error")["code"] == "usage"
    assert hftctl_("load", "--duration", "soon").err.startswith("error: Invalid value for '--duration': 'soon' is not")


def test_no_command_shows_help_and_is_2(hftctl_: Hftctl) -> None:
    for words in ((), ("profile",), ("order",)):
        ended = hftctl_(*words)
        assert (ended.code, ended.err.startswith("Usage: hftctl")) == (2, True)


def test_switches_are_taken_behind_a_command_too(hftctl_: Hftctl) -> None:
    assert "Traceback" in hftctl_("status", "--debug").err
    assert "Traceback" in hftctl_("-v", "status").err


def test_a_reader_that_leaves_ends_us_quietly() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "hftctl", "profile", "schema"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    assert (process.stderr.read(), process.wait()) == (b"", 0)
    process.stderr.close()


def on_a_terminal(answer: bytes, *words: str, **env: str) -> tuple[int, str]:
    """Exit code and all that a person would see who types `answer`."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ.update(env)
        os.chdir(ROOT)
        os.execv(sys.executable, [sys.executable, "-m", "hftctl", *words])
    if answer == b"\x03":
        os.read(terminal, 1)  # the question stands there, or is about to
    os.write(terminal, answer)
    seen = bytearray()
    try:
        while piece := os.read(terminal, 65536):
            seen += piece
    except OSError:
        pass  # the other end is closed
    os.close(terminal)
    _, status = os.waitpid(pid, 0)
    assert not os.WIFSIGNALED(status), signal.Signals(os.WTERMSIG(status))
    return os.WEXITSTATUS(status), seen.decode()


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    (tmp_path / "desk.toml").write_text("[system]\nmax_workers = 2\n")
    return tmp_path / "desk.toml"


def test_on_a_terminal_it_asks_and_a_no_is_7(settings: Path, tmp_path: Path) -> None:
    words = ("profile", "import", str(settings), "--to", str(tmp_path / "desk.yaml"))
    code, seen = on_a_terminal(b"n\n", *words)
    assert (code, "was declined; nothing was changed" in seen) == (7, True)
    assert not (tmp_path / "desk.yaml").exists()
    code, seen = on_a_terminal(b"y\n", *words)
    assert (code, (tmp_path / "desk.yaml").exists()) == (0, True)


def test_colours_are_for_terminals_that_want_them(settings: Path) -> None:
    words = ("profile", "docs", "bind")
    assert "\x1b[" in on_a_terminal(b"", *words, TERM="xterm")[1]
    assert "\x1b[" not in on_a_terminal(b"", *words, TERM="dumb")[1]
    assert "\x1b[" not in on_a_terminal(b"", *words, TERM="xterm", NO_COLOR="1")[1]
    assert "\x1b[" not in on_a_terminal(b"", *words, "--no-color", TERM="xterm")[1]


def test_talk_that_nobody_reads_stops_no_work() -> None:
    code = "import sys; from hftctl.cli.output import say; say('a'); say('b'); sys.stdout.write('done')"
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, stderr=writer)
    os.close(writer)
    assert done.stdout == b"done"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
def test_a_disk_that_takes_nothing_is_no_bug_of_ours(capsys: pytest.CaptureFixture[str], number: int) -> None:
    ended = guarded(capsys, OSError(number, os.strerror(number), "/somewhere/rollout.journal"))
    assert ended.code == 4
    assert ended.err.startswith(
        f"error: cannot write /somewhere/rollout.journal: {os.strerror(number)}; what was begun"
    )
    assert ended.err.endswith("see how to go on: hftctl status\n")
    tuning = guarded(capsys, OSError(number, os.strerror(number), "/var/lib/hftctl-tune/lock"), "tune", "apply")
    assert tuning.err.endswith("see how to go on: hftctl tune show\n"), "a deployment's status tells nothing of a host"


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM])
def test_rights_that_we_have_not_are_no_bug_of_ours(capsys: pytest.CaptureFixture[str], number: int) -> None:
    ended = guarded(capsys, PermissionError(number, os.strerror(number), "/home/ana/hftctl/local/lock"))
    assert ended.code == 13
    assert f"cannot use /home/ana/hftctl/local/lock: {os.strerror(number)}" in ended.err
    assert "run as its owner" in ended.err


def test_a_working_directory_that_is_gone_is_said(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    code = "import os, sys; os.rmdir(os.getcwd()); from hftctl.cli.main import run; sys.exit(run(['plan', 'x.yaml']))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=gone,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, "bug" in done.stderr) == (2, False)
