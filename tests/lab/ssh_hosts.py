"""Hosts that are reached by the system's own ssh: `unshare --mount python -m tests.lab.ssh_hosts FOLDER`.

One sshd on this machine answers for each of them, as whom a key decides: its command works on that host's tree. What a user
writes into ~/.ssh/config stands in a private /etc/ssh/ssh_config.d. Prints one JSON document of what was seen.
"""

from __future__ import annotations

import json
import os
import shlex
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.hftctl.tuning.machines import SMALL
from tests.hftctl.tuning.trees import build, snapshot

ROOT = Path(__file__).parents[2]
NAMES = ("desk1", "desk2", "desk3")
AWAY = "desk9"  # in the inventory of one profile, and no key of it is known
HFTCTL = [sys.executable, "-m", "hftctl"]


def main(folder: Path) -> int:
    if os.readlink("/proc/self/ns/mnt") == os.readlink(f"/proc/{os.getppid()}/ns/mnt"):  # noqa: PTH115
        raise SystemExit("this hides a folder of the machine: start it with unshare --mount")
    for name in NAMES:
        build(folder / name, SMALL)
    port = _free_port()
    _keys(folder, port)
    with subprocess.Popen(
        [_sshd(), "-D", "-e", "-f", str(folder / "sshd_config")], stderr=(folder / "sshd.log").open("w")
    ) as server:
        try:
            _await(port)
            sys.stdout.write(json.dumps(_seen(folder), indent=1) + "\n")
        finally:
            server.terminate()
    return 0


def _seen(folder: Path) -> dict[str, Any]:
    before = {name: snapshot(folder / name) for name in NAMES}
    seen: dict[str, Any] = {verb: _hosts(folder, verb) for verb in ("plan", "apply", "verify", "revert")}
    seen["as_before"] = {name: snapshot(folder / name) for name in NAMES} == before
    seen["away"] = _hosts(folder, "apply", profile="away")
    seen["untouched"] = {name: snapshot(folder / name) for name in NAMES} == before
    return seen


def _hosts(folder: Path, verb: str, profile: str = "desks") -> dict[str, Any]:
    sure = ["--yes"] if verb in {"apply", "revert"} else []
    words = [*HFTCTL, "tune", "hosts", verb, f"./{profile}.yaml", "--program", shlex.join(HFTCTL), *sure, "-o", "json"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=120)
    outcomes = json.loads(done.stdout).get("hosts", [])
    return {
        "code": done.returncode,
        "results": {one["host"]: one["result"] for one in outcomes},
        "said": done.stderr[-600:],
    }


def _keys(folder: Path, port: int) -> None:
    """A key per host, and what both ends are told."""
    for name in (*NAMES, AWAY, "server"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / f"key-{name}")], check=True)
    known = []
    for name in NAMES:
        command = f'cd {ROOT} && PYTHONDONTWRITEBYTECODE=1 exec sh -c "$SSH_ORIGINAL_COMMAND --root {folder / name}"'
        known.append(f"command={json.dumps(command)} {(folder / f'key-{name}.pub').read_text()}")
    (folder / "authorized").write_text("".join(known))
    (folder / "sshd_config").write_text(
        f"ListenAddress 127.0.0.1\nPort {port}\nHostKey {folder / 'key-server'}\nAuthorizedKeysFile {folder / 'authorized'}\n"
        f"PidFile none\nPasswordAuthentication no\nPermitRootLogin prohibit-password\nStrictModes no\nUsePAM no\n"
    )
    told = "".join(
        f"Host {name}\n HostName 127.0.0.1\n Port {port}\n User root\n IdentityFile {folder / f'key-{name}'}\n IdentitiesOnly yes\n"
        f" UserKnownHostsFile {folder / 'known'}\n StrictHostKeyChecking accept-new\n"
        for name in (*NAMES, AWAY)
    )
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/etc/ssh/ssh_config.d"], check=True)
    Path("/etc/ssh/ssh_config.d/lab.conf").write_text(told)
    Path("/run/sshd").mkdir(exist_ok=True)
    for profile, names in (("desks", NAMES), ("away", (AWAY, *NAMES))):
        lines = f"extends: local\nhost:\n  profile: latency\n  wave: 2\n  inventory: [{', '.join(names)}]\n"
        (folder / f"{profile}.yaml").write_text(lines)


def _sshd() -> str:
    return "/usr/sbin/sshd"  # it wants to be called by its whole path


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


def _await(port: int) -> None:
    deadline = time.monotonic() + 15
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port), 1):
                return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
