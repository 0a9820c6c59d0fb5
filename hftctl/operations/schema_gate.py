"""Whether a release can live with the database that stands, asked before the first write.

Migrations only add, so code works on a newer schema than its own, and a rollback leaves the schema where it is. What an older
release still reads is taken away by a later release's migration; from then on releases that end before it are out of reach, and
a release that takes away what the standing one reads needs one between them.
"""

from __future__ import annotations

from collections.abc import Sequence

from hftctl.errors import Refused
from hftctl.release import Release, Revision
from hftctl.targets.base import Finding


def findings(release: Release, verb: str, revisions: Sequence[Revision]) -> tuple[Finding, ...]:
    """What whoever confirms it should know. Raises Refused."""
    if not revisions:
        return ()
    needs, newest = release.schema
    needed, stands_at = (max(one.release.schema[which] for one in revisions) for which in (0, 1))
    running = revisions[-1].release.schema[1]
    cannot = f"cannot {verb} '{release.deployment}'"
    if newest < needed:
        raise Refused(
            f"{cannot}: the database is at schema {stands_at}, which took away what releases before {needed} read, and "
            f"this one ends at {newest}; nothing was changed",
            hint=_newest_safe(release.deployment, needed, revisions),
        )
    if needs > running:
        raise Refused(
            f"{cannot}: it takes away what releases before schema {needs} read, and the one that runs ends at {running}: "
            "both run while it is rolled out, and it could not be taken back; nothing was changed",
            hint=f"deploy a release with schema {needs} that takes nothing away first",
        )
    if stands_at > newest:
        message = (
            f"the database's schema is at {stands_at} and stays there, this release ends at {newest}: "
            "migrations only add, so that it works on the newer one"
        )
        return (Finding("warning", "schema", message),)
    return ()


def _newest_safe(deployment: str, needed: int, revisions: Sequence[Revision]) -> str:
    safe = [one.number for one in revisions[:-1] if one.release.schema[1] >= needed]
    if safe:
        return f"the newest revision that can: hftctl rollback {safe[-1]} -p {deployment}"
    return f"what stood earlier can be looked at in a copy: hftctl backup restore --help; revisions: hftctl history -p {deployment}"
