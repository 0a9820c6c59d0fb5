"""`nic:eth0/coalescing`: what a network card's driver is told over the ethtool door of the kernel.

A captured tree keeps what a driver answered as JSON below /ethtool.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import socket
import struct
from collections.abc import Mapping, Sequence

from hftctl.errors import Failed
from hftctl.paths import write_atomic
from hftctl.plan.change import Spec
from hftctl.tuning.host import Host
from hftctl.tuning.places import as_kernel
from hftctl.tuning.places.kernel_value import reason

SIOCETHTOOL = 0x8946
# table -> command to get, to set, how many 32-bit words, names of those that are settings by their place
TABLES: Mapping[str, tuple[int, int, int, Mapping[str, int]]] = {
    "coalescing": (
        0x0E, 0x0F, 23,
        {"rx_usecs": 1, "rx_frames": 2, "tx_usecs": 5, "tx_frames": 6, "adaptive_rx": 10, "adaptive_tx": 11},
    ),
    "rings": (0x10, 0x11, 9, {"rx": 5, "tx": 8}),
    "channels": (0x3C, 0x3D, 9, {"rx": 5, "tx": 6, "combined": 8}),
}  # fmt: skip
SWITCHES: Mapping[str, tuple[int, int, int]] = {"gro": (0x2B, 0x2C, 1), "lro": (0x25, 0x26, 1 << 15)}
OFFLOADS = "offloads"


class Ethtool:
    lasting = False

    def read(self, host: Host, where: str) -> Spec | None:
        if not host.live:
            text = host.read(f"/ethtool/{where}")
            return None if text is None else dict(json.loads(text))
        name, _, table = where.partition("/")
        try:
            found = _offloads(name) if table == OFFLOADS else _table(name, table)
        except OSError:
            return None  # the driver does not offer it
        if host.captured is not None:
            host.captured[f"/ethtool/{where}"] = json.dumps(found).encode()
        return found

    def write(self, host: Host, where: str, spec: Spec | None, live: Spec | None) -> None:
        if spec is None or live is None:
            return  # the card is gone
        name, _, table = where.partition("/")
        try:
            if not host.live:
                path = host.at(f"/ethtool/{where}")
                write_atomic(path, f"{json.dumps(dict(spec))}\n", temporary=f".{path.name}.hftctl-new")
            elif table == OFFLOADS:
                _set_offloads(name, spec)
            else:
                _set_table(name, table, spec)
        except OSError as error:
            raise Failed(f"cannot set {table} of {name} to {dict(spec)}: {reason(error)}") from error

    def settle(self, host: Host, where: str) -> None:
        as_kernel.settle(host, f"/ethtool/{where}")

    def ours(self, live: Spec | None, before: Spec | None, written: Sequence[Spec | None]) -> bool:
        return live in written


def _table(name: str, table: str) -> dict[str, int]:
    get, _, words, places = TABLES[table]
    found = _ask(name, struct.pack(f"={words}I", get, *[0] * (words - 1)))
    values = struct.unpack(f"={words}I", found)
    return {key: values[place] for key, place in places.items()}


def _set_table(name: str, table: str, spec: Spec) -> None:
    get, put, words, places = TABLES[table]
    values = list(struct.unpack(f"={words}I", _ask(name, struct.pack(f"={words}I", get, *[0] * (words - 1)))))
    values[0] = put
    for key, place in places.items():
        values[place] = int(spec[key])
    _ask(name, struct.pack(f"={words}I", *values))


def _offloads(name: str) -> dict[str, int]:
    return {key: int(bool(_flag(name, get) & bit)) for key, (get, _, bit) in SWITCHES.items()}


def _set_offloads(name: str, spec: Spec) -> None:
    for key, (get, put, bit) in SWITCHES.items():
        now = _flag(name, get)
        wanted = now | bit if spec[key] else now & ~bit
        if wanted != now:
            _ask(name, struct.pack("=2I", put, wanted))


def _flag(name: str, command: int) -> int:
    return int(struct.unpack("=2I", _ask(name, struct.pack("=2I", command, 0)))[1])


def _ask(name: str, message: bytes) -> bytes:
    buffer = ctypes.create_string_buffer(message, len(message))
    request = struct.pack("16sP", os.fsencode(name), ctypes.addressof(buffer))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as door:
        fcntl.ioctl(door, SIOCETHTOOL, request)
    return buffer.raw
