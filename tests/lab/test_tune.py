"""Tuning on a real kernel, and that a plan writes nothing: needs root, unshare and strace."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from hftctl.tuning.hold_latency import DEVICE
from hftctl.tuning.state import FOLDER as STATE
from tests.lab.machine_state import kept

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]
ROOT = Path(__file__).parents[2]
WRITES = re.compile(
    r"O_WRONLY|O_RDWR|O_CREAT|O_TRUNC|^\S+ (?:rename|unlink|rmdir|mkdir|symlink|link|chmod|fchmod|chown|fchown|truncate|mknod|setxattr)"
)
HARMLESS = re.compile(r'"/dev/(?:null|tty)"|"/proc/self/|SOCK_|pipe')


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("unshare"), reason="needs root and unshare")
def test_a_real_kernel_is_tuned_and_put_back() -> None:
    command = ["unshare", "--net", "--mount", "--propagation", "private", sys.executable, "-m", "tests.lab.tune_host"]
    with kept() as moved:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=200)
    with suppress(OSError):
        Path(STATE).rmdir()  # where it was not there before: something has to be there to mount a private one on
    assert done.returncode == 0, done.stdout + done.stderr
    assert moved == [], "the revert had put everything back"
    seen = json.loads(done.stdout)
    for (cycle,) in (seen["sysctl"], seen["machine"]):
        assert cycle["again"] == "unchanged"
        assert len(cycle["differing"]) == len(cycle["changed"]) - len(cycle["unchangeable"]) > 0
    changed = seen["machine"][0]["changed"]
    for place in (
        "kernel:/sys/devices/virtual/workqueue/cpumask",
        "kernel:/proc/irq/default_smp_affinity",
        "interrupt:virtio",
    ):
        assert any(subject.startswith(place) for subject in changed), place
    assert -9 in seen["kills"][0]["ends"]
    places = {one["what"]: one["got"] for one in seen["places"]}
    print(places, seen["pages"])
    small, large = seen["pages"]
    assert small["result"] == "ready", small["cause"]
    assert re.match(
        r"(64|\d{3,}) pages of 2 MiB, \d+ of them free; huge pages of the machine in all: ", small["verified"][0]
    )
    if large["result"] == "ready":
        assert re.match(r"[1-9]\d* pages of 1 GiB, [1-9]\d* of them free; ", large["verified"][0])
    else:  # memory is in pieces on a machine that has worked for a while: then all is taken back, and it says so
        assert "huge pages of 1048576 KiB were asked for and 0 granted" in large["cause"]


@pytest.mark.skipif(
    os.geteuid() != 0 or not Path(DEVICE).exists(), reason="needs root and a kernel that takes wishes for wake-up times"
)
def test_the_wake_up_time_is_held_for_as_long_as_its_holder_lives() -> None:
    before = held_us()
    assert before > 0
    with subprocess.Popen([sys.executable, "-m", "hftctl.tuning.hold_latency", "0"], cwd=ROOT) as holder:
        try:
            deadline = time.monotonic() + 30
            while held_us() != 0 and time.monotonic() < deadline:
                time.sleep(0.02)
            assert held_us() == 0
            holder.send_signal(signal.SIGTERM)
            assert holder.wait(10) == 0
        finally:
            holder.kill()
    assert held_us() == before


def held_us() -> int:
    return int(struct.unpack("=i", Path(DEVICE).read_bytes()[:4])[0])


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="needs root, to be somebody else")
def test_who_is_not_root_may_look_and_is_told_that_it_takes_root_to_change() -> None:
    reading = "-all,+dac_read_search"  # what is below /root is read by nobody else otherwise
    somebody = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]
    somebody += [f"--{kind}={reading}" for kind in ("inh-caps", "ambient-caps", "bounding-set")]
    environment = {**os.environ, "HOME": "/tmp", "PYTHONDONTWRITEBYTECODE": "1"}

    def tune(*words: str) -> subprocess.CompletedProcess[str]:
        command = [*somebody, sys.executable, "-m", "hftctl", "tune", *words]
        return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)

    assert tune("plan", "virtual-machine").returncode == 3
    refused = tune("apply", "virtual-machine", "--yes")
    assert refused.returncode == 13
    assert "cannot change this host as user 65534: root is needed" in refused.stderr
    assert "hint: run it with sudo" in refused.stderr


@pytest.mark.skipif(not shutil.which("strace"), reason="needs strace")
@pytest.mark.parametrize("words", [("plan", "latency"), ("show",), ("facts",)], ids=" ".join)
def test_what_only_looks_opens_nothing_for_writing(tmp_path: Path, words: tuple[str, ...]) -> None:
    trace = tmp_path / "trace"
    command = [
        "strace",
        "-f",
        "-qq",
        "-e",
        "trace=%file,fchmod,fchown",
        "-o",
        str(trace),
        sys.executable,
        "-m",
        "hftctl",
        "tune",
        *words,
    ]
    done = subprocess.run(
        command,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert done.returncode in {0, 3}, done.stderr
    calls = trace.read_text().splitlines()
    assert len(calls) > 500
    assert [line for line in calls if WRITES.search(line) and not HARMLESS.search(line)] == []
