import sys

import pytest

from hftctl.errors import Failed, NotFound
from hftctl.run import run

PYTHON = sys.executable


def test_output_input_and_environment_pass_through():
    done = run(
        [PYTHON, "-c", "import os,sys; print(os.environ['WORD'] + sys.stdin.read())"],
        timeout_s=20,
        env={"WORD": "a"},
        stdin="b",
    )
    assert done.ok
    assert done.stdout == "ab\n"


def test_a_failure_shows_the_command_the_code_and_the_last_words_without_secrets():
    with pytest.raises(Failed) as caught:
        run(
            [PYTHON, "-c", "import sys; sys.exit('password hunter2 is wrong')"],
            timeout_s=20,
            redact=["hunter2"],
        )
    assert "exit 1: password *** is wrong" in caught.value.message
    assert "hunter2" not in caught.value.message


def test_the_time_limit_ends_the_whole_group(tmp_path):
    script = "import subprocess,sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(60)'])"
    with pytest.raises(Failed, match=r"no end after 0\.5 s"):
        run([PYTHON, "-c", script], timeout_s=0.5)


def test_a_missing_program_is_named():
    with pytest.raises(NotFound, match="no-such-program"):
        run(["no-such-program"], timeout_s=1)


def test_the_echo_is_what_a_shell_would_take_with_secrets_out():
    said = []
    run([PYTHON, "-c", "pass", "two words", "hunter2"], timeout_s=20, echo=said.append, redact=["hunter2"])
    assert said == [f"{PYTHON} -c pass 'two words' ***"]
