"""How a workspace is reached: one row, made by whoever needs it first."""

import uuid

import pytest

from common.money import usd
from credits.books import ledger
from credits.models import Billing
from credits.payments import customers


@pytest.fixture
def wallet(db):
    """A wallet that the books opened, and of which payments know nothing."""
    return ledger.open_wallet(uuid.uuid4())


def test_the_books_open_a_wallet_and_know_of_no_payments(wallet):
    assert not Billing.objects.filter(pk=wallet.pk).exists()
    assert customers.low_balance(wallet.pk) == 0


def test_who_signs_up_is_reached_by_mail(alice):
    assert Billing.objects.get(pk=alice.workspace_id).email == alice.user.email


def test_an_address_is_noted_where_none_was_known_and_stays(wallet):
    assert customers.billing_of(wallet.pk).email == ""
    assert customers.billing_of(wallet.pk, email="a@example.org").email == "a@example.org"
    assert customers.billing_of(wallet.pk, email="b@example.org").email == "a@example.org"


def test_a_threshold_is_set_whether_or_not_there_was_a_row(wallet):
    customers.warn_below(wallet.pk, usd("3"))
    customers.warn_below(wallet.pk, usd("2"))

    assert customers.low_balance(wallet.pk) == usd("2")


def test_many_who_need_it_at_once_make_one_row(committed, at_once):
    wallet = ledger.open_wallet(uuid.uuid4())

    found = at_once(lambda n: customers.billing_of(wallet.pk, email=f"{n}@example.org"), range(8))

    assert len({each.email for each in found}) == 1
    assert Billing.objects.filter(pk=wallet.pk).count() == 1
