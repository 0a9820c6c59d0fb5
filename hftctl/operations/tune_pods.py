"""Which pods of some manifests get CPUs of their own, on a host whose kubelet is known, or by the manifest alone. Reads only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hftctl.errors import UsageError
from hftctl.operations.host import open_host
from hftctl.profile import manifests
from hftctl.tuning.facts.gather import gather
from hftctl.tuning.knobs.kubelet import CONFIG
from hftctl.tuning.pod_node import against, offer
from hftctl.tuning.pods import PodVerdict, examine, pod_of


@dataclass(frozen=True)
class PodReport:
    where: str  # file:line
    name: str
    verdict: PodVerdict
    against: tuple[str, ...]  # what the node has against it

    @property
    def good(self) -> bool:
        return self.verdict.good and not self.against


@dataclass(frozen=True)
class PodReports:
    node: str  # whose kubelet was asked; empty: there is none
    pods: tuple[PodReport, ...]

    @property
    def bad(self) -> tuple[PodReport, ...]:
        return tuple(one for one in self.pods if not one.good)


def examine_pods(root: Path, files: Sequence[Path]) -> PodReports:
    host = open_host(root)
    facts = gather(host)
    config = host.read(CONFIG)
    there = offer(manifests.mapping(config, CONFIG), facts) if config is not None else None
    found = []
    for file in files:
        for manifest in manifests.read(file):
            if (pod := pod_of(manifest.body)) is None:
                continue
            verdict = examine(pod)
            says = tuple(against(there, verdict, pod)) if there is not None else ()
            found.append(PodReport(f"{manifest.file}:{manifest.line}", manifest.name, verdict, says))
    if not found:
        raise UsageError(f"no pod, and nothing that makes one, is in {', '.join(map(str, files))}")
    return PodReports(facts.host_name if there is not None else "", tuple(found))
