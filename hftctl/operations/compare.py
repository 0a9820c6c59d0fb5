"""What differs between two releases, or a release and what stands: profile, versions, rendered configuration."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hftctl.errors import NotFound, UsageError
from hftctl.operations.deploy import make_release
from hftctl.operations.standing import open_standing, open_target
from hftctl.operations.terms import TargetFactory
from hftctl.plan.change import Spec, State
from hftctl.plan.diff import ABSENT, walk
from hftctl.release import Release, Revision
from hftctl.run import redacted
from hftctl.targets.base import Target
from hftctl.targets.rendering import rendered

NOW = "now"
CONTEXT_LINES = 2
HASH_SHOWN = 12


@dataclass(frozen=True)
class KeyDifference:
    key: str
    before: Any  # None: not there
    after: Any
    origin: str  # file:line that the value of `after` comes from, as far as it is known


@dataclass(frozen=True)
class VersionDifference:
    component: str
    before: str
    after: str


@dataclass(frozen=True)
class FileDifference:
    component: str
    file: str
    diff: tuple[str, ...]  # unified


@dataclass(frozen=True)
class Comparison:
    deployment: str
    before: str
    after: str
    profile: tuple[KeyDifference, ...]
    versions: tuple[VersionDifference, ...]
    configuration: tuple[FileDifference, ...]

    @property
    def different(self) -> bool:
        return bool(self.profile or self.versions or self.configuration)


@dataclass(frozen=True)
class Side:
    label: str
    release: Release
    state: State
    origins: Mapping[str, str] = field(default_factory=dict)


def compare(
    name: str | None,
    before: str,
    after: str = NOW,
    *,
    environment: str | None = None,
    targets: TargetFactory = open_target,
) -> Comparison:
    """Each side is the number of a revision, `now`, or a profile. Reads only.

    A revision keeps its profile and the hash of its code, not its files: they are rendered anew by the code of today, as a
    rollback would. `now` is what the components run with.
    """
    target = open_standing(name, targets=targets)
    sides = [_side(target, word, environment) for word in (before, after)]
    return _compared(target, *sides)


def _side(target: Target, word: str, environment: str | None) -> Side:
    revisions = target.revisions()
    if word.isascii() and word.isdecimal():
        found = next((revision for revision in revisions if revision.number == int(word)), None)
        if found is None:
            listed = ", ".join(str(revision.number) for revision in revisions) or "none yet"
            raise NotFound(
                f"'{target.deployment}' has no revision {word}; there are: {listed}",
                hint=f"hftctl history -p {target.deployment}",
            )
        return Side(f"revision {word}", found.release, target.desired(found.release))
    if word == NOW:
        return Side("what stands now", _last(target, revisions).release, target.observe())
    from hftctl.profile.load import load

    resolved = load(word, environment=environment)
    release = make_release(resolved.values, name=target.deployment)
    if release.target != target.name:
        raise UsageError(f"cannot compare: profile {word} is for the target {release.target}, not {target.name}")
    origins = {key: f"{one.file}:{one.line}" if one.line else one.file for key, one in resolved.origins.items()}
    return Side(f"profile {word}", release, target.desired(release), origins)


def _last(target: Target, revisions: Sequence[Revision]) -> Revision:
    if not revisions:
        raise NotFound(
            f"'{target.deployment}' has no revision yet, so there is nothing to compare",
            hint=f"hftctl status -p {target.deployment}",
        )
    return revisions[-1]


def _compared(target: Target, before: Side, after: Side) -> Comparison:
    secrets = target.secrets()
    return Comparison(
        deployment=target.deployment,
        before=before.label,
        after=after.label,
        profile=tuple(_keys(before, after)),
        versions=tuple(_versions(before, after)),
        configuration=tuple(_files(before.state, after.state, secrets)),
    )


def _keys(before: Side, after: Side) -> Iterator[KeyDifference]:
    for path, old, new in walk(before.release.profile, after.release.profile, ""):
        whole = path.partition("[")[0]  # a list is one value of a profile
        left, right = (None if value is ABSENT else value for value in (old, new))
        yield KeyDifference(path, left, right, after.origins.get(whole) or before.origins.get(whole, ""))


def _versions(before: Side, after: Side) -> Iterator[VersionDifference]:
    old, new = dict(_versions_of(before)), dict(_versions_of(after))
    for component in [*old, *(name for name in new if name not in old)]:
        if old.get(component) != new.get(component):
            yield VersionDifference(component, old.get(component, "none"), new.get(component, "none"))


def _versions_of(side: Side) -> Iterator[tuple[str, str]]:
    for package, digest in side.release.artifacts.items():
        yield f"code of {package}", digest[:HASH_SHOWN]
    yield "schema", "{} to {}".format(*side.release.schema)
    for subject, spec in side.state.items():
        if program := _program(spec):
            yield subject, program


def _program(spec: Spec) -> str:
    """Of a server that is not ours: the file that runs."""
    settings = spec.get("settings", {})
    if "program" in settings:
        return str(settings["program"])
    process = spec.get("process", {})
    return str(process["argv"][0]) if process.get("program") else ""


def _files(before: State, after: State, secrets: Sequence[str]) -> Iterator[FileDifference]:
    for subject in [*before, *(subject for subject in after if subject not in before)]:
        old, new = (dict(rendered(subject, state.get(subject, {}))) for state in (before, after))
        for file in [*old, *(file for file in new if file not in old)]:
            lines = difflib.unified_diff(
                old.get(file, []), new.get(file, []), "before", "after", n=CONTEXT_LINES, lineterm=""
            )
            if shown := tuple(redacted(line, secrets) for line in lines):
                yield FileDifference(subject, file, shown[2:])
