"""How many calls run at once: by what was paid, large ones apart, or as staff say."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections import Counter

import pytest
from django.db import connection, transaction
from proxy_books import an_ask, place, settle, two_sets, verdicts
from proxy_stage import IMAGE, check_refusal, in_thread

from apikeys import callers
from audit.models import Event
from common.errors import InvalidRequest
from common.ids import uuid7
from credits.books import batches, ledger, limits, turns
from credits.models import LARGE_MICROS, Account, Entry
from credits.proofs import reconciliation

K = 5
TIERS = [(0, 1), (10_000, 5), (100_000_000, 10), (500_000_000, 20), (1_000_000_000, 40)]
STAFF = uuid.UUID(int=7)


def paid(wallet_id, dollars, kind=Entry.Kind.TOP_UP):
    wallet, stripe = Account(pk=wallet_id), ledger.house(Account.Kind.STRIPE)
    debit, credit = (stripe, wallet) if kind == Entry.Kind.TOP_UP else (wallet, stripe)
    ledger.post(
        kind=kind, debit=debit, credit=credit, amount=dollars * 1_000_000, key=uuid.uuid4().hex
    )


def most(wallet_id, amount=1):
    """How many may be open by the statement that places, with the usual tiers."""
    payer = batches.Payer(budgets="NULL::bigint[]", slots=limits.of_wallet(TIERS))
    ask = {"n": 0, "hold": uuid7(), "wallet": str(wallet_id), "amount": amount, "ttl": 60}
    with connection.cursor() as cursor:
        cursor.execute(batches.place_many(payer), [json.dumps([{**ask, "memo": {}}])])
        return turns.Answer(*cursor.fetchone()).most


@pytest.fixture
def undone(db):
    """Take back what a test posts: payments that no purchase explains are other tests' findings."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


@pytest.mark.usefixtures("undone")
@pytest.mark.parametrize(
    ("dollars", "slots"),
    [(0, 1), (5, 5), (99, 5), (100, 10), (499, 10), (500, 20), (999, 20), (1000, 40), (9999, 40)],
)
def test_slots_follow_from_what_was_paid_and_large_ones_have_a_quarter(alice, dollars, slots):
    if dollars:
        paid(alice.workspace_id, dollars)

    assert most(alice.workspace_id) == slots
    assert most(alice.workspace_id, LARGE_MICROS - 1) == slots
    assert most(alice.workspace_id, LARGE_MICROS) == max(slots // 4, 1)


@pytest.mark.usefixtures("undone")
def test_what_was_given_is_not_paid_and_what_was_paid_back_is_not_any_more(alice):
    paid(alice.workspace_id, 100)
    assert most(alice.workspace_id) == 10

    paid(alice.workspace_id, 50, Entry.Kind.REFUND)
    assert most(alice.workspace_id) == 5
    paid(alice.workspace_id, 50, Entry.Kind.DISPUTE)
    assert (most(alice.workspace_id), alice.now().paid_micros) == (1, 0)
    proofs = reconciliation.prove(reconciliation.CHECKS)
    assert [line for proof in proofs for line in proof.differences] == []


@pytest.mark.parametrize(
    ("custom", "slots", "large"), [(7, 7, 1), (8, 8, 2), (0, 0, 0), (-1, None, None), (3, 3, 1)]
)
def test_what_staff_say_stands_before_it(alice, custom, slots, large, settings):
    settings.CONCURRENCY_TIERS = TIERS
    limits.set_concurrency(alice.workspace_id, custom, by=STAFF, reason="a test")

    assert (most(alice.workspace_id), most(alice.workspace_id, LARGE_MICROS)) == (slots, large)
    limits.set_concurrency(alice.workspace_id, custom, by=STAFF, reason="again")
    usual, big = limits.slots_of(alice.workspace_id)
    assert (usual.most, big.most) == (slots, large)
    assert Event.objects.filter(action="concurrency.set").latest("id").after == {"most": custom}
    limits.set_concurrency(alice.workspace_id, None, by=STAFF, reason="a test")
    assert limits.slots_of(alice.workspace_id)[0].most == 1
    for bad in (-2, limits.MOST_SLOTS + 1):
        with pytest.raises(InvalidRequest):
            limits.set_concurrency(alice.workspace_id, bad, by=STAFF, reason="a test")


def test_without_tiers_any_number_runs(alice):
    assert limits.of_wallet([]) == "nullif(coalesce(concurrency, -1), -1)"
    assert callers.PAYER.slots == limits.of_wallet([]), "as the tests of other things have it"


# --- races ----------------------------------------------------------------------------------------


@pytest.mark.usefixtures("committed")
@pytest.mark.parametrize(("amount", "fit"), [(10_000, 4 * K), (LARGE_MICROS, K)])
async def test_exactly_as_many_as_may_at_two_sets_of_lanes(make_member, amount, fit):
    alice = make_member("1000")
    await in_thread(
        lambda: limits.set_concurrency(alice.workspace_id, 4 * K, by=STAFF, reason="a test")
    )
    async with two_sets() as lanes:
        for _ in range(2):
            asks = [an_ask(amount) for _ in range(4 * fit)]
            told = await verdicts(place(lanes[n % 2], alice, ask) for n, ask in enumerate(asks))
            assert Counter(told) == {"placed": fit, "concurrency_limit": 3 * fit}
            other = LARGE_MICROS + 10_000 - amount
            beside = await place(lanes[0], alice, another := an_ask(other))
            assert beside.slots == (K if other == LARGE_MICROS else 4 * K, 1)
            # Both end all of them at once: each is given back once.
            await asyncio.gather(
                *(settle(books, alice, ask.hold, 0) for books in lanes for ask in [*asks, another])
            )
            wallet = await in_thread(alice.now)
            assert (wallet.open_holds, wallet.open_large) == (0, 0)


# --- on the wire ----------------------------------------------------------------------------------


async def test_answers_say_how_many_run_and_a_refusal_when_to_come_back(stage):
    member = await stage.member()
    limit = lambda most: in_thread(  # noqa: E731
        lambda: limits.set_concurrency(member.workspace, most, by=STAFF, reason="a test")
    )
    told = [f"x-concurrency-{name}" for name in ("limit", "current", "remaining")]
    free = await stage.post(IMAGE, member, json={"prompt": "1"})
    assert (free.status, [name for name in told if name in free.headers]) == (200, [])

    await limit(2)
    good = await stage.post(IMAGE, member, json={"prompt": "2"})
    assert [good.headers[name] for name in told] == ["2", "1", "1"]

    stage.vendor.fail_next("sandbox", "slow=1", times=2)
    slow = [asyncio.create_task(stage.post(IMAGE, member, json={"prompt": str(n)})) for n in (3, 4)]
    while len(stage.holds(member)) < 2:
        await asyncio.sleep(0.02)
    refused = await stage.post(IMAGE, member, json={"prompt": "5"})
    check_refusal(refused)
    assert (refused.status, refused.type) == (429, "concurrency_limit")
    assert [refused.headers[name] for name in ("retry-after", *told)] == ["5", "2", "2", "0"]
    assert {(await each).status for each in slow} == {200}

    await limit(0)
    off = await stage.post(IMAGE, member, json={"prompt": "6"})
    assert (off.status, off.type) == (403, "access_disabled")
