"""What was proved once is not read again; what came after is proved as a deep run proves it."""

import io
import re
import uuid
from datetime import timedelta

import pytest
from django.core.management import call_command
from django.db import connection, transaction
from django.db.models import F

from credits.books import complete
from credits.models import HOUSE, Account, Carried, Entry, Proof
from credits.proofs import marks
from staff import proving
from tests.empty_books import empty_books
from tests.proved_calls import call, tend
from usage.models import Proved

USD = 1_000_000
HOUR = timedelta(hours=1)


@pytest.fixture
def clean(db):
    """Books without what other tests committed, that may be tampered with."""
    empty_books()
    yield
    transaction.set_rollback(True)  # What was tampered with breaks what is checked at a commit.


@pytest.fixture
def carol(clean, make_member):
    return make_member("2.00")


def found(*, deep=False):
    """Return what differs, a proof made."""
    return [line for proof in proving.run(deep=deep) for line in proof.differences]


def tamper(sql, **given):
    with connection.cursor() as cursor:
        cursor.execute(sql, given)
        assert cursor.rowcount


def named(lines):
    """Return the wallets and calls that lines tell of."""
    return set(re.findall(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", " ".join(lines)))


def looked_at(proofs, name):
    (proof,) = [each for each in proofs if name in each.name]
    return proof.rows


def test_a_clean_proof_moves_the_mark_and_the_next_reads_what_came_since(carol):
    for _ in range(3):
        call(carol)
    tend()
    first = proving.run()
    assert [line for each in first for line in each.differences] == []
    call(carol)
    tend()

    second = proving.run()

    assert [line for each in second for line in each.differences] == []
    balances = "each wallet's balance is the sum"
    assert looked_at(first, balances) == 4
    assert looked_at(second, balances) == 1
    assert looked_at(first, "new seal's hash") == 4
    assert looked_at(second, "new seal's hash") == 1
    assert looked_at(first, "each charged call") == 3
    assert looked_at(second, "each charged call") == 1
    carried = Carried.objects.get(pk=carol.workspace_id)
    assert carried.balance_micros == carol.now().balance_micros
    assert carried.events == carol.now().events
    assert carried.sealed == 5
    assert Proved.objects.get(pk=carol.workspace_id).number == carol.now().events
    assert Carried.objects.get(pk=HOUSE["sales"]).balance_micros == 40_000


def test_a_proof_that_waited_for_another_does_not_set_the_mark_back(carol, monkeypatch):
    """It had read the last entry before the other one went further."""
    call(carol)
    tend()
    before = complete.settled_entry()
    call(carol)
    tend()
    assert found() == []
    mark = marks.newest()

    with monkeypatch.context() as patched:
        patched.setattr(complete, "settled_entry", lambda: before)
        assert found() == []
        assert marks.newest().entry == mark.entry
        assert found(deep=True) == []

    call(carol)
    tend()
    assert found() == []
    assert found(deep=True) == []


def test_a_proof_while_the_clock_was_ahead_hides_no_call_that_comes_after_it_was_put_right(carol):
    call(carol)
    tend()
    assert found() == []
    Proof.objects.update(began_at=F("began_at") + timedelta(days=400))
    call(carol)
    tend()

    proofs = proving.run()

    assert [line for each in proofs for line in each.differences] == []
    assert looked_at(proofs, "each charged call") == 1


def test_a_proof_with_nothing_new_finds_nothing_and_stays(carol):
    call(carol)
    tend()
    assert found() == []
    mark = marks.newest()

    assert found() == []
    assert marks.newest().entry == mark.entry


AFTER = {
    "a balance": "UPDATE credits_account SET balance_micros = balance_micros + 1 WHERE id = %(w)s",
    "what was paid": "UPDATE credits_account SET paid_micros = 5 WHERE id = %(w)s",
    "a count of events": "UPDATE credits_account SET events = events + 1 WHERE id = %(w)s",
    "an entry's amount": "UPDATE credits_entry SET amount_micros = 5 WHERE id = %(e)s",
    "an entry's wallet": "UPDATE credits_entry SET debit_id = %(o)s WHERE id = %(e)s",
    "an entry's time": "UPDATE credits_entry SET created_at = '2026-01-01' WHERE id = %(e)s",
    "an entry's key": "UPDATE credits_entry SET key = 'call:other' WHERE id = %(e)s",
    "an entry that vanished": "DELETE FROM credits_entry WHERE id = %(e)s",
    "a call's charge": "UPDATE usage_call SET charged_micros = 3 WHERE id = %(c)s",
    "a call's workspace": "UPDATE usage_call SET workspace_id = %(o)s WHERE id = %(c)s",
    "a call's number": "UPDATE usage_call SET number = number + 7 WHERE id = %(c)s",
    "a call that vanished": "DELETE FROM usage_call WHERE id = %(c)s",
    "a call's outcome": "UPDATE usage_call SET outcome = 'failed', charged_micros = 0"
    " WHERE id = %(c)s",
    "a seal's hash": "UPDATE credits_seal SET hash = sha256('x') WHERE entry_id = %(e)s",
    "a seal's balance": "UPDATE credits_seal SET balance_micros = 1 WHERE entry_id = %(e)s",
    "a seal's time": "UPDATE credits_seal SET at = at + interval '1 s' WHERE entry_id = %(e)s",
    "a seal's place": "UPDATE credits_seal SET position = position + 1 WHERE entry_id = %(e)s",
    "a sum by day": "UPDATE credits_daysum SET micros = micros + 1 WHERE id IN"
    " (SELECT max(id) FROM credits_daysum)",
    "a sum of an hour": "UPDATE usage_callsum SET calls = calls + 1"
    " WHERE workspace_id = %(w)s AND span = 'hour'",
    "a sum of a day": "UPDATE usage_callsum SET calls = calls + 1"
    " WHERE workspace_id = %(w)s AND span = 'day'",
    "a sum of a month": "UPDATE usage_callsum SET charged_micros = charged_micros + 1"
    " WHERE workspace_id = %(w)s AND span = 'month'",
    "a block": "UPDATE usage_callblock SET calls = calls + 1 WHERE workspace_id = %(w)s",
    "a run": "UPDATE usage_runsum SET calls = calls + 1 WHERE workspace_id = %(w)s",
    "a run that vanished": "DELETE FROM usage_runsum WHERE workspace_id = %(w)s",
    "a call's entry more": "INSERT INTO credits_entry (kind, debit_id, credit_id, amount_micros,"
    " key) SELECT kind, debit_id, credit_id, 9, 'call:' || gen_random_uuid()"
    " FROM credits_entry WHERE id = %(e)s",
}  # fmt: skip


@pytest.mark.parametrize("what", AFTER)
def test_what_came_after_the_mark_is_found_as_a_deep_run_finds_it(carol, make_member, what):
    other = make_member("1.00")
    for _ in range(3):
        call(carol)
    tend()
    assert found() == []
    newest = call(carol)
    tend()
    entry = Entry.objects.get(key=f"call:{newest.pk}")
    given = {"w": carol.workspace_id, "o": other.workspace_id, "e": entry.pk, "c": newest.pk}
    tamper(AFTER[what], **given)
    mark = marks.newest()

    short = found()
    deep = found(deep=True)

    assert short
    assert named(deep) <= named(short)
    assert marks.newest() == mark, "what differs is found again"
    assert found()


BEFORE = {
    "an entry's amount": "UPDATE credits_entry SET amount_micros = 5 WHERE id = %(e)s",
    "an entry that vanished": "DELETE FROM credits_entry WHERE id = %(e)s",
    "a call's charge": "UPDATE usage_call SET charged_micros = 3 WHERE id = %(c)s",
    "a call that vanished": "DELETE FROM usage_call WHERE id = %(c)s",
    "a seal's hash": "UPDATE credits_seal SET hash = sha256('x') WHERE entry_id = %(e)s",
}


@pytest.mark.parametrize("what", BEFORE)
def test_what_was_proved_and_changed_since_is_found_by_a_deep_run(carol, what):
    oldest = call(carol)
    for _ in range(25):  # Beyond the lines of which a sample is taken each time.
        call(carol)
    tend()
    assert found() == []
    entry = Entry.objects.get(key=f"call:{oldest.pk}")
    tamper(BEFORE[what], e=entry.pk, c=oldest.pk)

    assert found() == []
    assert found(deep=True)
    assert Proof.objects.order_by("-pk").first().differences


def test_a_wallet_changed_with_what_was_carried_is_found_by_a_deep_run_and_then_always(carol):
    call(carol)
    tend()
    assert found() == []
    for table, column in (("credits_account", "id"), ("credits_carried", "account_id")):
        tamper(
            f"UPDATE {table} SET balance_micros = balance_micros + 5 WHERE {column} = %(w)s",
            w=carol.workspace_id,
        )

    assert not [line for line in found() if "balance" in line]
    assert [line for line in found(deep=True) if line.startswith(f"wallet {carol.workspace_id}")]


def test_what_was_carried_wrongly_is_told_and_made_again_by_a_deep_run(carol):
    call(carol)
    tend()
    assert found() == []
    tamper(
        "UPDATE credits_carried SET balance_micros = 5 WHERE account_id = %(w)s",
        w=carol.workspace_id,
    )

    assert found()
    assert found(deep=True) == [
        f"account {carol.workspace_id}: carried 5, entries {carol.now().balance_micros}"
    ]
    assert found() == []


def test_seals_that_were_taken_away_are_found(carol):
    for _ in range(3):
        call(carol)
    tend()
    assert found() == []
    tamper(
        "DELETE FROM credits_seal WHERE wallet_id = %(w)s AND position = 4", w=carol.workspace_id
    )

    assert found()


def test_texts_that_are_not_ascii_are_sealed_and_proved(carol):
    entry = Entry.objects.create(
        kind="adjustment", debit_id=carol.workspace_id, credit_id=HOUSE["adjustment"],
        amount_micros=5, key=f"adjustment:é\u2028\x7f\"\\{uuid.uuid4()}", facts={"of": "\t∞😀"},
    )  # fmt: skip
    Account.objects.filter(pk=carol.workspace_id).update(balance_micros=2 * USD - 5)
    tend()
    new = [each for each in proving.run() if "new seal" in each.name]

    assert [each.differences for each in new] == [[]]
    tamper("UPDATE credits_seal SET hash = sha256('x') WHERE entry_id = %(e)s", e=entry.pk)
    Carried.objects.all().delete()
    assert [each.differences for each in proving.run() if "new seal" in each.name] != [[]]


def test_an_entry_before_the_mark_whose_call_is_behind_it_is_no_difference(carol):
    """The mark of entries is an id, that of calls a number: one may be carried, the other not."""
    call(carol)
    tend()
    assert found() == []
    call(carol)
    tend()
    Carried.objects.filter(pk=carol.workspace_id).update(events=carol.now().events)

    assert not [line for line in found() if line.startswith("call ")]


def test_a_proof_is_written_down_and_a_monitor_reads_how_old_it_is(carol, client):
    call_command("reconcile", stdout=io.StringIO())
    (proof,) = Proof.objects.all()
    assert (proof.deep, proof.differences, proof.differing) == (False, 0, [])
    Proof.objects.update(began_at=proof.began_at - 5 * HOUR)

    gauges = marks.gauges()

    assert 5 * 3600 <= gauges["platform_proof_age_seconds"][1] < 5 * 3600 + 60
    assert gauges["platform_deep_proof_age_seconds"][1] >= 0
    assert gauges["platform_proof_differences"][1] == 0
    call_command("reconcile", "--deep", stdout=io.StringIO())
    assert marks.gauges()["platform_deep_proof_age_seconds"][1] < 60
