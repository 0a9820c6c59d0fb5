"""One measurement: a thread per CPU, all counting over the same time, and what the kernel counted meanwhile."""

from __future__ import annotations

import os
import platform
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from hftctl.errors import Failed, NotFound, UsageError
from hftctl.tuning import cpu_list
from hftctl.tuning.probe import counters
from hftctl.tuning.probe.report import CpuReport, Report, cpu_report

if TYPE_CHECKING:
    from hftctl.tuning.probe.clock import Clock
    from hftctl.tuning.probe.loop import Meeting, Spun

ARRIVAL_TIMEOUT_S = 10.0
WARM_S = 0.2  # together, once all have arrived: for the clock rate of the processor to settle
LOOK_S = 0.2
LATE_S = 30.0  # a thread that does not come back so long after the end is stuck behind something of higher priority
DURATION_MAX_S = 3600.0
FIFO_PRIORITY = 1
DEVICES = Path("/sys/devices/system/cpu")


@dataclass
class Watcher:
    """What one thread brings back."""

    cpu: int
    spun: Spun | None = None
    error: BaseException | None = None
    thread: threading.Thread = field(default_factory=threading.Thread)


def measure(
    cpus: Sequence[int],
    *,
    duration_s: float,
    threshold_ns: int = 0,
    clock: str = "",
    fifo: bool = False,
) -> Report:
    """Busy loops on these CPUs for so long. `threshold_ns` 0: eight times the loop's own cost, at least 200.

    `clock`: `counter`, `system`, or empty for the better one. `fifo`: as SCHED_FIFO, which ordinary programs cannot
    interrupt. Raises NotFound where the compiled part is missing, UsageError for CPUs that we may not use, Inconclusive
    when the clock is no clock, Failed when a thread cannot be pinned or does not come back.
    """
    choose, meeting = _compiled()
    _check(cpus, duration_s)
    chosen: Clock = choose(_cpuinfo(), clock)
    watchers = [Watcher(cpu) for cpu in cpus]
    with _housekeeping(cpus), _memory_locked() as locked:
        before, after, interrupted = _run(watchers, meeting, chosen, int(duration_s * 1e9), threshold_ns, fifo)
        drift_ppm = chosen.drift_ppm()
    for watcher in watchers:
        if watcher.error is not None:
            raise watcher.error
    return Report(
        measured_at=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        kernel=platform.release(),
        processor=_model(),
        isolated=_device("isolated"),
        nohz_full=_device("nohz_full"),
        clock=chosen.name,
        clock_why=chosen.why,
        clock_ghz=chosen.ghz,
        clock_drift_ppm=drift_ppm,
        asked_s=duration_s,
        interrupted=interrupted,
        memory_locked=locked,
        fifo=fifo,
        cpus=tuple(_reports(watchers, before, after)),
    )


def default_cpus() -> tuple[int, ...]:
    """The isolated CPUs; without any, all that we may use."""
    allowed = os.sched_getaffinity(0)
    isolated = [cpu for cpu in cpu_list.parse(_device("isolated")) if cpu in allowed]
    return tuple(isolated or sorted(allowed))


def _compiled() -> tuple[Callable[[str, str], Clock], Meeting]:
    try:
        from hftctl.tuning.probe.clock import choose
        from hftctl.tuning.probe.loop import Meeting
    except ImportError as error:
        raise NotFound(
            "the probe's loop is not compiled here, and plain Python is too slow to see what interrupts a CPU: "
            f"{error}",
            hint="with a C compiler and Python's headers: hftctl build",
        ) from error
    return choose, Meeting()


def _check(cpus: Sequence[int], duration_s: float) -> None:
    if not 0 < duration_s <= DURATION_MAX_S:
        raise UsageError(
            f"cannot measure for {duration_s:g} s: it is above 0 and at most an hour", hint="--duration 10s"
        )
    if not hasattr(os, "sched_setaffinity"):
        raise NotFound(f"cannot pin a thread to a CPU on {platform.system()}: the probe needs Linux")
    allowed = os.sched_getaffinity(0)
    if missing := sorted(set(cpus) - allowed):
        raise UsageError(
            f"cannot measure on CPU {cpu_list.shown(missing)}: this process may use {cpu_list.shown(allowed)} only "
            "(absent, offline, or kept from us by a cpuset; those of hft.slice: systemd-run --scope --slice=hft.slice hftctl tune probe)",
            hint=f"hftctl tune probe --cpus {cpu_list.shown(allowed)}",
        )
    if not cpus:
        raise UsageError("no CPU to measure on", hint=f"hftctl tune probe --cpus {cpu_list.shown(allowed)}")


