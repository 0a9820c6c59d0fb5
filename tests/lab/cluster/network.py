"""One switch with all nodes and this machine on it. The switch has a namespace of its own: no rule of this machine sees its frames."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from tests.lab.cluster.layout import (
    HOST_ADDRESS,
    HOST_LINK,
    LOAD_BALANCERS,
    NODES_MAX,
    SERVICES,
    node_address,
    node_name,
    node_pods,
)
from tests.lab.cluster.space import Space, checked

SWITCH = Space("switch")
BRIDGE = "switch0"
PLUGGED = "plugged"
FORWARDING = ("net.ipv4.ip_forward=1",)


def host(*words: str) -> None:
    checked("on this machine", ["ip", *words])


def gone(remove: Callable[..., None], link: str) -> None:
    """A namespace that ended takes its links along, some moments later."""
    with suppress(RuntimeError):
        remove("link", "del", link)


def start_switch() -> None:
    SWITCH.start()
    if SWITCH.furnished_as(PLUGGED):
        return
    gone(SWITCH.net, BRIDGE)
    gone(host, HOST_LINK)
    SWITCH.net("link", "add", BRIDGE, "type", "bridge")
    SWITCH.net("link", "set", BRIDGE, "up")
    host("link", "add", HOST_LINK, "type", "veth", "peer", "name", "host", "netns", str(SWITCH.pid))
    SWITCH.net("link", "set", "host", "master", BRIDGE, "up")
    host("addr", "add", f"{HOST_ADDRESS}/24", "dev", HOST_LINK)
    host("link", "set", HOST_LINK, "up")
    for network in (SERVICES, LOAD_BALANCERS):
        host("route", "replace", network, "via", node_address(1))
    for number in range(1, NODES_MAX + 1):
        host("route", "replace", node_pods(number), "via", node_address(number))
    SWITCH.furnish_as(PLUGGED)


def plug_in(space: Space, number: int) -> None:
    """A link to the switch, an address, and the ways to the pods of all others. What nobody has is nowhere: nothing leaves."""
    if space.furnished_as(PLUGGED, SWITCH.pid):
        return
    port = node_name(number)
    gone(space.net, "eth0")
    gone(SWITCH.net, port)
    SWITCH.net("link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", str(space.pid))
    SWITCH.net("link", "set", port, "master", BRIDGE, "up")
    space.net("addr", "add", f"{node_address(number)}/24", "dev", "eth0")
    space.net("link", "set", "eth0", "up")
    space.net("route", "replace", "default", "dev", "eth0")
    space.run(["sysctl", "-qw", *FORWARDING])
    for other in range(1, NODES_MAX + 1):
        if other != number:
            space.net("route", "replace", node_pods(other), "via", node_address(other))
    space.furnish_as(PLUGGED, SWITCH.pid)
