"""What everything of a deployment is called on a Docker engine, and the labels by which it is found again. Pure."""

from __future__ import annotations

DEPLOYMENT = "hftctl.deployment"
COMPONENT = "hftctl.component"
ROLE = "hftctl.role"  # component | state | lock | writer
SPEC = "hftctl.spec"  # what a container was made from, JSON
DIGEST = "hftctl.digest"  # of that, without what can change while it runs
CLUSTER = "hftctl.cluster"  # of a schema job: when the volume was made that it migrated
SCHEMA = "hftctl.schema"  # of an image of ours: which migrations it needs and brings
RECORD = "hftctl.lock"  # who holds a lock, since when and why, JSON

NEXT = ".next"  # a container that shall take a place, once it is ready
OLD = ".old"  # one that has given its place up and answers what it has

# Gateways of the new release, and fresh ones of the one before, while a canary is judged.
CANARY, BASELINE = "canary", "baseline"

STATE_VOLUMES = ("state", "config", "run")  # go with every destroy
SECRET_VOLUMES = ("secrets", "keys")  # and the data volumes go with `destroy --data`


def container(deployment: str, subject: str) -> str:
    return f"hftctl-{deployment}-{subject}"


def volume(deployment: str, name: str) -> str:
    return f"hftctl-{deployment}-{name}"


def network(deployment: str, name: str) -> str:
    return f"hftctl-{deployment}-{name}"


def kind(subject: str) -> str:
    """`engine-0` is an engine, `redis` is itself."""
    head, _, number = subject.rpartition("-")
    return head if number.isdigit() else subject


def service(subject: str) -> str:
    """What it is made from in the Compose file: canaries and baselines are gateways."""
    return "gateway" if kind(subject) in (CANARY, BASELINE) else kind(subject)


def number(subject: str) -> int:
    return int(subject.rpartition("-")[2])
