"""The table of damage finds a wrong verdict, or it would say nothing; `python -m tests.faults.damage` is the table."""

from types import SimpleNamespace
from typing import Any

from engine.journal_python import scan
from engine.scan import Scan, Verdict
from tests.engine.test_journal import CODECS
from tests.faults import foreign
from tests.faults.damage import COUNT, judged, of_bytes, swaps


def test_every_damage_gets_its_verdict() -> None:
    rows = list(of_bytes(CODECS))
    assert [row.wrong for row in rows] == [[]] * 5
    assert all(row.cases > 100 for row in rows)
    assert sum(row.window for row in rows) > 400


def test_nothing_of_another_journal_is_taken_for_its_own() -> None:
    found = list(foreign.judged())
    assert [one for one in found if one.wrong] == []
    assert {one.verdict for one in found} == {foreign.REFUSED, foreign.SAME} and len(found) > 25


def test_a_codec_that_calls_damage_a_torn_tail_is_found_out() -> None:
    def mild(*given: Any) -> Scan:
        found = scan(*given)
        return found._replace(verdict=Verdict.TORN) if found.verdict == Verdict.DAMAGED else found

    codecs: dict[str, Any] = {"python": SimpleNamespace(scan=mild)}
    row = judged("swapped", swaps(), codecs)
    assert len(row.wrong) == row.cases == COUNT * (COUNT - 1) // 2
