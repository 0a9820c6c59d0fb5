"""`logs -f` over crashes, rotations and a killed supervisor: each line once, none lost."""

import os
import signal
import sys
import threading
from collections import defaultdict
from pathlib import Path

from hftctl.targets.local import control, rotation
from hftctl.targets.local.log_stream import stream

LINES = 100_000  # by each of two writers
LIMIT = 3 << 20  # all that is written fits into the files that are kept, however slow this machine reads
BEHIND = 10_000  # lines

# Numbers its lines; after each it says in a file of its own how many it has written, so that a kill hides nothing.
COUNTED = """
import os, sys, time, mmap
where = open(os.path.join(sys.argv[1], sys.argv[2] + "." + str(os.getpid())), "w+b")
where.truncate(8)
count = mmap.mmap(where.fileno(), 8)
def numbers():
    yield from range(int(sys.argv[3]))
    while not os.path.exists(sys.argv[1] + ".enough"):
        time.sleep(0.01)
def done(number):
    count[:8] = number.to_bytes(8, "little")
"""
TO_OUTPUT = (
    COUNTED
    + """
for number in numbers():
    os.write(1, b"%d:%d: %s\\n" % (os.getpid(), number, b"x" * 40))
    done(number + 1)
os.write(1, b"end\\n")
import signal
while True: signal.pause()
"""
)
TO_LOG = (
    COUNTED
    + """
import logging
from logging.handlers import WatchedFileHandler
log = logging.Logger("x")
log.addHandler(WatchedFileHandler("../logs/" + sys.argv[2] + ".log"))
for number in numbers():
    log.info("%d:%d: %s", os.getpid(), number, "x" * 40)
    done(number + 1)
log.info("end")
import signal
while True: signal.pause()
"""
)


def test_no_line_is_lost_or_comes_twice_over_crashes_rotations_and_a_new_supervisor(stage, tmp_path):
    counts = tmp_path / "counts"
    counts.mkdir()
    logs = stage.layout.logs
    programs = {"output": TO_OUTPUT, "log": TO_LOG}
    processes = {}
    for name, program in programs.items():
        process = stage.process(program, component=name, logs=("log.log",) if name == "log" else ())
        argv = (sys.executable, "-S", "-E", "-c", program, str(counts), name, str(LINES))
        processes[name] = type(process)(**{**process.__dict__, "argv": argv})
    found = defaultdict(list)
    ended = {name: threading.Event() for name in programs}
    enough = threading.Event()

    def follow():
        def wait(_):
            if enough.wait(0.001):
                raise KeyboardInterrupt

        try:
            for line in stream(logs, list(programs), since_s=None, follow=True, wait=wait):
                if line.text == "end":
                    ended[line.component].set()
                else:
                    pid, number, _ = line.text.split(":")
                    found[line.component, int(pid)].append(int(number))
        except KeyboardInterrupt:
            return

    def behind():
        return sum(map(count, counts.iterdir())) - sum(map(len, list(found.values())))

    follower = threading.Thread(target=follow)
    follower.start()
    rotations = 0
    try:
        for process in processes.values():
            control.apply(stage.layout, process)
        for round_ in range(3):
            for name in programs:
                pid = stage.pid(name)
                mark = counts / f"{name}.{pid}"
                stage.until(lambda mark=mark: mark.exists() and count(mark) > LINES // 20, "it writes")
                os.kill(pid, signal.SIGKILL)
                stage.pid(name, other_than=pid)
            if round_ == 1:
                stage.kill_supervisor()
                control.ensure(stage.layout)
        Path(f"{counts}.enough").touch()  # only now: what was killed had not said its end
        while not all(event.is_set() for event in ended.values()):
            rotations += len(rotation.rotate(logs, processes["log"], stage.record("log"), limit=LIMIT))
            if behind() < BEHIND:  # who reads slower than an output is given back sees a gap, and is told
                rotation.trim(logs / "output.out", LIMIT, LIMIT // 2)
            assert follower.is_alive()
            ended["output"].wait(0.05)
    finally:
        enough.set()
        follower.join()
    for mark in counts.iterdir():
        name, pid = mark.name.split(".")
        numbers = found.pop((name, int(pid)))
        assert numbers == list(range(len(numbers))), f"{mark.name}: lost or twice"
        assert len(numbers) >= count(mark), f"{mark.name}: what it wrote before its end is lost"
    assert not found
    assert rotations
    assert sum(1 for mark in counts.iterdir() if count(mark) >= LINES) >= 2


def count(mark: Path) -> int:
    return int.from_bytes(mark.read_bytes(), "little")
