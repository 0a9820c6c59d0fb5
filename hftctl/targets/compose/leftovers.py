"""Files in a deployment's volumes that only containers used which are gone: settings, metrics, sockets that never took their place."""

from __future__ import annotations

import re

from hftctl.targets.compose import components
from hftctl.targets.compose.containers import Containers
from hftctl.targets.compose.keeper import Keeper

CONFIG, METRICS, RUN = "config", "run/metrics", "run"
KEPT = {"release.json"}  # of all of them
# stack/process_name.py
OF_HOST = re.compile(r"\w+_(?P<host>[^_.]+)\.\d+\.db")
WAITING = re.compile(r".+\.sock\.(?P<host>[^_.]+)\.\d+")  # of a gateway that was to take over
HOST_CHARACTERS = 12  # of its id, as which Docker names the host that a container is


def remove(containers: Containers, keeper: Keeper) -> None:
    there = containers.all()
    used = KEPT | {name for one in there for name in components.rendered(one.subject, one.spec)[1]}
    for name in keeper.names(CONFIG):
        if name not in used:
            keeper.remove(f"{CONFIG}/{name}")
    # Counts of a process that is gone end with it, as they do for whoever reads them after any restart.
    hosts = {one.id[:HOST_CHARACTERS] for one in there}
    for folder, of_host in ((METRICS, OF_HOST), (RUN, WAITING)):
        for name in keeper.names(folder):
            if (found := of_host.fullmatch(name)) and found["host"] not in hosts:
                keeper.remove(f"{folder}/{name}")
