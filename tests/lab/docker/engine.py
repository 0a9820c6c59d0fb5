"""A dockerd of a test's own. Its images outlive it; it does not outlive who started it, however that one ends.

    python -m tests.lab.docker.engine         until it is interrupted; prints what to export

One at a time on a machine: the folder with the images is locked.
"""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.lab.docker.minder import STOP_S
from tests.lab.docker.packages import CACHE, unpacked

ROOT = Path(__file__).parents[3]
START_S = 60.0
IMAGES_KEPT = 4  # of our services: one for each of the last contents
BUILD_CACHE_KEPT = "4gb"


@dataclass
class Engine:
    """One that runs, and what programs need in their environment to use it."""

    run: Path
    env: dict[str, str]
    dockerd: subprocess.Popen[bytes]

    @property
    def socket(self) -> Path:
        return self.run / "docker.sock"

    def docker(self, *words: str | Path, check: bool = True, **more: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(["docker", *words], env={**os.environ, **self.env}, text=True, check=check,
                              capture_output=True, **more)  # type: ignore[call-overload,no-any-return] # fmt: skip

    def restart(self, how: int = signal.SIGTERM, meanwhile: Callable[[], object] = lambda: None) -> None:
        """As an upgrade of Docker, or its crash, does it; `meanwhile` there is none."""
        _end(self.dockerd, how)
        meanwhile()
        self.dockerd = _start(self.run, self.env)


@contextmanager
def engine() -> Iterator[Engine]:
    programs = unpacked()
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        run = Path(tempfile.mkdtemp(prefix="hftctl-docker-", dir="/tmp"))
        minder = subprocess.Popen(
            [sys.executable, "-m", "tests.lab.docker.minder", run],
            stdin=subprocess.PIPE, pass_fds=[lock.fileno()], start_new_session=True, cwd=ROOT,
        )  # fmt: skip
        started = None
        try:
            started = _engine(run, programs)
            _clear(started)
            yield started
        finally:
            minder.communicate()
            if started is not None:
                started.dockerd.wait()


def _engine(run: Path, programs: Path) -> Engine:
    plugins = run / "config" / "cli-plugins"
    plugins.mkdir(parents=True)
    for plugin in (programs / "usr/libexec/docker/cli-plugins").iterdir():
        (plugins / plugin.name).symlink_to(plugin)
    path = os.pathsep.join([f"{programs}/usr/sbin", f"{programs}/usr/bin", "/usr/sbin", "/sbin", os.environ["PATH"]])
    env = {"DOCKER_HOST": f"unix://{run}/docker.sock", "DOCKER_CONFIG": str(run / "config"), "PATH": path}
    return Engine(run, env, _start(run, env))


def _clear(engine: Engine) -> None:
    """What a run that was killed left, whose containers Docker starts again; and images of contents long gone."""
    docker = engine.docker
    if containers := docker("ps", "-aq").stdout.split():
        docker("rm", "-fv", *containers)
    if volumes := docker("volume", "ls", "-q").stdout.split():
        docker("volume", "rm", "-f", *volumes)
    docker("network", "prune", "-f")
    ours = docker("images", "hftctl/stack", "--format", "{{.Repository}}:{{.Tag}}").stdout.split()  # the newest first
    if old := ours[IMAGES_KEPT:]:
        docker("rmi", *old)
    docker("buildx", "prune", "-f", "--keep-storage", BUILD_CACHE_KEPT)


def _start(run: Path, env: dict[str, str]) -> subprocess.Popen[bytes]:
    """It starts its own containerd, which ends with it."""
    with (run / "dockerd.log").open("ab") as log:
        process = subprocess.Popen(
            ["dockerd", "--data-root", CACHE / "docker", "--exec-root", run / "exec", "--pidfile", run / "dockerd.pid",
             "--host", env["DOCKER_HOST"], "--userland-proxy=false", "--log-level", "warn"],
            env={**os.environ, **env}, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
    deadline = time.monotonic() + START_S
    while subprocess.run(["docker", "version"], env={**os.environ, **env}, capture_output=True, check=False).returncode:
        if process.poll() is not None or time.monotonic() > deadline:
            _end(process, signal.SIGKILL)
            said = (run / "dockerd.log").read_text().splitlines()[-15:]
            raise RuntimeError("dockerd did not start:\n" + "\n".join(said))
        time.sleep(0.2)
    return process


def _end(process: subprocess.Popen[bytes], how: int) -> None:
    if process.poll() is None:
        process.send_signal(how)
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    if how == signal.SIGKILL:
        try:
            os.killpg(process.pid, signal.SIGKILL)  # its containerd; both are of a session of ours
        except ProcessLookupError:
            return


def main() -> int:
    from tests.lab.docker.images import make

    with engine() as started:
        images = make(started)
        for name, value in started.env.items():
            print(f"export {name}={value}")
        print(f"# base {images.base}, servers {images.servers}", flush=True)
        try:
            signal.pause()
        except KeyboardInterrupt:
            return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
