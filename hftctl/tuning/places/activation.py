"""What has to be told after a file was written, so that it takes effect now and not at the next boot.

Each is safe to repeat: after a death it is not known whether it ran. Nothing is run for a captured tree.
"""

from __future__ import annotations

import re
import shutil

from hftctl.plan.change import Spec
from hftctl.run import run
from hftctl.tuning.host import Host

TIMEOUT_S = 60.0
IRQBALANCE = ("/etc/default/irqbalance", "/etc/sysconfig/irqbalance")
UNITS = re.compile(r"/etc/systemd/system/([\w.@\\-]+\.(?:service|mount|slice))")
WANTED = re.compile(r"/etc/systemd/system/[\w.-]+\.wants/(hftctl-latency\.service|[\w\\-]+\.(?:mount|slice))")
MODULES = "/etc/modules-load.d/"
RULES = "/etc/udev/rules.d/"


def after(host: Host, where: str, spec: Spec | None) -> None:
    for command in commands(host, where, spec):
        run(command, timeout_s=TIMEOUT_S)


def commands(host: Host, where: str, spec: Spec | None) -> list[list[str]]:
    if not host.live:
        return []
    if where.startswith(MODULES):
        return [["modprobe", module] for module in _words(spec)]
    if where.startswith(RULES):
        return (
            [["udevadm", "control", "--reload"]] if shutil.which("udevadm") and host.exists("/run/udev/control") else []
        )
    if not host.exists("/run/systemd/system"):
        return []  # systemd does not run here: what it reads at its start is all there is
    if where in IRQBALANCE:
        return [["systemctl", "try-restart", "irqbalance.service"]]
    if UNITS.fullmatch(where):
        return [["systemctl", "daemon-reload"]]
    if wanted := WANTED.fullmatch(where):
        if spec is None and (_populated(host, wanted[1]) or not _active(wanted[1])):
            return [["systemctl", "daemon-reload"]]  # to stop a slice is to end what runs in it
        return [["systemctl", "daemon-reload"], ["systemctl", "start" if spec else "stop", wanted[1]]]
    return []


def _populated(host: Host, unit: str) -> bool:
    return unit.endswith(".slice") and "populated 1" in (host.read(f"/sys/fs/cgroup/{unit}/cgroup.events") or "")


def _active(unit: str) -> bool:
    """A start of the machine after a death in a revert has not even loaded it, and a stop of such a unit is an error."""
    return run(["systemctl", "is-active", "--quiet", unit], timeout_s=TIMEOUT_S, check=False).ok


def _words(spec: Spec | None) -> list[str]:
    lines = str((spec or {}).get("text", "")).splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]
