"""A measured file lowers a hold to its own length, and never below what is then charged."""

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from common.money import usd
from proxy.asked import Asked, Evidence
from proxy.pricing.shapes import SLACK_SECONDS, Ruled, longest, of_input, per_second

RATE = usd("0.19019")
SECONDS = st.fractions(min_value=Fraction(1, 100), max_value=5000, max_denominator=1000)


def delivered(seconds):
    return Evidence(submit={}, end={}, measured={"seconds": seconds})


@given(measured=SECONDS, came=SECONDS, capped=st.booleans())
def test_what_is_held_covers_a_delivery_as_long_as_the_file(measured, came, capped):
    rule = Ruled(lambda asked: of_input(asked, "x", RATE, least="1", most="600", capped=capped))
    quote = rule.rule(Asked(measured={"x": measured}))
    charged = rule.settle(quote.inputs, delivered(came))

    assert rule.settle(quote.inputs, Evidence()) is None
    if capped or came <= measured + SLACK_SECONDS:
        assert charged == quote.most
    else:
        assert charged >= RATE * came or came <= 1 + SLACK_SECONDS


@given(measured=SECONDS, declared=st.integers(min_value=-10, max_value=10))
def test_what_a_client_declares_changes_nothing(measured, declared):
    def quote(**body):
        return of_input(Asked(body=body, measured={"x": measured}), "x", RATE, least="1", most="60")

    assert quote(duration=declared, x_seconds=declared) == quote()
    assert quote().most >= RATE * measured


@given(measured=SECONDS)
def test_a_length_with_room_is_no_less_than_the_file_and_no_more_than_the_maximum(measured):
    most = Fraction(longest(Asked(measured={"x": measured}), "x", least="2", most="300"))

    assert min(measured, 300) <= most <= 300
    quote = per_second(RATE, least="2", most=f"{most}")
    came = min(measured, Fraction(300))
    assert Ruled(lambda _: quote).settle(quote.inputs, delivered(came)) <= quote.most
    assert longest(Asked(), "x", least="2", most="300") == "300"
