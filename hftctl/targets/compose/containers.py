"""The containers of a deployment: found by their labels, made from specs, replaced. Who serves is said by a name.

`hftctl-NAME-gateway-1` serves. `.next` behind it shall, once it is ready; `.old` has given its place up. Each step is one call that
Docker does whole or not at all, so whoever comes after a kill sees how far it came.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from docker.errors import APIError

from hftctl.errors import Failed
from hftctl.plan.actuator import Readiness
from hftctl.plan.change import Spec
from hftctl.targets.compose import components, names
from hftctl.targets.compose.daemon import Missing, saying

LIVING = ("running", "restarting", "paused", "created")
STARTED = ("running", "restarting", "paused")


@dataclass(frozen=True)
class Found:
    """A container as the engine lists it."""

    id: str
    name: str
    subject: str
    state: str  # created | running | paused | restarting | removing | exited | dead
    labels: Mapping[str, str]
    networks: tuple[str, ...]

    @property
    def spec(self) -> Spec:
        spec: Spec = json.loads(self.labels[names.SPEC])
        return spec


class Containers:
    def __init__(self, api: Any, deployment: str) -> None:
        self.api, self._deployment = api, deployment
        self.asked: dict[
            str, tuple[float, Readiness]
        ] = {}  # container -> what it said when it was asked last, and when
        self.deaths: dict[str, int] = {}  # container -> how often it had died when it was looked at first

    def all(self) -> list[Found]:
        filters = {"label": [f"{names.DEPLOYMENT}={self._deployment}", f"{names.ROLE}=component"]}
        with saying(f"list the containers of '{self._deployment}'"):
            listed = self.api.containers(all=True, filters=filters)
        return [
            Found(one["Id"], one["Names"][0].lstrip("/"), one["Labels"][names.COMPONENT], one["State"], one["Labels"],
                  tuple(one.get("NetworkSettings", {}).get("Networks", {})))
            for one in listed
        ]  # fmt: skip

    def serving(self) -> dict[str, Found]:
        """Of each subject the container that has its place. One that was about to take it has it, where nobody else does."""
        found = {one.name: one for one in self.all()}
        subjects = {one.subject for one in found.values()}
        chosen: dict[str, Found] = {}
        for subject in components.order(subjects):
            name = names.container(self._deployment, subject)
            here = found.get(name) or found.get(name + names.NEXT)
            if here is not None:
                chosen[subject] = here
        return chosen

    def inspect(self, one: str) -> Mapping[str, Any]:
        """Raises Failed; empty where it is gone."""
        try:
            with saying("look at a container"):
                found: Mapping[str, Any] = self.api.inspect_container(one)
                return found
        except Failed as error:
            if isinstance(error.__cause__, Missing):
                return {}
            raise

    def make(self, subject: str, spec: Spec, *, suffix: str = "", labels: Mapping[str, str] = {}) -> str:
        """Made and not started. Whatever had that name is gone."""
        name = names.container(self._deployment, subject) + suffix
        self.take_away(name)
        body = {**copy.deepcopy(components.rendered(subject, spec)[0]), "Image": spec["image"]}
        body["Labels"] = {
            names.DEPLOYMENT: self._deployment, names.COMPONENT: subject, names.ROLE: "component",
            names.SPEC: json.dumps(spec, separators=(",", ":")), names.DIGEST: components.digest(spec), **labels,
        }  # fmt: skip
        for mount in body["HostConfig"]["Mounts"]:
            mount["VolumeOptions"] = {"Labels": {names.DEPLOYMENT: self._deployment}}
        with saying(f"make the container {name}"):
            made: str = self.api.create_container_from_config(body, name=name)["Id"]
        return made

    def start(self, one: str, subject: str) -> None:
        with saying(f"start {subject}"):
            self.api.start(one)

    def start_again(self, one: Found) -> None:
        """One that `rest` stopped, or somebody else."""
        with saying(f"start {one.subject}"):
            self.api.update_container(one.id, restart_policy=one.spec["container"]["HostConfig"].get("RestartPolicy"))
            self.api.start(one.id)

    def rest(self, one: str, subject: str) -> None:
        """Stop it until we start it again: no restart of Docker does."""
        self.stop(one, subject)
        with saying(f"keep {subject} stopped"):
            self.api.update_container(one, restart_policy={"Name": "no"})

    def stop(self, one: str, subject: str) -> None:
        """By its own signal and with its own time; a paused one has to go on to be able to end."""
        with saying(f"stop {subject}"):
            try:
                if self.api.inspect_container(one)["State"]["Paused"]:
                    self.api.unpause(one)
                # The API gives up on its own connection before a long grace is over.
                seconds = int(self.api.inspect_container(one)["Config"].get("StopTimeout") or 10)
                self.api.stop(one, timeout=seconds)
            except Missing:
                return

    def connect(self, one: str, subject: str, network: str) -> None:
        """Back to the network that it was made in."""
        with saying(f"connect {subject} to {network}"):
            self.api.connect_container_to_network(one, network, aliases=[subject])

    def rename(self, one: str, name: str) -> None:
        self.take_away(name, other_than=one)
        with saying(f"rename a container to {name}"):
            self.api.rename(one, name)

    def take_away(self, one: str, *, other_than: str = "") -> None:
        """By name or id, whatever it does."""
        try:
            with saying(f"remove the container {one}"):
                there = self.api.inspect_container(one)
                if there["Id"] != other_than:
                    self.api.remove_container(there["Id"], force=True, v=True)
        except Failed as error:
            cause = error.__cause__
            if not isinstance(cause, Missing) and not (
                isinstance(cause, APIError) and "already in progress" in str(cause)
            ):
                raise

    def run_in(self, one: str, argv: Sequence[str]) -> tuple[int, str]:
        """A command in a running container: its exit code and what it said."""
        with saying(f"run {argv[0]} in a container"):
            made = self.api.exec_create(one, list(argv))["Id"]
            said = self.api.exec_start(made)
            code = self.api.exec_inspect(made)["ExitCode"]
        return int(code if code is not None else -1), bytes(said).decode(errors="replace").strip()

    def last_lines(self, one: str, count: int) -> list[str]:
        with saying("read the log of a container"):
            try:
                data = self.api.logs(one, stdout=True, stderr=True, tail=count * 4)
            except Missing:
                return []
        return bytes(data).decode(errors="replace").strip().splitlines()
