"""The end of a deployment on a cluster. Killed anywhere, the same command goes on: its journal goes last, or with the namespace."""

from __future__ import annotations

import time

from hftctl.errors import TimedOut
from hftctl.targets.kubernetes import names
from hftctl.targets.kubernetes.api import Api
from hftctl.targets.kubernetes.changes import POLL_S
from hftctl.targets.kubernetes.store import Store

DATA = (names.CREDENTIALS, names.KEYS)
GONE_S = 120.0


def remove(api: Api, store: Store, deployment: str, *, data: bool) -> None:
    namespace, selector = names.namespace(deployment), names.selector(deployment)
    for kind in (*names.WORKLOADS, *reversed(names.PRUNED), "ServiceAccount"):
        for one in api.list(kind, namespace, selector):
            store.check()
            api.delete(one)
    if data:
        store.check()
        _remove_namespace(api, namespace)
        return
    for one in api.list("Secret", namespace, selector):
        if one["metadata"]["name"] not in (names.JOURNAL, *DATA):
            store.check()
            api.delete(one)
    if (journal := api.get("Secret", names.JOURNAL, namespace)) is not None:
        store.check()
        api.delete(journal)


def _remove_namespace(api: Api, namespace: str) -> None:
    """With all that is in it: volumes, secrets, the records, our lock. And what all deployments share, when this was the last one."""
    if (there := api.get("Namespace", namespace)) is not None:
        api.delete(there)
    deadline = time.monotonic() + GONE_S
    while api.get("Namespace", namespace) is not None:
        if time.monotonic() > deadline:
            raise TimedOut(f"the namespace {namespace} is being deleted and not gone after {GONE_S:.0f} s",
                           hint=f"kubectl wait --for=delete ns/{namespace}")  # fmt: skip
        time.sleep(POLL_S)
    shared = f"{names.COMPONENT}={names.BASE}"
    if not api.list("Namespace", "", shared):
        for one in api.list("PriorityClass", "", shared):
            api.delete(one)
