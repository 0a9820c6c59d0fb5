from decimal import Decimal

import pytest

from engine.records import PRICE_TICKS_MAX
from stack.wire.decimals import NumberError, Step, decimal_text


@pytest.mark.parametrize(
    ("tick", "value", "ticks"),
    [
        ("0.01", "100.25", 10025),
        ("0.01", "100.2500", 10025),
        ("0.25", "5000.75", 20003),
        ("0.00000001", "0.00017", 17000),
        ("1", 7, 7),
        ("5", "15", 3),
        ("0.01", Decimal("1E+2"), 10000),
        ("0.00000001", Decimal("1E-8"), 1),
        ("0.01", "0000100", 10000),
    ],
)
def test_a_multiple_of_the_step_is_counted_exactly(tick: str, value: object, ticks: int) -> None:
    assert Step.parse(tick).steps(value, PRICE_TICKS_MAX) == ticks


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("NaN", "not_a_number"),
        (Decimal("NaN"), "not_a_number"),
        (Decimal("Infinity"), "not_a_number"),
        ("1e2", "not_a_number"),
        ("", "not_a_number"),
        (" 1", "not_a_number"),
        ("1.", "not_a_number"),
        (".5", "not_a_number"),
        ("+1", "not_a_number"),
        ("1_000", "not_a_number"),
        ("\u0661", "not_a_number"),
        ("9" * 33, "not_a_number"),
        (True, "not_a_number"),
        (None, "not_a_number"),
        (1.5, "not_a_number"),
        ("0", "not_positive"),
        ("0.00", "not_positive"),
        ("-1", "not_positive"),
        (-1, "not_positive"),
        (Decimal("-0.5"), "not_positive"),
        ("0.001", "not_a_multiple"),
        (Decimal("1E-400"), "not_a_multiple"),
        (Decimal("1E+400"), "too_large"),
        (10**400, "too_large"),
        pytest.param(-(10**5000), "too_large", id="too-long-to-be-text"),
        (2**63, "too_large"),
        ("99999999999999999999", "too_large"),
    ],
)
def test_what_is_no_price_is_refused_with_its_code(value: object, code: str) -> None:
    with pytest.raises(NumberError) as caught:
        Step.parse("0.01").steps(value, PRICE_TICKS_MAX)
    assert caught.value.code == code
    assert len(caught.value.message) < 150


def test_the_limit_itself_is_allowed_and_one_more_is_not() -> None:
    step = Step.parse("0.01")
    assert step.steps(step.text(PRICE_TICKS_MAX), PRICE_TICKS_MAX) == PRICE_TICKS_MAX
    with pytest.raises(NumberError):
        step.steps(step.text(PRICE_TICKS_MAX + 1), PRICE_TICKS_MAX)


def test_text_and_steps_are_inverse() -> None:
    for size in ("0.01", "0.25", "5", "0.00000001", "10"):
        step = Step.parse(size)
        for steps in (1, 3, 99, 100, 12345678901):
            assert step.steps(step.text(steps), 1 << 53) == steps


def test_trailing_zeros_are_dropped() -> None:
    assert decimal_text(10050, 2) == "100.5"
    assert decimal_text(10000, 2) == "100"
    assert decimal_text(100, 0) == "100"
    assert decimal_text(5, 3) == "0.005"
    assert decimal_text(0, 2) == "0"
    assert str(Step.parse("0.2500")) == "0.25"