def _run(
    watchers: Sequence[Watcher],
    meeting: Meeting,
    clock: Clock,
    duration_ns: int,
    threshold_ns: int,
    fifo: bool,
) -> tuple[counters.Snapshot, counters.Snapshot, bool]:
    """Counters are read while all loops run warm, and again when all have ended."""
    from hftctl.tuning.probe.loop import spin

    def watch(watcher: Watcher) -> None:
        try:
            os.sched_setaffinity(0, {watcher.cpu})
            if fifo:
                os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(FIFO_PRIORITY))
            watcher.spun = spin(meeting, duration_ns, clock.scale, threshold_ns, clock.by_counter)
        except OSError as error:
            what = "be pinned to it" if not fifo else "get SCHED_FIFO on it (that needs root or RLIMIT_RTPRIO)"
            watcher.error = Failed(
                f"cannot measure on CPU {watcher.cpu}: the thread could not {what}: {error.strerror}"
            )
            meeting.stop()

    cpus = [watcher.cpu for watcher in watchers]
    for watcher in watchers:
        watcher.thread = threading.Thread(target=watch, args=(watcher,), name=f"probe-{watcher.cpu}", daemon=True)
        watcher.thread.start()
    interrupted = False
    try:
        _arrived(watchers, meeting)
        time.sleep(WARM_S)
        before = counters.read(cpus)
        meeting.begin()
        end_s = time.monotonic() + duration_ns / 1e9
        try:
            while (left_s := end_s - time.monotonic()) > 0 and any(one.thread.is_alive() for one in watchers):
                time.sleep(min(LOOK_S, left_s))
        except KeyboardInterrupt:
            interrupted = True  # what was measured until here is worth telling
            meeting.stop()
        for watcher in watchers:
            watcher.thread.join(LATE_S)
            if watcher.thread.is_alive():
                raise Failed(f"the loop on CPU {watcher.cpu} got no processor for {LATE_S:g} s after its end")
        return before, counters.read(cpus), interrupted
    finally:
        meeting.stop()


def _arrived(watchers: Sequence[Watcher], meeting: Meeting) -> None:
    limit_s = time.monotonic() + ARRIVAL_TIMEOUT_S
    while meeting.arrived < len(watchers) and not any(watcher.error for watcher in watchers):
        if time.monotonic() > limit_s:
            raise Failed(
                f"only {meeting.arrived} of {len(watchers)} loops got their CPU within {ARRIVAL_TIMEOUT_S:g} s: "
                "something of higher priority has the others",
                hint="see what runs there: ps -eLo psr,cls,rtprio,comm --sort psr",
            )
        time.sleep(0.01)


@contextmanager
def _housekeeping(cpus: Sequence[int]) -> Iterator[None]:
    """What waits and reads counters does so on other CPUs, where there are any."""
    allowed = os.sched_getaffinity(0)
    if others := allowed - set(cpus):
        os.sched_setaffinity(0, others)
    try:
        yield
    finally:
        os.sched_setaffinity(0, allowed)


@contextmanager
def _memory_locked() -> Iterator[bool]:
    from hftctl.tuning.probe.loop import lock_memory, unlock_memory

    locked = lock_memory() == 0
    try:
        yield locked
    finally:
        if locked:
            unlock_memory()


def _reports(watchers: Sequence[Watcher], before: counters.Snapshot, after: counters.Snapshot) -> Iterator[CpuReport]:
    for watcher in watchers:
        if watcher.spun is not None:
            yield cpu_report(watcher.cpu, watcher.spun, counters.between(before, after, watcher.cpu))


def _cpuinfo() -> str:
    try:
        return Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _model() -> str:
    lines = (line.partition(":") for line in _cpuinfo().splitlines())
    return next((value.strip() for key, _, value in lines if key.strip() == "model name"), platform.machine())


def _device(name: str) -> str:
    try:
        return (DEVICES / name).read_text(encoding="ascii").strip().replace("(null)", "")
    except OSError:
        return ""
