"""Whether a pod gets CPUs of its own from a kubelet with the static CPU manager, and why not.

It gets them only as a pod of class Guaranteed, and of its containers only those that ask for whole CPUs. Nothing says so when
one does not: the pod runs, on CPUs that it shares.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

SUFFIXES = {
    "": Fraction(1), "n": Fraction(1, 10**9), "u": Fraction(1, 10**6), "m": Fraction(1, 1000),
    "k": Fraction(10**3), "M": Fraction(10**6), "G": Fraction(10**9), "T": Fraction(10**12),
    "Ki": Fraction(1 << 10), "Mi": Fraction(1 << 20), "Gi": Fraction(1 << 30), "Ti": Fraction(1 << 40),
}  # fmt: skip
QUANTITY = re.compile(r"(\d+(?:\.\d*)?|\.\d+)([eE][+-]?\d+)?([a-zA-Z]*)")
CRIO = {
    "cpu-load-balancing.crio.io": ("disable",),
    "cpu-quota.crio.io": ("disable",),
    "irq-load-balancing.crio.io": ("disable", "housekeeping"),
}
PAGES = "hugepages-"


@dataclass(frozen=True)
class Verdict:
    """Of one container, and of the pod as a whole where `container` is empty."""

    container: str
    cpus: int  # of its own; 0: it shares
    why: str  # it shares; empty where it does not
    meant: bool = True  # a container that asks for less than a CPU is meant to share


@dataclass(frozen=True)
class PodVerdict:
    verdicts: tuple[Verdict, ...]
    advice: tuple[str, ...]  # what disturbs it, or does nothing, though it has its CPUs

    @property
    def cpus(self) -> int:
        return sum(one.cpus for one in self.verdicts)

    @property
    def good(self) -> bool:
        return self.cpus > 0 and all(one.meant for one in self.verdicts)


def pod_of(body: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The pod that an object is, or makes (Deployment, CronJob ...); None where it makes none."""
    owner = _mapping(_mapping(body.get("spec")).get("jobTemplate")) or body
    for one in (owner, _mapping(_mapping(owner.get("spec")).get("template")), _mapping(owner.get("template"))):
        if isinstance(_mapping(one.get("spec")).get("containers"), list):
            return one
    return None


def examine(pod: Mapping[str, Any]) -> PodVerdict:
    spec = _mapping(pod.get("spec"))
    containers = [_mapping(one) for one in _list(spec.get("containers"))]
    first = [_mapping(one) for one in _list(spec.get("initContainers"))]
    verdicts: list[Verdict] = []
    if isinstance(spec.get("resources"), Mapping):
        said = "resources of the pod as a whole get no CPU of their own: only those of its containers do"
        verdicts.append(Verdict("", 0, said, meant=False))
    verdicts += [Verdict("", 0, why, meant=False) for one in (*first, *containers) for why in _not_guaranteed(one)]
    lasting = [*containers, *(one for one in first if one.get("restartPolicy") == "Always")]
    guaranteed = not verdicts
    verdicts += [_of_container(one, guaranteed) for one in lasting]
    return PodVerdict(tuple(verdicts), tuple(_advice(pod, spec, containers, verdicts)))


def quantity(value: Any) -> Fraction | None:
    """`1500m`, `2`, `1Gi` as a number; None where it is none."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    found = QUANTITY.fullmatch(str(value).strip())
    if found is None or found[3] not in SUFFIXES:
        return None
    return Fraction(f"{found[1].rstrip('.')}{found[2] or ''}") * SUFFIXES[found[3]]


def demands(pod: Mapping[str, Any]) -> dict[str, Fraction]:
    """Huge pages that all containers together ask for, in bytes by size: `2Mi`, `1Gi`."""
    total: dict[str, Fraction] = {}
    for one in _list(_mapping(pod.get("spec")).get("containers")):
        for name, value in _limits(_mapping(one)).items():
            if name.startswith(PAGES) and (number := quantity(value)) is not None:
                total[name[len(PAGES) :]] = total.get(name[len(PAGES) :], Fraction(0)) + number
    return total


def _not_guaranteed(container: Mapping[str, Any]) -> Iterator[str]:
    """Why this container makes its pod another class than Guaranteed."""
    limits, requests = _limits(container), _mapping(_mapping(container.get("resources")).get("requests"))
    for name in ("cpu", "memory"):
        limit, request = quantity(limits.get(name)), quantity(requests.get(name))
        shown = f"container '{container.get('name', '?')}'"
        class_ = "the pod is not Guaranteed, and only such pods get CPUs of their own"
        if not limit:
            given = (
                f"its {name} limit {limits[name]!r} is no quantity" if limits.get(name) else f"it has no {name} limit"
            )
            yield f"{shown}: {given}: {class_}"
        elif name in requests and request != limit:
            yield f"{shown}: it requests {requests[name]} of {name} and is limited to {limits[name]}: {class_}"


def _of_container(container: Mapping[str, Any], guaranteed: bool) -> Verdict:
    name, given = str(container.get("name", "?")), _limits(container).get("cpu")
    cpus = quantity(given)
    if cpus and cpus.denominator != 1:
        whole = f"ask for {-(-cpus.numerator // cpus.denominator)}"
        why = f"cpu {given} is no whole number of CPUs: it shares; {whole}"
        return Verdict(name, 0, why, meant=cpus < 1)
    if not cpus or not guaranteed:
        return Verdict(name, 0, "it shares, as its pod is not Guaranteed")
    return Verdict(name, int(cpus), "")


def _advice(
    pod: Mapping[str, Any],
    spec: Mapping[str, Any],
    containers: Sequence[Mapping[str, Any]],
    verdicts: Sequence[Verdict],
) -> Iterator[str]:
    annotations = _mapping(_mapping(pod.get("metadata")).get("annotations"))
    for key, values in CRIO.items():
        if key not in annotations:
            continue
        if annotations[key] not in values:
            yield f"annotation {key}: {annotations[key]!r} does nothing: {' or '.join(values)} is meant"
        elif not spec.get("runtimeClassName"):
            yield f"annotation {key} does nothing without a runtimeClassName that allows it"
    media = [_mapping(_mapping(one).get("emptyDir")).get("medium", "") for one in _list(spec.get("volumes"))]
    if demands(pod) and not any(str(one).startswith("HugePages") for one in media):
        yield "it asks for huge pages and has no volume of them (emptyDir with medium: HugePages): programs that want files find none"
    alone = {one.container for one in verdicts if one.cpus}
    for container in containers:
        for probe in ("livenessProbe", "readinessProbe", "startupProbe"):
            if container.get("name") in alone and "exec" in _mapping(container.get(probe)):
                yield (
                    f"the {probe} of '{container.get('name')}' starts a program on the container's own CPUs each time; "
                    "httpGet and tcpSocket are asked by the kubelet"
                )


def _limits(container: Mapping[str, Any]) -> Mapping[str, Any]:
    return _mapping(_mapping(container.get("resources")).get("limits"))


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
