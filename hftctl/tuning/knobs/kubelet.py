"""The kubelet's managers: whole CPUs for pods that ask for whole ones, from the node of their memory.

Its configuration is changed line by line. A kubelet that finds the checkpoint of another policy does not start, so that file
goes too; the refusal `kubelet-running` makes sure that it is stopped, and its node drained, before.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from hftctl.plan.change import Spec
from hftctl.tuning import cpu_list
from hftctl.tuning.places.file import text_of
from hftctl.tuning.setting import Setting, Situation, Skipped, Wish

CONFIG = "/var/lib/kubelet/config.yaml"
CHECKPOINTS = {
    "/var/lib/kubelet/cpu_manager_state": "cpuManagerPolicy",
    "/var/lib/kubelet/memory_manager_state": "memoryManagerPolicy",
}
EVICTION_BYTES = 100 << 20  # memory.available, where evictionHard does not say
UNITS = {
    "": 1,
    "Ki": 1 << 10,
    "Mi": 1 << 20,
    "Gi": 1 << 30,
    "Ti": 1 << 40,
    "k": 10**3,
    "M": 10**6,
    "G": 10**9,
    "T": 10**12,
}


class Kubelet:
    name: ClassVar[str] = "kubelet"

    def wishes(self, value: Any, why: str, at: Situation) -> Iterator[Wish]:
        """`value`: {"cpuManagerPolicy": "static", ...}: keys of KubeletConfiguration with plain values."""
        before = at.base(f"file:{CONFIG}")
        if before is None:
            yield Skipped("kubelet", f"no {CONFIG} here", self.name)
            return
        text = text_of(before)
        if text.lstrip().startswith("{"):
            keys = ", ".join(f"{key}: {wish}" for key, wish in value.items())
            yield Skipped(
                "kubelet", f"{CONFIG} is written as JSON, which is not changed line by line; put in: {keys}", self.name
            )
            return
        wanted = {**value, "reservedSystemCPUs": f'"{cpu_list.shown(at.layout.housekeeping)}"'}
        if value.get("memoryManagerPolicy") == "Static":
            reserved = reserved_bytes(text, at.facts.memory_bytes)
            limit = str(reserved) if reserved % UNITS["Mi"] else f"{reserved >> 20}Mi"
            wanted["reservedMemory"] = json.dumps([{"numaNode": at.facts.nodes[0].number, "limits": {"memory": limit}}])
        for key, wish in wanted.items():
            text = with_key(text, key, str(wish))
        spec: Spec = {**before, "text": text}
        risk = "pods that ask for whole CPUs leave fewer to all others"
        yield Setting(f"file:{CONFIG}", spec, why, risk=risk, knob=self.name)
        yield from self._checkpoints(value, at)

    def _checkpoints(self, value: Mapping[str, Any], at: Situation) -> Iterator[Wish]:
        for path, key in CHECKPOINTS.items():
            state = at.base(f"file:{path}")
            if state is None or key not in value:
                continue
            try:
                policy = json.loads(text_of(state)).get("policyName", "")
            except ValueError:
                policy = ""
            if policy.lower() != str(value[key]).lower():
                yield Setting(
                    f"file:{path}",
                    None,
                    f"of the policy {policy or 'before'}: with it the kubelet would not start",
                    knob=self.name,
                )


def with_key(text: str, key: str, value: str) -> str:
    """A key of the first level with a plain value; what stood below it goes."""
    line = f"{key}: {value}"
    found = re.search(rf"^{key}:.*(?:\n(?:[ \t]+|-[ \t]).*)*$", text, re.MULTILINE)
    if found:
        return text[: found.start()] + line + text[found.end() :]
    return f"{text.rstrip()}\n{line}\n"


def reserved_bytes(text: str, memory_bytes: int) -> int:
    """kubeReserved + systemReserved + the hard eviction threshold: reservedMemory has to be exactly that."""
    reserved = sum(_quantity(text, key, "memory") for key in ("kubeReserved", "systemReserved"))
    share = _found(text, "evictionHard", "memory.available", r"(\d+(?:\.\d+)?)%")
    if share:
        return reserved + int(_single(_single(float(share[1])) / 100) * memory_bytes)
    return reserved + (_quantity(text, "evictionHard", "memory.available") or EVICTION_BYTES)


def _quantity(text: str, section: str, key: str) -> int:
    found = _found(text, section, key, r"(\d+(?:\.\d+)?)(Ki|Mi|Gi|Ti|k|M|G|T)?")
    return int(float(found[1]) * UNITS[found[2] or ""]) if found else 0


def _single(number: float) -> float:
    """As a float of 32 bits, which the kubelet keeps a share in: the sums have to be equal to the byte."""
    return float(struct.unpack("f", struct.pack("f", number))[0])


def _found(text: str, section: str, key: str, value: str) -> re.Match[str] | None:
    block = re.search(rf"^{section}:(.*(?:\n[ \t]+.*)*)", text, re.MULTILINE)
    return re.search(rf'{re.escape(key)}["\']?:\s*["\']?{value}["\']?', block[1]) if block else None
