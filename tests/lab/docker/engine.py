"""A dockerd of a test's own. It is started as a child, its images outlive it, and it is ended by its pid.

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
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.lab.docker.packages import CACHE, unpacked

START_S = 60.0
STOP_S = 60.0


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

    def restart(self, how: int = signal.SIGTERM) -> None:
        """As an upgrade of Docker, or its crash, does it."""
        _end(self.dockerd, how)
        self.dockerd = _start(self.run, self.env)


@contextmanager
def engine() -> Iterator[Engine]:
    programs = unpacked()
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock, tempfile.TemporaryDirectory(prefix="hftctl-docker-", dir="/tmp") as folder:
        fcntl.flock(lock, fcntl.LOCK_EX)
        run = Path(folder)
        plugins = run / "config" / "cli-plugins"
        plugins.mkdir(parents=True)
        for plugin in (programs / "usr/libexec/docker/cli-plugins").iterdir():
            (plugins / plugin.name).symlink_to(plugin)
        path = os.pathsep.join(
            [f"{programs}/usr/sbin", f"{programs}/usr/bin", "/usr/sbin", "/sbin", os.environ["PATH"]]
        )
        env = {"DOCKER_HOST": f"unix://{run}/docker.sock", "DOCKER_CONFIG": str(run / "config"), "PATH": path}
        started = Engine(run, env, _start(run, env))
        try:
            yield started
        finally:
            _end(started.dockerd, signal.SIGTERM)


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
