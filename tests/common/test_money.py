from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.money import cents, credits_text, round_up, show, usd

MICROS = st.integers(0, 10**15)


@given(MICROS)
def test_dollars_written_as_text_are_read_exactly(micros):
    assert usd(str(Decimal(micros).scaleb(-6))) == micros


@given(MICROS, st.integers(1, 999_999))
def test_a_part_of_a_micro_rounds_up(micros, part):
    assert usd(str(Decimal(micros * 10**6 + part).scaleb(-12))) == micros + 1


@given(st.fractions(min_value=0, max_value=10**12))
def test_a_computed_price_rounds_up_by_less_than_a_micro(price):
    assert 0 <= round_up(price) - price < 1


@given(st.integers(0, 10**12))
def test_a_whole_price_stays(micros):
    assert round_up(Fraction(micros)) == micros


@given(st.integers(-(10**12), 10**12))
def test_cents_have_four_decimals_at_most_and_lose_nothing(micros):
    wire = Decimal(str(cents(micros)))

    assert wire * 10_000 == micros


def test_whole_cents_are_whole_numbers():
    assert cents(23_505_000) == 2350.5
    assert isinstance(cents(23_500_000), int)


@given(st.integers(0, 10**12))
def test_credits_are_within_half_a_hundredth_of_the_rate(micros):
    shown = Fraction(credits_text(micros))

    assert abs(shown - Fraction(micros * 211, 1_000_000)) <= Fraction(1, 200)


@pytest.mark.parametrize(
    ("micros", "text"),
    [(60_000, "12.66"), (0, "0"), (1_000_000, "211"), (10_000, "2.11"), (10_000_000, "2110")],
)
def test_credits_for_the_header(micros, text):
    assert credits_text(micros) == text


@given(MICROS)
def test_what_is_shown_to_people_can_be_read_back(micros):
    assert usd(show(micros).removeprefix("$").replace(",", "")) == micros


@pytest.mark.parametrize(
    ("micros", "text"),
    [
        (37_500, "$0.0375"),
        (1_000_000, "$1.00"),
        (1_234_567_890_000, "$1,234,567.89"),
        (-250_000, "-$0.25"),
        (1, "$0.000001"),
    ],
)
def test_dollars_for_people(micros, text):
    assert show(micros) == text
