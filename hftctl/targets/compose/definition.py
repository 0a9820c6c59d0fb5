"""stack/compose/compose.yaml as what the Docker API takes: one template for each service. Pure but for reading the file."""

from __future__ import annotations

import copy
import functools
import re
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from hftctl.paths import package_folder

FILE = "compose.yaml"
UNITS = {"b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0}
# Used by plain `docker compose` alone: order and settings come from elsewhere here.
LEFT_OUT = {"image", "depends_on", "ports", "configs", "command", "networks", "volumes"}


@functools.cache
def services() -> Mapping[str, Any]:
    path = package_folder("stack") / "compose" / FILE
    found: dict[str, Any] = yaml.safe_load(path.read_text())["services"]
    return found


def text(document: Mapping[str, Any]) -> str:
    """As YAML in its own order; text of several lines as a block, to be read and compared."""
    return yaml.dump(document, Dumper=_Blocks, sort_keys=False, width=120)


class _Blocks(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def _string(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Blocks.add_representer(str, _string)


def template(service: str) -> dict[str, Any]:
    """The body of POST /containers/create, without image, mounts and network, which depend on the deployment.

    Raises ValueError for a key that nothing is made of: what stands in the file must not be lost in silence.
    """
    found = services()[service]
    host: dict[str, Any] = {"Init": False}
    body: dict[str, Any] = {"Cmd": found.get("command", []), "HostConfig": host}
    for key, value in found.items():
        match key:
            case "user":
                body["User"] = value
            case "working_dir":
                body["WorkingDir"] = value
            case "entrypoint":
                body["Entrypoint"] = value
            case "stop_signal":
                body["StopSignal"] = value
            case "stop_grace_period":
                body["StopTimeout"] = int(seconds(value))
            case "healthcheck":
                body["Healthcheck"] = _health(value)
            case "cap_drop":
                host["CapDrop"] = value
            case "security_opt":
                host["SecurityOpt"] = value
            case "read_only":
                host["ReadonlyRootfs"] = value
            case "restart":
                # A dockerd that died and is started again ends what outlived it, and takes that for stopped by hand. What hftctl
                # stops it keeps stopped itself (`Containers.rest`).
                host["RestartPolicy"] = {"Name": "always" if value == "unless-stopped" else value}
            case "logging":
                host["LogConfig"] = {"Type": value["driver"], "Config": value["options"]}
            case "tmpfs":
                host["Tmpfs"] = dict(one.split(":", 1) for one in value)
            case "group_add":
                host["GroupAdd"] = value
            case "shm_size":
                host["ShmSize"] = size_bytes(value)
            case "mem_limit":
                # As much swap as memory means none: what swaps answers late, and nobody sees why.
                host["Memory"] = host["MemorySwap"] = size_bytes(value)
            case "cpu_shares":
                host["CpuShares"] = value
            case "pids_limit":
                host["PidsLimit"] = value
            case "network_mode":
                host["NetworkMode"] = value
            case _ if key not in LEFT_OUT:
                raise ValueError(f"{FILE}: services.{service}.{key} is not understood")
    return copy.deepcopy(body)


def mounts(service: str) -> Sequence[tuple[str, str, bool]]:
    """Volume, where it is mounted, and whether it is read-only there."""
    words = [str(one).split(":") for one in services()[service].get("volumes", [])]
    return [(one[0], one[1], one[2:] == ["ro"]) for one in words]


def network(service: str) -> str | None:
    """Each service is in one network, or in none."""
    names = services()[service].get("networks", [])
    return str(next(iter(names))) if names else None


def container_port(service: str) -> int:
    return int(str(services()[service]["ports"][0]).rpartition(":")[2])


def seconds(text: str) -> float:
    found = re.fullmatch(r"(\d+)(ms|s|m)", text)
    if found is None:
        raise ValueError(f"{FILE}: {text!r} is not a duration such as 500ms or 5s")
    return int(found[1]) * SECONDS[found[2]]


def size_bytes(text: str) -> int:
    return int(text[:-1]) * UNITS[text[-1]]


def _health(value: Mapping[str, Any]) -> dict[str, Any]:
    if value.get("disable"):
        return {"Test": ["NONE"]}
    times = {
        "interval": "Interval",
        "timeout": "Timeout",
        "start_period": "StartPeriod",
        "start_interval": "StartInterval",
    }
    found: dict[str, Any] = {"Test": value["test"], "Retries": value["retries"]}
    return found | {name: int(seconds(value[key]) * 1e9) for key, name in times.items() if key in value}
