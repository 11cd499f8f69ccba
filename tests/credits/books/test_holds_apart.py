"""Holds that take no slot and may grow, as those of runs: never beyond wallet or budget."""

import uuid

import pytest
from django.db import IntegrityError, transaction

from apikeys import allowances, budgets
from common.errors import AccessDisabled, BudgetExceeded, InsufficientCredits, NotFound
from common.money import usd
from credits.books import freezes, holds
from credits.models import Account, Budget, Freeze, Hold


def apart(member, dollars, **more):
    return holds.place(member.workspace_id, amount=usd(dollars), ttl_seconds=60, apart=True, **more)


def figures(member):
    wallet = member.now()
    return wallet.held_micros, wallet.open_holds, wallet.open_apart


def budget_of(member, dollars):
    """Have a budget of the workspace for a day; return its id."""
    allowances.set_rule(
        member.workspace_id, "workspace", "", "day", usd(dollars), by=member.user.pk
    )
    owners = [budgets.workspaces(member.workspace_id)]
    budgets.brought_up(member.workspace_id, owners)
    with transaction.atomic():
        (found,) = budgets.running(member.workspace_id, owners)
    return found


def test_it_takes_no_slot_and_is_counted(alice):
    hold = apart(alice, "0.20", concurrency=0)
    assert figures(alice) == (200_000, 1, 1)

    assert holds.capture(hold, usd("0.05"))
    assert figures(alice) == (0, 0, 0)
    assert alice.now().balance_micros == 950_000


def test_it_grows_as_far_as_the_wallet_goes(alice):
    hold = apart(alice, "0.20")

    assert holds.extend(hold, usd("0.80"), ttl_seconds=60) == 1_000_000
    with pytest.raises(InsufficientCredits):
        holds.extend(hold, usd("0.000001"), ttl_seconds=60)

    assert figures(alice) == (1_000_000, 1, 1)
    assert Hold.objects.get(pk=hold.id).amount_micros == 1_000_000
    assert holds.void(hold)
    assert figures(alice) == (0, 0, 0)


def test_it_grows_as_far_as_its_budget_goes_and_gives_all_of_it_back(alice):
    budget = budget_of(alice, "0.50")
    hold = apart(alice, "0.20", budgets=[budget])

    holds.extend(hold, usd("0.30"), ttl_seconds=60)
    with pytest.raises(BudgetExceeded):
        holds.extend(hold, usd("0.01"), ttl_seconds=60)

    assert Budget.objects.get(pk=budget).taken_micros == 500_000
    assert figures(alice) == (500_000, 1, 1)
    assert holds.capture(hold, usd("0.10"))
    assert Budget.objects.get(pk=budget).taken_micros == 100_000
    assert alice.now().held_micros == 0


def test_of_a_paused_wallet_an_ended_hold_and_a_usual_one_nothing_grows(alice, place_hold):
    usual, hold = place_hold(alice, "0.10"), apart(alice, "0.20")

    with pytest.raises(NotFound):
        holds.extend(usual, usd("0.01"), ttl_seconds=60)
    freezes.freeze(alice.workspace_id, Freeze.Cause.STAFF, "Paused.", by=uuid.uuid4())
    with pytest.raises(AccessDisabled):
        holds.extend(hold, usd("0.01"), ttl_seconds=60)
    holds.void(hold)
    with pytest.raises(NotFound):
        holds.extend(hold, usd("0.01"), ttl_seconds=60)

    assert figures(alice) == (100_000, 1, 0)


def test_of_many_extensions_at_once_as_many_win_as_fit(alice, at_once, committed):
    """Alice has one dollar: beside twenty cents that are held, four times twenty fit."""
    hold = apart(alice, "0.20")

    def extend(_):
        try:
            return holds.extend(hold, usd("0.20"), ttl_seconds=60)
        except InsufficientCredits:
            return None

    won = [each for each in at_once(extend, range(8)) if each]

    assert sorted(won) == [400_000, 600_000, 800_000, 1_000_000]
    assert figures(alice) == (1_000_000, 1, 1)


def test_the_database_counts_none_below_nothing(alice):
    with pytest.raises(IntegrityError, match="account_open_apart_not_negative"):
        Account.objects.filter(pk=alice.workspace_id).update(open_apart=-1)
