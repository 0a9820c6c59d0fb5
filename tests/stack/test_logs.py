import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest

from stack import logs
from stack.settings import Settings


@pytest.fixture
def log_file(tmp_path: Path):
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers[:] = []
    path = tmp_path / "logs" / "engine-0.log"
    logs.start(Settings(deployment="test", component="engine-0", log_file=str(path), metrics_dir=str(tmp_path)))
    yield path
    for handler in root.handlers:
        handler.close()
    root.handlers[:], root.level = handlers, level


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_each_message_is_one_json_line_with_its_fields(log_file: Path) -> None:
    logging.getLogger("x").info("took %d\nlines", 2, extra={"fields": {"sequence": 7}})
    logging.getLogger("x").debug("not at this level")
    (line,) = lines(log_file)
    assert line["message"] == "took 2\nlines"
    assert (line["level"], line["component"], line["fields"]) == ("info", "engine-0", {"sequence": 7})
    assert line["time"].endswith("Z") and len(line["time"]) == 27


def test_a_renamed_file_is_reopened(log_file: Path) -> None:
    logging.getLogger("x").info("first")
    log_file.rename(log_file.with_suffix(".1"))
    logging.getLogger("x").info("second")
    assert [line["message"] for line in lines(log_file)] == ["second"]


def test_an_exception_is_one_line_and_a_traceback(log_file: Path) -> None:
    try:
        raise OSError(28, "No space left on device")
    except OSError:
        logging.getLogger("x").exception("cannot write")
    (line,) = lines(log_file)
    assert line["error"] == "OSError: [Errno 28] No space left on device"
    assert "Traceback" in line["traceback"]


def test_the_level_can_change_while_running(log_file: Path) -> None:
    logs.set_level("debug")
    logging.getLogger("x").debug("now")
    assert [line["message"] for line in lines(log_file)] == ["now"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is always full")
@pytest.mark.parametrize(("end", "code"), [("sys.exit(10)", 10), ("raise ValueError", 1)])
def test_a_full_disk_does_not_change_the_exit_status(tmp_path: Path, end: str, code: int) -> None:
    program = (
        "import sys; from stack import logs; from stack.settings import Settings; "
        "logs.start(Settings(deployment='t', component='c', log_file='/dev/full', metrics_dir='.')); "
        f"logs.logging.getLogger('x').critical('does not start'); {end}"
    )
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run([sys.executable, "-c", program], stdout=full, stderr=full, check=False)
    assert ended.returncode == code
