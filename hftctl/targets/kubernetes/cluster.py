"""Which cluster we talk to: the current context of the kubeconfig. What a deployment stands on is remembered by what the cluster is, not
by what a context is called, so that a context that was switched meanwhile is refused.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hftctl import paths
from hftctl.errors import NotFound, Refused
from hftctl.targets.kubernetes.api import AGAIN_S, Api

FOLDER = "clusters"  # in the state home: one file per deployment


@dataclass(frozen=True)
class Pin:
    """The cluster that a deployment was made on."""

    uid: str  # of the namespace kube-system, which lives as long as its cluster
    ca: str  # SHA-256 of the certificate authority that its API server shows
    server: str
    context: str


def connect() -> tuple[Api, str]:
    """The API of the current context, and the context's name. Raises NotFound where there is none. Sends nothing."""
    from kubernetes import client, config  # takes 0.7 s: only who works on a cluster pays for it
    from kubernetes.config.config_exception import ConfigException

    library: Any = config
    where = os.environ.get("KUBECONFIG") or None
    try:
        settings = client.Configuration()
        library.load_kube_config(config_file=where, client_configuration=settings)
        context = str(library.list_kube_config_contexts(config_file=where)[1]["name"])
    except (ConfigException, OSError, KeyError, TypeError) as error:
        raise NotFound(
            f"cannot find a cluster: {str(error).rstrip('.')}",
            hint="name a kubeconfig: KUBECONFIG=FILE; or choose a context: kubectl config use-context NAME",
        ) from error
    return Api(client.ApiClient(settings)), context


def identify(api: Api, context: str) -> Pin:
    system = api.get("Namespace", "kube-system")
    if system is None:
        raise NotFound(f"{api.server} has no namespace kube-system: it is no Kubernetes cluster")
    api.patience_s = AGAIN_S
    return Pin(system["metadata"]["uid"], _authority(api), api.server, context)


def check(api: Api, context: str, deployment: str) -> Pin:
    """What the context leads to now. Raises Refused when the deployment stands on another cluster."""
    now, pinned = identify(api, context), read(deployment)
    if pinned is not None and (pinned.uid, pinned.ca) != (now.uid, now.ca):
        what = "the cluster" if pinned.uid != now.uid else "the certificate authority of the cluster"
        raise Refused(
            f"'{deployment}' stands on another cluster than the context '{context}' leads to: {what} at {pinned.server} is "
            f"not the one at {now.server} (kube-system {pinned.uid[:8]}, not {now.uid[:8]})",
            hint=f"kubectl config use-context {pinned.context}; or, if that cluster is gone for good: rm {_file(deployment)}",
        )
    return now


def _authority(api: Api) -> str:
    file = api.client.configuration.ssl_ca_cert
    return hashlib.sha256(Path(file).read_bytes()).hexdigest() if file else ""


# what is remembered


def pinned() -> list[str]:
    """Deployments that this machine has worked on."""
    return sorted(path.stem for path in (paths.home() / FOLDER).glob("*.json"))


def read(deployment: str) -> Pin | None:
    try:
        return Pin(**json.loads(_file(deployment).read_bytes()))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as error:
        raise NotFound(
            f"cannot tell which cluster '{deployment}' stands on: {_file(deployment)} is damaged: {error}",
            hint=f"see that the current context is the right one, then: rm {_file(deployment)}",
        ) from error


def pin(deployment: str, found: Pin) -> None:
    if read(deployment) == found:
        return
    paths.make_folder(_file(deployment).parent, mode=0o700)
    paths.write_atomic(_file(deployment), json.dumps(asdict(found)), mode=0o600)


def forget(deployment: str) -> None:
    _file(deployment).unlink(missing_ok=True)


def _file(deployment: str) -> Path:
    return paths.home() / FOLDER / f"{paths.check_name(deployment)}.json"
