import uuid

import pytest

from common.errors import ConflictingPosting, InsufficientCredits
from common.money import usd
from credits.books import ledger
from credits.gifts import grants
from credits.models import HOUSE, Account, Entry

KIND = Account.Kind


def adjust(member, amount, key, **more):
    return ledger.post(
        kind=Entry.Kind.ADJUSTMENT,
        debit=member.wallet,
        credit=ledger.house(KIND.ADJUSTMENT),
        amount=amount,
        key=key,
        **more,
    )


@pytest.mark.django_db
def test_the_house_has_one_account_of_each_kind():
    accounts = {str(account.kind): account.pk for account in Account.objects.exclude(kind="wallet")}

    assert accounts == {str(kind): pk for kind, pk in HOUSE.items()}


def test_a_posting_moves_its_amount_and_takes_the_next_number(alice):
    entry = adjust(alice, usd("0.25"), "a", facts={"why": "test"})

    assert (alice.now().balance_micros, alice.now().events) == (750_000, 2)
    assert (entry.event_wallet_id, entry.event_number) == (alice.workspace_id, 2)
    assert Entry.objects.get(pk=entry.pk).facts == {"why": "test"}


def test_the_same_key_moves_once(alice):
    first = adjust(alice, usd("0.25"), "a")
    second = adjust(alice, usd("0.25"), "a")

    assert first.pk == second.pk
    assert (alice.now().balance_micros, alice.now().events) == (750_000, 2)


def test_a_key_is_found_again_even_when_the_wallet_could_not_pay_again(alice):
    first = adjust(alice, usd("1"), "a")

    assert adjust(alice, usd("1"), "a").pk == first.pk


@pytest.mark.parametrize("changed", ["amount", "kind", "debit", "credit"])
def test_a_key_that_was_used_for_another_movement_is_refused(alice, bob, changed):
    movement = {
        "kind": Entry.Kind.ADJUSTMENT,
        "debit": alice.wallet,
        "credit": ledger.house(KIND.ADJUSTMENT),
        "amount": usd("0.10"),
        "key": "a",
    }
    other = {
        "kind": Entry.Kind.REFUND,
        "debit": bob.wallet,
        "credit": ledger.house(KIND.PROMOTION),
        "amount": usd("0.11"),
    }
    ledger.post(**movement)

    with pytest.raises(ConflictingPosting, match="a was used"):
        ledger.post(**{**movement, changed: other[changed]})
    assert alice.now().balance_micros == 900_000
    assert bob.now().balance_micros == 1_000_000


def test_more_than_is_available_is_refused_with_the_figures(alice, place_hold):
    place_hold(alice, "0.40")

    with pytest.raises(InsufficientCredits, match=r"\$0.61 .* \$0.60 are available"):
        adjust(alice, usd("0.61"), "a")
    assert not Entry.objects.filter(key="a").exists()
    adjust(alice, usd("0.60"), "b")
    assert alice.now().available_micros == 0


def test_from_wallet_to_wallet_is_numbered_where_it_arrives(alice, bob):
    entry = ledger.post(
        kind=Entry.Kind.ADJUSTMENT,
        debit=alice.wallet,
        credit=bob.wallet,
        amount=usd("0.30"),
        key="a",
    )

    assert (alice.now().balance_micros, alice.now().events) == (700_000, 1)
    assert (bob.now().balance_micros, bob.now().events) == (1_300_000, 2)
    assert (entry.event_wallet_id, entry.event_number) == (bob.workspace_id, 2)


@pytest.mark.django_db
def test_between_house_accounts_nothing_is_kept_or_numbered_and_a_key_moves_once():
    movement = {
        "kind": Entry.Kind.ADJUSTMENT,
        "debit": ledger.house(KIND.PROMOTION),
        "credit": ledger.house(KIND.SALES),
        "amount": usd("9"),
        "key": "h",
    }

    first, second = ledger.post(**movement), ledger.post(**movement)

    assert first.pk == second.pk
    assert (first.event_wallet_id, first.event_number) == (None, None)
    assert ledger.house(KIND.SALES).balance_micros == 0


def test_a_reversal_is_the_mirror_image_once(alice):
    entry = adjust(alice, usd("0.25"), "a")

    back = ledger.reverse(entry, reason="a mistake")

    assert ledger.reverse(entry, reason="again").pk == back.pk
    assert (back.kind, back.key) == ("reversal", f"reversal:{entry.pk}")
    assert (back.debit_id, back.credit_id) == (entry.credit_id, entry.debit_id)
    assert (back.event_wallet_id, back.event_number) == (alice.workspace_id, 3)
    assert alice.now().balance_micros == 1_000_000


def test_a_reversal_never_takes_what_is_spent_or_held(alice, place_hold):
    grant = Entry.objects.get(event_wallet=alice.workspace_id)
    place_hold(alice, "0.01")

    with pytest.raises(InsufficientCredits):
        ledger.reverse(grant, reason="a mistake")


def test_a_grant_comes_from_promotion_once_per_key(alice):
    for _ in range(2):
        grants.grant(wallet=alice.wallet, amount=usd("2"), key="welcome", reason="hello")

    assert alice.now().balance_micros == 3_000_000
    assert Entry.objects.get(key="grant:welcome").debit_id == HOUSE[KIND.PROMOTION]


def test_a_posting_of_nothing_or_less_is_refused_whole(alice):
    from django.db import IntegrityError, transaction

    with pytest.raises(IntegrityError, match="entry_amount_positive"), transaction.atomic():
        adjust(alice, -5, "a")
    assert alice.now().balance_micros == 1_000_000


def test_postings_under_one_key_at_once_post_once(committed, alice, at_once):
    key = uuid.uuid4().hex

    entries = at_once(lambda _: adjust(alice, usd("0.10"), key).pk, range(12))

    assert len(set(entries)) == 1
    assert (alice.now().balance_micros, alice.now().events) == (900_000, 2)


def test_house_postings_under_one_key_at_once_post_once(committed, at_once):
    key = uuid.uuid4().hex

    def post(_):
        return ledger.post(
            kind=Entry.Kind.ADJUSTMENT,
            debit=ledger.house(KIND.PROMOTION),
            credit=ledger.house(KIND.SALES),
            amount=usd("1"),
            key=key,
        ).pk

    assert len(set(at_once(post, range(8)))) == 1


def test_debits_at_once_never_overdraw(committed, alice, at_once):
    def take(key):
        try:
            return adjust(alice, usd("0.30"), key) is not None
        except InsufficientCredits:
            return False

    taken = at_once(take, [uuid.uuid4().hex for _ in range(16)])

    assert sum(taken) == 3
    assert (alice.now().balance_micros, alice.now().events) == (100_000, 4)


def test_wallets_that_pay_each_other_at_once_do_not_wait_in_a_circle(
    committed, alice, bob, at_once
):
    def pay(n):
        giver, taker = (alice, bob) if n % 2 else (bob, alice)
        ledger.post(
            kind=Entry.Kind.ADJUSTMENT,
            debit=giver.wallet,
            credit=taker.wallet,
            amount=usd("0.01"),
            key=uuid.uuid4().hex,
        )

    at_once(pay, range(16))

    assert alice.now().balance_micros == bob.now().balance_micros == 1_000_000
    assert (alice.now().events, bob.now().events) == (9, 9)
