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
WANTED = re.compile(r"/etc/systemd/system/[\w.-]+\.wants/(hftctl-latency\.service|[\w\\-]+\.mount)")
RULES = "/etc/udev/rules.d/"


def after(host: Host, where: str, spec: Spec | None) -> None:
    for command in commands(host, where, spec):
        run(command, timeout_s=TIMEOUT_S)


def commands(host: Host, where: str, spec: Spec | None) -> list[list[str]]:
    if not host.live:
        return []
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
        return [["systemctl", "daemon-reload"], ["systemctl", "start" if spec else "stop", wanted[1]]]
    return []
