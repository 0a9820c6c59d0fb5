"""What is set of network cards, on this machine's own kernel: there and back on a pair of virtual cards in a network namespace.

    unshare --net --mount --propagation private python -m tests.lab.card_values

Prints one JSON document: for each value what stood, what was written, what was read, what stands after it was put back.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

from hftctl.tuning.facts.nics import NETS
from hftctl.tuning.host import Host
from hftctl.tuning.knobs.packet_steering import DEFAULT
from hftctl.tuning.places.kernel_value import KernelValue
from hftctl.tuning.places.kind import Unchangeable

CARD = f"{NETS}/first0"
VALUES = {
    f"{CARD}/queues/tx-1/xps_cpus": "2",
    f"{CARD}/queues/rx-0/rps_cpus": "1",
    f"{CARD}/napi_defer_hard_irqs": "2",
    f"{CARD}/gro_flush_timeout": "20000",
    f"{CARD}/threaded": "1",
    DEFAULT: "1",
}


def main() -> int:
    if os.readlink("/proc/self/ns/net") == os.readlink(f"/proc/{os.getppid()}/ns/net"):  # noqa: PTH115
        raise SystemExit("this changes a network namespace: start it with unshare --net --mount")
    run("mount", "-t", "sysfs", "sysfs", "/sys")
    run(
        "ip", "link", "add", "first0", "numtxqueues", "4", "numrxqueues", "4", "type", "veth", "peer", "name", "second0"
    )
    host, kind = Host(), KernelValue()
    seen = {path: there_and_back(host, kind, path, value) for path, value in VALUES.items()}
    sys.stdout.write(json.dumps(seen, indent=1) + "\n")
    return 0


def there_and_back(host: Host, kind: KernelValue, path: str, value: str) -> dict[str, Any]:
    had = kind.read(host, path)
    seen: dict[str, Any] = {"had": had, "wanted": value}
    try:
        kind.write(host, path, {"value": value}, had)
    except Unchangeable as error:
        return {**seen, "unchangeable": error.message, "back": kind.read(host, path)}
    got = kind.read(host, path)
    kind.write(host, path, had, got)
    return {**seen, "got": got, "back": kind.read(host, path)}


def run(*words: str) -> None:
    subprocess.run(words, check=True)


if __name__ == "__main__":
    sys.exit(main())
