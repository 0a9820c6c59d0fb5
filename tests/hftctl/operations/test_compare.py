import pytest

from hftctl.errors import NotFound
from hftctl.operations.compare import compare
from hftctl.operations.deploy import deploy
from tests.hftctl.targets.fake import FakeTarget, profile


class Target(FakeTarget):
    """Its settings hold what a careless hand may put there."""

    def desired(self, release):
        found = super().desired(release)
        for spec in found.values():
            spec["settings"]["note"] = f"a-secret-of-the-fake {release.profile['version']}"
        return found


@pytest.fixture
def targets(tmp_path, monkeypatch):
    monkeypatch.setenv("HFTCTL_HOME", str(tmp_path))
    return lambda _target, deployment: Target(tmp_path, deployment)


def bring_up(targets, **changes):
    return deploy(profile(**changes), targets=targets, prove=lambda *_: [{"partition": 0}], no_build=True)


def test_two_revisions_differ_by_key_and_by_line(targets):
    bring_up(targets)
    bring_up(targets, version=2, gateways=2)
    found = compare("fake", "1", "2", targets=targets)
    assert found.different
    assert {(one.key, one.before, one.after) for one in found.profile} == {("version", 1, 2), ("gateways", 1, 2)}
    by_component = {one.component: one for one in found.configuration}
    assert set(by_component) == {"postgres-0", "engine-0", "gateway-0", "gateway-1", "nginx"}
    assert '- "version": 1,' in by_component["nginx"].diff
    assert '+ "version": 2,' in by_component["nginx"].diff
    assert all(line.startswith(("@@", "+")) for line in by_component["gateway-1"].diff), "it is new"


def test_secrets_are_not_shown(targets):
    bring_up(targets)
    bring_up(targets, version=2)
    found = compare("fake", "1", "2", targets=targets)
    lines = [line for one in found.configuration for line in one.diff]
    assert any("*** 1" in line for line in lines)
    assert not any("a-secret-of-the-fake" in line for line in lines)


def test_what_stands_is_the_last_revision_until_somebody_changes_it(targets):
    bring_up(targets)
    assert not compare("fake", "1", targets=targets).different
    target = targets("fake", "fake")
    state = target.observe()
    state["nginx"]["settings"]["version"] = 7
    target._write(state)
    found = compare("fake", "1", "now", targets=targets)
    assert [one.component for one in found.configuration] == ["nginx"]
    assert not found.profile


def test_a_revision_that_is_not_there_is_named_with_those_that_are(targets):
    bring_up(targets)
    with pytest.raises(NotFound, match="no revision 9; there are: 1"):
        compare("fake", "9", targets=targets)
