"""Where a client here reaches the public door: the load balancer's address, a node's, or through the API server."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import suppress

from hftctl.errors import HftctlError
from hftctl.targets.kubernetes import names, pods, services
from hftctl.targets.kubernetes.api import Api, Object
from hftctl.targets.kubernetes.tunnel import Tunnel

CONNECT_S = 1.0


def find(api: Api, deployment: str) -> str:
    """Base URL. An address that does not answer is passed over; the last way is a tunnel that ends with this process. Raises NotFound."""
    if found := address(api, deployment):
        return found
    pods.find(api, deployment, "nginx")  # a tunnel to nothing would open all the same
    tunnel = Tunnel(api, names.namespace(deployment), lambda: pods.name(api, deployment, "nginx"), services.HTTP_PORT)
    return f"http://127.0.0.1:{tunnel.port}"


def address(api: Api, deployment: str) -> str:
    """One that needs no API server; empty where none answers."""
    service = api.get("Service", "nginx", names.namespace(deployment))
    for host, port in [*_balanced(service), *_nodes(api, service)] if service is not None else []:
        with suppress(OSError), socket.create_connection((host, port), CONNECT_S):
            return f"http://{f'[{host}]' if ':' in host else host}:{port}"
    return ""


def _balanced(service: Object) -> Iterator[tuple[str, int]]:
    for one in service.get("status", {}).get("loadBalancer", {}).get("ingress", []):
        yield one.get("ip") or one.get("hostname"), services.HTTP_PORT


def _nodes(api: Api, service: Object) -> Iterator[tuple[str, int]]:
    port = next((one["nodePort"] for one in service["spec"]["ports"] if one.get("nodePort")), None)
    if port is None:
        return
    with suppress(HftctlError):  # a role of one namespace sees no nodes
        for node in api.list("Node"):
            for address in node["status"].get("addresses", []):
                if address["type"] == "InternalIP":
                    yield address["address"], int(port)
