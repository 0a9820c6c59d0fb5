"""What stands beside the gateways while new ones are judged: canaries, as many fresh ones of the release before, and the door. Pure.

All are entries of one upstream with weights, not groups to choose from: when a canary dies, nginx goes on to the next entry, and its
requests are answered by the others.
"""

from __future__ import annotations

from hftctl.plan.change import Spec
from hftctl.release import Release
from hftctl.targets.compose import components, names, services
from hftctl.targets.local import nginx as door

WHOLE = 100


def beside(release: Release, before: Release, percent: int, processors: int) -> dict[str, Spec]:
    """While `percent` of all requests go to gateways of `release`, and as many to fresh ones of `before`."""
    steps = [step for step in release.profile["rollout"]["canary"] if step < WHOLE]
    standing = range(1, before.profile["gateways"] + 1)
    taking = door.in_turn(before.profile, processors)
    count = max(1, -(-taking * max(steps) // WHOLE))  # so that at the last step each has as much to do as one has now
    found: dict[str, Spec] = {}
    shares: list[door.Share] = []
    for kind, of in ((names.BASELINE, before), (names.CANARY, release)):
        for number in range(1, count + 1):
            subject, spec = components.gateway(of, number, kind)
            found[subject] = spec
        shares.append(door.Share(tuple(services.socket(kind, number) for number in range(1, count + 1)), percent))
    sockets = [services.socket("gateway", number) for number in standing]
    shares.append(door.Share(tuple(sockets[:taking]), WHOLE - 2 * percent))
    if sockets[taking:]:
        shares.append(door.Share(tuple(sockets[taking:]), 0))
    subject, spec = components.nginx(before, *services.nginx(before.profile, processors, shares))
    return {**found, subject: spec}
