"""`driver:0000:3b:00.0`: which driver a PCI device has, and which one it is to get whenever it is looked at again."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from hftctl.errors import Failed
from hftctl.paths import write_atomic
from hftctl.plan.change import Spec
from hftctl.tuning.facts.pci import DEVICES, NO_DRIVER, last
from hftctl.tuning.host import Host
from hftctl.tuning.places import as_kernel
from hftctl.tuning.places.kernel_value import reason, write_once

PROBE = "/sys/bus/pci/drivers_probe"


class Driver:
    lasting = False

    def read(self, host: Host, where: str) -> Spec | None:
        if not host.exists(f"{DEVICES}/{where}"):
            return None
        override = host.read(f"{DEVICES}/{where}/driver_override") or ""
        return {
            "driver": last(host.link(f"{DEVICES}/{where}/driver")),
            "override": "" if override == NO_DRIVER else override,
        }

    def write(self, host: Host, where: str, spec: Spec | None, live: Spec | None) -> None:
        """A device that its new driver does not take goes back to the one it had."""
        if spec is None or live is None:
            return  # the device is gone
        if not host.live:
            _take(host, where, spec)
            return
        try:
            _bind(host, where, spec, str(live["driver"]))
        except OSError as error:
            with suppress(OSError):
                _bind(host, where, live, last(host.link(f"{DEVICES}/{where}/driver")))
            raise Failed(f"cannot give {where} to {spec['driver'] or 'no driver'}: {reason(error)}") from error

    def settle(self, host: Host, where: str) -> None:
        as_kernel.settle(host, f"{DEVICES}/{where}/driver_override")
        as_kernel.settle(host, f"{DEVICES}/{where}/driver")

    def ours(self, live: Spec | None, before: Spec | None, written: Sequence[Spec | None]) -> bool:
        """Between two drivers it has none, and the wish is written before the driver changes."""
        states = [one for one in (before, *written) if one is not None]
        if live is None or not states:
            return live in written
        return live["override"] in {one["override"] for one in states} and live["driver"] in {
            "",
            *(one["driver"] for one in states),
        }


def _bind(host: Host, where: str, spec: Spec, now: str) -> None:
    write_once(host, f"{DEVICES}/{where}/driver_override", str(spec["override"]))
    if now == spec["driver"]:
        return
    if now:
        write_once(host, f"{DEVICES}/{where}/driver/unbind", where)
    if spec["driver"]:
        write_once(host, PROBE, where)


def _take(host: Host, where: str, spec: Spec) -> None:
    """In a captured tree a link is a file that says where it leads."""
    as_kernel.take(host, f"{DEVICES}/{where}/driver_override", str(spec["override"]) or NO_DRIVER)
    path = host.at(f"{DEVICES}/{where}/driver")
    write_atomic(path, f"../../../bus/pci/drivers/{spec['driver']}\n", temporary=f".{path.name}.hftctl-new")
