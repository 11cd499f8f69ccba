"""Which published prices lose against a vendor's own list, and the terms that mend it."""

import io
import json
import uuid

import pytest
from django.core.management import call_command

from accounts.models import User
from accounts.signup import sign_up
from desk import roles
from prices import terms
from prices.models import Draft
from prices.terms import PUBLISHED, Book, Term
from proxy import listed
from proxy.catalogue import Kind
from proxy.listed import Standing
from proxy.vendors import catalogue

TOPAZ = "topaz/image/v1/enhance-gen/async"
KREA = "krea/generate/image/krea/krea-2/large"


def book(*made):
    return Book(1, {each.about: each for each in made})


def standing(operation, of):
    (found,) = (each for each in listed.standing(of) if each.listed.operation == operation)
    return found.standing


def test_each_is_an_operation_that_costs_something_once():
    paid = {
        operation.path
        for vendor in catalogue().vendors.values()
        for operation in vendor.operations
        if operation.kind in (Kind.SYNC, Kind.SUBMIT)
    }
    named = [each.operation for each in listed.LISTED]
    assert set(named) <= paid
    assert len(named) == len(set(named))
    assert all(each.when and each.source and each.percent > 0 for each in listed.LISTED)


@pytest.mark.parametrize(
    ("operation", "term", "told"),
    [
        (TOPAZ, None, Standing.LOSES),
        (KREA, None, Standing.EVEN),
        (TOPAZ, Term("*", terms.MARKUP, 499_999), Standing.LOSES),
        (TOPAZ, Term("*", terms.MARKUP, 500_000), Standing.RAISED),
        (TOPAZ, Term("topaz", terms.MARKUP, 500_000), Standing.RAISED),
        (TOPAZ, Term(TOPAZ, terms.FIXED, 500_000), Standing.UNTOLD),
        (KREA, Term("*", terms.MARKUP, -1), Standing.LOSES),
        (KREA, Term("*", terms.MARKUP, 1), Standing.EVEN),
        (KREA, Term("*", terms.MARKUP, 30_000), Standing.RAISED),
    ],
)
def test_a_book_is_told_by_its_nearest_term(operation, term, told):
    assert standing(operation, book(*([term] if term else []))) is told


def test_what_it_proposes_loses_nothing_more_and_changes_nothing_else():
    proposed = listed.raising(PUBLISHED)
    assert {each.about for each in proposed} == {
        each.operation for each in listed.LISTED if each.is_below
    }
    assert listed.raising(book(*proposed)) == []
    assert Term(TOPAZ, terms.MARKUP, 500_000) in proposed


def test_it_raises_what_a_higher_term_does_not_and_leaves_the_rest():
    above = Term("*", terms.MARKUP, 600_000)
    assert {each.about for each in listed.raising(book(above))} == {
        "synclabs/v2/generate",
        "meshy/openapi/v1/multi-image-to-3d",
        "vertexai/gemini/{model}",
    }


def test_one_command_makes_the_draft(db):
    staff = sign_up(email=f"{uuid.uuid4().hex}@example.org")
    User.objects.filter(pk=staff.pk).update(is_staff=True)
    roles.assign(staff, ["finance"], by=None)
    said = io.StringIO()
    call_command(
        "prices", "draft", "--to-lists", "--by", staff.email, "--reason", "lists", "--json",
        stdout=said,
    )  # fmt: skip
    made = Draft.objects.get(pk=json.loads(said.getvalue())["draft"])
    assert {each["about"] for each in made.terms} >= {TOPAZ, "synclabs/v2/generate"}

    said = io.StringIO()
    call_command("prices", "lists", "--json", stdout=said)
    rows = json.loads(said.getvalue())
    assert {"operation": TOPAZ, "standing": "loses"}.items() <= rows[0].items()
