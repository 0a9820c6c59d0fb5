"""Which release may follow which, by what their migrations add and take away."""

import pytest

from hftctl.errors import Refused
from hftctl.operations.schema_gate import findings
from hftctl.release import Release, Revision


def release(*schema):
    return Release("paper", "compose", "development", {}, {}, schema)


def after(*schemas):
    return [Revision(n, release(*schema), 0, "ana@desk3", "", "") for n, schema in enumerate(schemas, 1)]


@pytest.mark.parametrize("before", [[], [(1, 5)], [(1, 6)], [(1, 5), (1, 6)]])
def test_a_release_that_adds_follows_any(before):
    assert findings(release(1, 6), "deploy", after(*before)) == ()


def test_an_earlier_one_is_told_that_the_schema_stays():
    (told,) = findings(release(1, 5), "roll back", after((1, 5), (1, 7)))
    assert "at 7 and stays there, this release ends at 5" in told.message


def test_the_schema_stays_also_over_several_rollbacks():
    (told,) = findings(release(1, 5), "roll back", after((1, 5), (1, 7), (1, 6)))
    assert "at 7" in told.message


def test_one_before_what_was_taken_away_is_refused_and_the_newest_that_can_is_named():
    with pytest.raises(Refused, match="took away what releases before 6 read, and this one ends at 5") as refused:
        findings(release(1, 5), "roll back", after((1, 5), (1, 6), (1, 7), (6, 8)))
    assert "hftctl rollback 3 -p paper" in refused.value.hint


def test_where_none_can_a_copy_is_offered():
    with pytest.raises(Refused) as refused:
        findings(release(1, 5), "roll back", after((1, 5), (6, 8)))
    assert "backup restore" in refused.value.hint


def test_taking_away_what_the_running_one_reads_needs_a_release_between():
    with pytest.raises(Refused, match="releases before schema 6 read, and the one that runs ends at 5") as refused:
        findings(release(6, 7), "deploy", after((1, 6), (1, 5)))
    assert "schema 6" in refused.value.hint
    assert findings(release(6, 7), "deploy", after((1, 6))) == ()
