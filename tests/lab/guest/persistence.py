"""Who brought what to a guest that was tuned and rebooted: sysctl.d, tmpfiles.d, our service, udev, the boot loader, irqbalance.

Our service starts last and would set right whatever the others left out, so its journal is read too: what it changed at
this start is its own part and nothing else.
"""

from __future__ import annotations

import json
import re
import time

from hftctl.tuning import cpu_list
from hftctl.tuning.persistence import SYSCTLS, TEMPORARY_FILES
from hftctl.tuning.places.kernel_value import normal
from hftctl.tuning.places.kind import split
from hftctl.tuning.places.pages import counter
from hftctl.tuning.probe.counters import table
from tests.lab.guest.image import MEMBER, STRANGER
from tests.lab.guest.machine import Guest

ISOLATED = {1}
HOUSEKEEPING_MASK = 0b01
PAGES_1G = 2  # by the profile latency-extreme
BALANCE_S = 25  # irqbalance looks every 10 s: two looks and some
UDEV_S = 600  # a start of our service by emulation, beside other work
JOURNAL = "/var/lib/hftctl-tune/journal"
CARD = "/sys/class/net/eth0"
# Runs inside the guest: files in, their contents out; and what our service changed at this start.
READ = r"""
import json, sys
found = {}
for path in json.load(sys.stdin):
    try:
        found[path] = open(path).read()
    except OSError as error:
        found[path] = "error %s" % error
print(json.dumps(found))
"""


def checked(guest: Guest) -> dict[str, object]:
    """Raises AssertionError with what is not in effect; returns what each way was seen to bring."""
    seen: dict[str, object] = {}
    _boot_loader(guest)
    by_service = service(guest)
    sysctls, values = _sysctls(guest), _temporary_files(guest)
    twice = {*sysctls, *values} & {_path(subject) for subject in by_service}
    assert not twice, f"not there before our service came: {sorted(twice)}"
    seen |= {"sysctl.d": len(sysctls), "tmpfiles.d": len(values), "service": by_service}
    assert "pagesize=1024M" in guest.say("grep hugetlbfs /proc/mounts"), "mounted by its unit"
    seen["limits"] = _limits(guest)
    return seen


def moving(guest: Guest) -> dict[str, object]:
    """What udev and irqbalance do in the time after a start."""
    return {"udev": _udev(guest), "irqbalance": _irqbalance(guest)}


def _path(subject: str) -> str:
    kind, where = split(subject)
    return counter(where) if kind == "pages" else where


def _boot_loader(guest: Guest) -> None:
    told = read(guest, "/sys/devices/system/cpu/isolated", "/sys/devices/system/cpu/nohz_full")
    assert {cpu for text in told.values() for cpu in cpu_list.parse(text)} == ISOLATED, told
    places = [f"/sys/devices/system/node/node{node}/hugepages/hugepages-1048576kB/nr_hugepages" for node in (0,)]
    assert {int(text) for text in read(guest, *places).values()} == {PAGES_1G}


def service(guest: Guest) -> list[str]:
    """The subjects that our service changed at this start."""
    said = guest.say("systemctl show -p Result -p ActiveState -p ExecMainStatus hftctl-tune.service")
    assert "Result=success" in said, f"{said}{guest.run('journalctl -b --no-pager -u hftctl-tune.service')[1]}"
    assert guest.say("systemctl is-enabled hftctl-tune.service").strip() == "enabled"
    begun = [line for line in guest.say(f"cat {JOURNAL}").splitlines() if json.loads(line)["entry"] == "begin"]
    last = json.loads(begun[-1])
    started_ns = int(float(guest.say("awk '/^btime/ {print $2}' /proc/stat")) * 1e9)
    return [one["subject"] for one in last["changes"]] if last["time_ns"] > started_ns else []


def _sysctls(guest: Guest) -> list[str]:
    lines = re.findall(r"^([\w./-]+) = (.*)$", guest.say(f"cat {SYSCTLS}"), re.MULTILINE)
    wanted = {"/proc/sys/" + key.translate(str.maketrans("./", "/.")): value for key, value in lines}
    return _in_effect(guest, wanted)


def _temporary_files(guest: Guest) -> list[str]:
    return _in_effect(
        guest, dict(re.findall(r"^w (\S+) - - - - (.*)$", guest.say(f"cat {TEMPORARY_FILES}"), re.MULTILINE))
    )


def _in_effect(guest: Guest, wanted: dict[str, str]) -> list[str]:
    assert wanted, "nothing stands in the file"
    live = read(guest, *wanted)
    wrong = {path: live[path] for path, value in wanted.items() if normal(path, live[path]) != normal(path, value)}
    assert not wrong, f"not in effect: {wrong}"
    return list(wanted)


def _limits(guest: Guest) -> str:
    """A session of a member of the group has them, through PAM; nobody else."""
    shells = {user: guest.say(f"su -s /bin/bash {user} -c 'ulimit -l -r -n'") for user in (MEMBER, STRANGER)}
    got = {user: re.findall(r"\) (\w+)$", said, re.MULTILINE) for user, said in shells.items()}
    assert got[MEMBER] == ["unlimited", "99", "1048576"] != got[STRANGER], got
    return f"memlock, rtprio, nofile {' '.join(got[MEMBER])} for a member of the group, {' '.join(got[STRANGER])} for others"


def _udev(guest: Guest) -> str:
    """The card goes and comes back, as by a hot plug: its queues are as at first, until the rule has our service started."""
    queue = f"{CARD}/queues/rx-0/rps_cpus"
    assert int(guest.say(f"cat {queue}"), 16) == HOUSEKEEPING_MASK
    device = guest.say(f"basename $(readlink -f {CARD}/device)").strip()
    driver = "/sys/bus/virtio/drivers/virtio_net"
    guest.say(f"echo {device} > {driver}/unbind; test ! -e {CARD}; echo {device} > {driver}/bind")
    began = time.monotonic()
    while True:
        code, said = guest.run(f"cat {queue}")
        if code == 0 and int(said, 16) == HOUSEKEEPING_MASK:
            return f"after {time.monotonic() - began:.0f} s"
        assert time.monotonic() - began < UDEV_S, f"{queue} is {said!r}: {guest.run('systemctl status hftctl-tune')[1]}"
        time.sleep(1)


def _irqbalance(guest: Guest) -> str:
    """It runs, it was told, and after two of its looks no interrupt is where it should not be."""
    assert guest.say("systemctl is-active irqbalance.service").strip() == "active", guest.run(
        "journalctl -b -u irqbalance"
    )[1]
    assert "IRQBALANCE_BANNED_CPULIST=1" in guest.say("tr '\\0' '\\n' < /proc/$(pidof irqbalance)/environ")
    before = table(guest.say("cat /proc/interrupts"))
    time.sleep(BALANCE_S)
    after = table(guest.say("cat /proc/interrupts"))
    moved = {
        source: after[source][cpu] - row[cpu]
        for source, row in before.items()
        for cpu in ISOLATED
        if source[0].isdecimal() and after[source][cpu] != row[cpu]
    }
    assert not moved, f"interrupts of devices on an isolated CPU: {moved}"
    came = sum(
        sum(after[source].values()) - sum(row.values()) for source, row in before.items() if source[0].isdecimal()
    )
    assert came, "none came at all"
    return f"{came} interrupts of devices in {BALANCE_S} s, none of them on CPU 1"


def read(guest: Guest, *paths: str) -> dict[str, str]:
    asked = json.dumps(paths)
    return json.loads(guest.say(f"echo '{asked}' | python3 -c '{READ}'"))
