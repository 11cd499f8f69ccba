import uuid

import pytest
from django.db import IntegrityError, connection, transaction

from common.errors import AccessDisabled, InsufficientCredits
from common.money import usd
from credits.books import holds
from credits.models import HOUSE, Account, Entry, Hold


def let_time_pass(member):
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE credits_hold SET placed_at = now() - interval '1 hour',"
            " expires_at = now() - interval '1 second' WHERE account_id = %s",
            [member.workspace_id],
        )


def figures(member):
    wallet = member.now()
    return wallet.balance_micros, wallet.held_micros, wallet.events


def test_a_hold_sets_aside_and_moves_nothing(alice, place_hold):
    hold = place_hold(alice, "0.40")

    row = Hold.objects.get(pk=hold.id)
    assert (row.account_id, row.amount_micros) == (alice.workspace_id, 400_000)
    assert 59 < (row.expires_at - row.placed_at).total_seconds() <= 60
    assert figures(alice) == (1_000_000, 400_000, 1)
    assert alice.now().available_micros == 600_000


def test_the_last_micro_can_be_held_and_no_more(alice, place_hold):
    place_hold(alice, "1")

    with pytest.raises(InsufficientCredits, match=r"can cost \$0.000001, and \$0.00 of your"):
        place_hold(alice, "0.000001")
    assert figures(alice) == (1_000_000, 1_000_000, 1)


def test_a_capture_spends_the_price_and_frees_the_rest(alice, place_hold):
    hold = place_hold(alice, "0.40")

    assert holds.capture(hold, usd("0.15")) is True
    assert figures(alice) == (850_000, 0, 2)
    entry = Entry.objects.get(key=f"call:{hold.id}")
    assert (entry.kind, entry.debit_id, entry.credit_id, entry.amount_micros) == (
        "call",
        alice.workspace_id,
        HOUSE[Account.Kind.SALES],
        150_000,
    )
    assert entry.event_number is None
    assert not Hold.objects.filter(pk=hold.id).exists()


def test_what_costs_more_than_was_held_is_borne_by_the_house(alice, place_hold):
    hold = place_hold(alice, "0.40")

    assert holds.capture(hold, usd("0.45")) is True
    assert figures(alice) == (600_000, 0, 2)
    excess = Entry.objects.get(key=f"shortfall:{hold.id}")
    assert (excess.kind, excess.debit_id, excess.amount_micros) == (
        "shortfall",
        HOUSE[Account.Kind.SHORTFALL],
        50_000,
    )


@pytest.mark.parametrize("end", [holds.void, lambda hold: holds.capture(hold, usd("0"))])
def test_an_end_without_a_price_frees_all_and_writes_no_entry(alice, place_hold, end):
    hold = place_hold(alice, "0.40")

    assert end(hold) is True
    assert figures(alice) == (1_000_000, 0, 2)
    assert not Entry.objects.filter(key__endswith=hold.id).exists()


def test_a_hold_expires_when_its_time_is_over_and_not_before(alice, place_hold):
    hold = place_hold(alice, "0.40")

    assert holds.expire(hold) is False
    assert figures(alice) == (1_000_000, 400_000, 1)
    let_time_pass(alice)
    assert holds.expire(hold) is True
    assert figures(alice) == (1_000_000, 0, 2)


def test_a_late_capture_of_a_hold_that_nobody_swept_still_counts(alice, place_hold):
    hold = place_hold(alice, "0.40")
    let_time_pass(alice)

    assert holds.capture(hold, usd("0.40")) is True
    assert figures(alice) == (600_000, 0, 2)


ENDS = {
    "capture": lambda hold: holds.capture(hold, usd("0.10")),
    "void": holds.void,
    "expire": holds.expire,
}


@pytest.mark.parametrize("second", ENDS)
@pytest.mark.parametrize("first", ENDS)
def test_the_second_end_moves_nothing(alice, place_hold, first, second):
    hold = place_hold(alice, "0.40")
    let_time_pass(alice)
    assert ENDS[first](hold) is True
    before = figures(alice)

    assert ENDS[second](hold) is False
    assert figures(alice) == before


def test_a_frozen_wallet_places_no_hold_and_says_why(alice, place_hold):
    open_hold = place_hold(alice, "0.10")
    Account.objects.filter(pk=alice.workspace_id).update(frozen_reason="A payment is disputed.")

    with pytest.raises(AccessDisabled, match="A payment is disputed"):
        place_hold(alice, "0.10")
    assert holds.capture(open_hold, usd("0.10")) is True


def test_a_house_account_is_no_wallet(alice):
    with pytest.raises(InsufficientCredits):
        holds.place(HOUSE[Account.Kind.SALES], amount=usd("0.01"), ttl_seconds=60)


def test_one_intention_never_holds_twice_while_it_is_open(alice, place_hold):
    intent = uuid.uuid4()
    first = place_hold(alice, "0.10", intent=intent)

    with (
        pytest.raises(IntegrityError, match="hold_intent_once"),
        transaction.atomic(),
    ):
        place_hold(alice, "0.10", intent=intent)
    holds.void(first)
    place_hold(alice, "0.10", intent=intent)
    assert figures(alice) == (1_000_000, 100_000, 2)


def test_another_wallets_hold_is_not_ended(alice, bob, place_hold):
    hold = place_hold(alice, "0.10")

    assert holds.void(holds.Hold(hold.id, bob.workspace_id, hold.amount)) is False
    assert figures(alice) == (1_000_000, 100_000, 1)


def test_concurrent_holds_never_overdraw(committed, alice, place_hold, at_once):
    """Alice has one dollar; of twenty holds of 30 cents at once, three fit."""

    def won(_):
        try:
            place_hold(alice, "0.30")
        except InsufficientCredits:
            return False
        return True

    assert sum(at_once(won, range(20))) == 3
    assert figures(alice) == (1_000_000, 900_000, 1)


def test_concurrent_ends_of_one_hold_are_one_that_wins(committed, alice, place_hold, at_once):
    hold = place_hold(alice, "0.30")
    ends = [
        lambda: holds.capture(hold, usd("0.20")),
        lambda: holds.void(hold),
    ] * 6

    won = at_once(lambda end: end(), ends)

    assert sum(won) == 1
    charged = 200_000 if won.index(True) % 2 == 0 else 0
    assert figures(alice) == (1_000_000 - charged, 0, 2)
