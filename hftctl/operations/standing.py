"""Which deployment is meant, and the target it stands on."""

from __future__ import annotations

import json

from hftctl import paths
from hftctl.errors import DamageFound, NotFound, UsageError
from hftctl.operations.terms import TargetFactory
from hftctl.release import Revision
from hftctl.targets.base import Target


def open_target(target: str, deployment: str) -> Target:
    """The driver is imported only here, so that nobody pays for the libraries of a target that is not used."""
    paths.check_name(deployment)
    if target == "local":
        from hftctl.targets.local import LocalTarget

        return LocalTarget(deployment)
    if target == "compose":
        from hftctl.targets.compose.driver import ComposeTarget

        return ComposeTarget(deployment)
    if target == "kubernetes":
        from hftctl.targets.kubernetes.driver import KubernetesTarget

        return KubernetesTarget(deployment)
    raise UsageError(
        f"cannot deploy to {target!r}: this version of hftctl knows the targets 'local', 'compose' and 'kubernetes'"
    )


def find_deployments() -> list[str]:
    """Of this machine, of the Docker engine that is chosen, and of clusters those that this machine has worked on."""
    from hftctl.targets.compose import discovery
    from hftctl.targets.kubernetes import discovery as clusters

    return sorted({*paths.deployments(), *discovery.deployments(), *clusters.known()})


def kept(name: str | None) -> str:
    """The target on which only data is left of a deployment; empty where none is."""
    if name is None or name in find_deployments():
        return ""
    from hftctl.targets.compose import discovery
    from hftctl.targets.kubernetes import discovery as clusters

    if paths.layout(name).root.is_dir():
        return "local"
    if name in discovery.kept():
        return "compose"
    return "kubernetes" if clusters.kept(name) else ""


def which(name: str | None) -> str:
    """The deployment called so; without a name the only one. Several: refused, and listed."""
    if name is not None and paths.check_name(name) in paths.deployments():
        return name
    standing = find_deployments()
    if name is not None and name not in standing and _on_cluster(name):
        return name
    if not standing or name not in (None, *standing):
        _refuse_silent(name)
    if name is not None:
        if name not in standing:
            listed = f"; there are: {', '.join(standing)}" if standing else "; none stands"
            hint = f"name one that stands: -p {standing[0]}" if standing else "bring one up: hftctl deploy local"
            raise NotFound(f"no deployment is named '{name}' in {paths.home()}{listed}", hint=hint)
        return name
    if not standing:
        raise NotFound(f"no deployment stands in {paths.home()}", hint="bring one up: hftctl deploy local")
    if len(standing) > 1:
        raise UsageError(
            f"which deployment? {len(standing)} stand here: {', '.join(standing)}",
            hint=f"name one: -p {standing[0]}",
        )
    return standing[0]


def _on_cluster(name: str) -> bool:
    """Deployed from another machine, on the cluster that the current context leads to."""
    from hftctl.targets.kubernetes import discovery

    return discovery.stands(name)


def _refuse_silent(name: str | None) -> None:
    """What stands on a Docker engine that does not answer is not gone."""
    from hftctl.targets.compose import discovery

    if why := discovery.silent():
        wanted = f"'{name}'" if name else "a deployment"
        raise NotFound(
            f"cannot find {wanted}: none is in {paths.home()}, and we {why}",
            hint=why.hint,
        )


def open_standing(name: str | None, *, targets: TargetFactory = open_target) -> Target:
    deployment = which(name)
    return targets(_target_of(deployment), deployment)


def endpoint_of(target: Target) -> str:
    """Base URL of the public door; empty while no configuration was ever written, or what was is damaged."""
    try:
        return target.endpoint()
    except (NotFound, DamageFound):
        return ""


def last_revision(target: Target) -> Revision | None:
    return next(reversed(target.revisions()), None)


def recorded(target: Target, verb: str) -> Revision:
    """The last revision. Raises NotFound where there never was one."""
    last = last_revision(target)
    if last is None:
        tried = target.journal().last()
        raise NotFound(
            f"cannot {verb} '{target.deployment}': no revision was ever recorded, its first deploy did not end well",
            hint=f"deploy it: {tried.go_on(target.deployment) if tried else 'hftctl deploy PROFILE'}; "
            f"or clear it away: hftctl destroy -p {target.deployment}",
        )
    return last


def last_rollout(target: Target) -> str:
    """Its id; empty where none was ever begun."""
    last = target.journal().last()
    return last.id if last is not None else ""


def _target_of(deployment: str) -> str:
    if deployment not in paths.deployments():
        from hftctl.targets.compose import discovery

        return "compose" if deployment in discovery.deployments() else "kubernetes"
    try:
        return str(json.loads(paths.layout(deployment).release.read_bytes())["target"])
    except FileNotFoundError:
        return "local"  # killed before its configuration was written: only the local target journals in the state home
    except (ValueError, KeyError, TypeError):
        return "local"  # damaged: a halt must go on all the same, and who needs what was written there says so
