"""Many hosts over the system's ssh and a real sshd: planned, tuned one alone and then in a wave, verified, put back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.lab import ssh_hosts

pytestmark = [
    pytest.mark.lab,
    pytest.mark.timeout(180),
    pytest.mark.skipif(
        os.geteuid() != 0 or not Path("/usr/sbin/sshd").exists() or not Path("/etc/ssh/ssh_config.d").is_dir(),
        reason="needs root, openssh-server and openssh-client",
    ),
]


def test_hosts_are_tuned_over_ssh_and_put_back(tmp_path: Path) -> None:
    command = [
        "unshare",
        "--mount",
        "--propagation",
        "private",
        sys.executable,
        "-m",
        "tests.lab.ssh_hosts",
        str(tmp_path),
    ]
    done = subprocess.run(command, cwd=ssh_hosts.ROOT, capture_output=True, text=True, check=False, timeout=150)
    log = (tmp_path / "sshd.log").read_text()[-1500:] if (tmp_path / "sshd.log").exists() else ""
    assert done.returncode == 0, done.stderr + log
    seen = json.loads(done.stdout)
    for verb, code, result in (
        ("plan", 3, "pending"),
        ("apply", 0, "ready"),
        ("verify", 3, "differs"),
        ("revert", 0, "ready"),
    ):
        assert seen[verb]["code"] == code, seen[verb]["said"] + log
        assert seen[verb]["results"] == dict.fromkeys(ssh_hosts.NAMES, result)
    assert seen["as_before"]
    away = seen["away"]
    assert away["code"] == 4
    assert away["results"][ssh_hosts.AWAY] == "unreachable"
    assert {away["results"][name] for name in ssh_hosts.NAMES} == {"not touched"}
    assert seen["untouched"]
