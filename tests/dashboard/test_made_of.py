"""Of what a price was made, in words."""

import pytest
from call_rows import call_of
from django.utils import translation
from page_text import text

from dashboard import made_of, words
from prices.terms import Term
from usage.history import Receipt


def receipt(member, *, charged, **facts):
    return Receipt.of(call_of(member, held_micros=charged, charged_micros=charged, facts=facts))


def told(lines):
    return [(each.name, each.value) for each in lines]


def test_seconds_times_their_rate_come_to_the_published_price_and_the_mark_up_to_the_rest(alice):
    book = {"kind": "markup", "about": "*", "amount": 80_000, "retail": 3_000_000}
    inputs = {"rate": 50_000, "least": "1", "most": "60", "resolution": "1080p", "book": book}
    found = receipt(alice, charged=270_000, inputs=inputs, retail=250_000, measured_seconds=5.0)

    assert told(made_of.asked(inputs)) == [("Resolution", "1080p")]
    assert told(made_of.sums(found)) == [
        ("Price of a second", "$0.05"),
        ("5 s \u00d7 $0.05", "$0.25"),
        ("Published price", "$0.25"),
        ("Mark-up of 8 %", "+$0.02"),
    ]


def test_a_sum_that_does_not_come_out_is_not_told(alice):
    inputs = {"rate": 50_000, "least": "1", "most": "60"}
    found = receipt(alice, charged=240_000, inputs=inputs, measured_seconds=5.0)

    assert told(made_of.sums(found)) == [("Price of a second", "$0.05")]


def test_what_was_not_charged_has_no_sum(alice):
    inputs = {"rate": 50_000, "least": "1", "most": "60"}

    assert made_of.sums(receipt(alice, charged=0, inputs=inputs)) == []


@pytest.mark.parametrize(
    ("inputs", "lines"),
    [
        ({"seconds": "5", "sound": True}, [("Length", "5 s"), ("Sound", "yes")]),
        ({"n": 1200, "moodboards": 0}, [("How many", "1,200"), ("moodboards", "0")]),
        ({"width": 1024, "held": 5, "price": 7}, [("Width", "1024 px")]),
        ({"seconds": "unknown", "styles": ["a", "b"]}, [("Length", "unknown"), ("styles", "a, b")]),
        ({"gpu_ms": 15192, "outputs": 2}, [("Time of the machine", "15.192 s"), ("Files", "2")]),
        ({}, []),
    ],
)
def test_what_was_asked_for_goes_by_its_name(inputs, lines):
    assert told(made_of.asked(inputs)) == lines


def test_rates_of_tokens_and_a_discount(alice):
    book = {"kind": "markup", "about": "*", "amount": -100_000, "retail": 41_678}
    inputs = {"rates": {"in": 1_250_000, "out": 10_000_000}, "book": book}
    found = receipt(alice, charged=900, inputs=inputs, retail=1_000)

    assert told(made_of.sums(found)) == [
        ("A million tokens", "$1.25 in, $10.00 out"),
        ("Published price", "$0.001"),
        ("Discount of 10 %", "\u2212$0.0001"),
    ]


@pytest.mark.parametrize(
    "book", [{"kind": "of tomorrow", "amount": 1}, {"nothing": 1}, "x", [], None]
)
def test_a_book_that_nobody_can_read_any_more_is_left_out(alice, book):
    assert made_of.sums(receipt(alice, charged=900, inputs={"book": book})) == []


def test_the_page_of_a_receipt_shows_no_dictionary(alice, signed_in):
    book = {"kind": "fixed", "about": "bfl", "amount": 40_000, "retail": 60_000}
    call = call_of(alice, facts={"inputs": {"model": "x", "book": book}, "retail": 60_000})

    said = text(signed_in(alice).get(f"/my/usage/{call.pk}"))

    assert "A fixed price for a call" in said
    assert "{&#x27;" not in said
    assert "Black Forest Labs" in said


@pytest.mark.parametrize(
    ("term", "chinese"),
    [
        (Term("*", "markup", 125_000), "比公布的价格高 12.5 %"),
        (Term("*", "markup", -10_000), "比公布的价格低 1 %"),
        (Term("*", "markup", 0), "公布的价格"),
        (Term("*", "fixed", 40_000), "每次调用 $0.04"),
    ],
)
def test_a_term_of_the_list_is_said_in_the_viewers_language(term, chinese):
    assert words.term_said(term.words).lower() == term.words.lower()
    with translation.override("zh-hans"):
        assert words.term_said(term.words) == chinese
    assert words.term_said("$1.00 by seconds") == "$1.00 by seconds"
