"""The end of a deployment on a Docker engine. Killed anywhere, the same command goes on: its journal and what is read from go last."""

from __future__ import annotations

from typing import Any

from hftctl.targets.compose import names, networks
from hftctl.targets.compose.containers import Containers
from hftctl.targets.compose.keeper import FOLDERS
from hftctl.targets.compose.store import Store, StoredJournal


def remove(api: Any, containers: Containers, store: Store, deployment: str, *, data: bool) -> None:
    for one in containers.all():
        containers.take_away(one.id)
    networks.remove(api, deployment)
    networks.remove_volumes(api, deployment, lambda name: name == "run" or (data and name not in FOLDERS))
    with store.writer() as keeper:
        for folder in names.SECRET_VOLUMES if data else ():
            keeper.remove(folder)
        keeper.remove("config")
        for name in keeper.names("state"):
            if f"state/{name}" != StoredJournal.PATH:
                keeper.remove(f"state/{name}")
        keeper.remove(StoredJournal.PATH)
        store.forget()
    left = (*names.STATE_VOLUMES, *(names.SECRET_VOLUMES if data else ()))
    store.afterwards(lambda: networks.remove_volumes(api, deployment, left.__contains__))
