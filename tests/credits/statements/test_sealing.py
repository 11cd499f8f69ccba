"""Entries in a chain of hashes: in order, once, for good."""

import hashlib
import json
from datetime import timedelta

import pytest
import written_history as history
from django.db import IntegrityError, connection, transaction
from django.utils import timezone
from written_history import START, day

from common.errors import NotFound
from credits.books import holds, ledger
from credits.models import LAST_HOUSE, Account, Entry, Seal
from credits.proofs import reconciliation
from credits.statements import sealing

HOUR = timedelta(hours=1)


def differences(*, deep=True):
    proofs = [*reconciliation.prove(reconciliation.SEALS), reconciliation.prove_chains(deep=deep)]
    return [line for proof in proofs for line in proof.differences]


@pytest.fixture
def clean_seals(db):
    """What other tests sealed and left behind is not looked at."""
    history.untouchable()
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM credits_seal")
        cursor.execute("ALTER TABLE credits_seal ENABLE TRIGGER USER")
        cursor.execute("ALTER TABLE credits_seal ENABLE ALWAYS TRIGGER seal_insert_only")
        cursor.execute("ALTER TABLE credits_seal ENABLE ALWAYS TRIGGER seal_insert_only_whole")


@pytest.fixture
def carol(clean_seals, make_member):
    """Carol bought ten dollars, made three calls, and one came back."""
    member = make_member("0")
    for n, (kind, amount) in enumerate(
        [("top_up", 10_000_000), ("call", -60_000), ("call", -40_000), ("call", -1)]
    ):
        history.post(member.workspace_id, kind, amount, START + n * HOUR)
    history.post(
        member.workspace_id, "adjustment", 40_000, START + 4 * HOUR, facts={"of": "call:lost"}
    )
    return member


def test_each_entry_is_sealed_once_in_its_order(carol):
    assert sealing.seal(carol.workspace_id) == 5
    assert sealing.seal(carol.workspace_id) == 0

    seals = list(Seal.objects.filter(wallet=carol.workspace_id).order_by("position"))
    assert [seal.position for seal in seals] == [1, 2, 3, 4, 5]
    assert [seal.entry_id for seal in seals] == sorted(seal.entry_id for seal in seals)
    assert seals[-1].balance_micros == carol.now().balance_micros == 9_939_999
    assert differences() == []


def test_the_hash_is_what_the_documents_say(carol):
    sealing.seal(carol.workspace_id)

    before = "0" * 64
    for line in sealing.sealed(carol.workspace_id, after=0, until=5, limit=9):
        content = ["statement/1", str(carol.workspace_id), *line[:7], before]
        text = json.dumps(content, separators=(",", ":"))
        before = hashlib.sha256(text.encode()).hexdigest()
        assert line.hash == before


def test_later_entries_go_on_where_the_chain_ended(carol):
    sealing.seal(carol.workspace_id, until=START + 2 * HOUR)
    first = sealing.tip(carol.workspace_id)
    sealing.seal(carol.workspace_id)

    assert first.position == 2
    assert sealing.tip(carol.workspace_id).position == 5
    assert differences() == []


def test_an_entry_of_the_last_minute_is_not_sealed(carol, shortly):
    ledger.reverse(Entry.objects.get(debit=carol.workspace_id, amount_micros=1), reason="oops")

    assert sealing.seal(carol.workspace_id) == 5
    assert sealing.seal(carol.workspace_id, now=shortly) == 1


@pytest.fixture
def shortly():
    """Two minutes from now."""
    return timezone.now() + timedelta(minutes=2)


def test_a_line_is_never_earlier_than_the_line_before(clean_seals, make_member):
    """What waited for the wallet's row may be dated before what it waited for."""
    member = make_member("0")
    history.post(member.workspace_id, "top_up", 500, START + HOUR)
    history.post(member.workspace_id, "call", -200, START)
    history.post(member.workspace_id, "call", -100, START + 2 * HOUR)

    sealing.seal(member.workspace_id)

    at = list(
        Seal.objects.filter(wallet=member.workspace_id)
        .order_by("position")
        .values_list("at", flat=True)
    )
    assert at == [START + HOUR, START + HOUR, START + 2 * HOUR]
    assert sealing.first_at(member.workspace_id, START) == 1
    assert sealing.first_at(member.workspace_id, START + 2 * HOUR) == 3
    assert sealing.first_at(member.workspace_id, START + 3 * HOUR) == 4


def test_an_entry_between_two_wallets_is_sealed_in_each(carol, bob):
    history.post(carol.workspace_id, "grant", 500, day("2026-03-02"), across=bob.workspace_id)

    sealing.seal_all(now=timezone.now() + timedelta(minutes=2))

    entry = Entry.objects.latest("id")
    found = Seal.objects.filter(entry=entry).values_list("wallet", "balance_micros")
    assert dict(found) == {carol.workspace_id: 9_940_499, bob.workspace_id: 999_500}
    assert differences() == []


def test_calls_and_postings_of_the_real_kind_are_sealed(clean_seals, alice, shortly):
    for n in range(3):
        hold = holds.place(alice.workspace_id, amount=100_000, ttl_seconds=60)
        assert holds.capture(hold, 10_000 * n)

    assert sealing.seal(alice.workspace_id, now=shortly) == 3  # One of them was free.
    assert sealing.tip(alice.workspace_id).balance == alice.now().balance_micros


def test_more_than_a_batch_is_sealed_in_several(clean_seals, make_member, monkeypatch):
    monkeypatch.setattr(sealing, "BATCH", 7)
    member = make_member("0")
    history.many_calls(member.workspace_id, 50)

    assert sealing.seal(member.workspace_id) == 51
    assert sealing.tip(member.workspace_id).balance == 0
    assert differences() == []


def test_two_at_once_seal_each_line_once(committed, at_once, make_member):
    member = make_member("0")
    history.many_calls(member.workspace_id, 9000)

    done = at_once(sealing.seal, [member.workspace_id] * 3)

    assert sum(done) == 9001
    assert sealing.tip(member.workspace_id).position == 9001
    assert list(sealing.broken(member.workspace_id)) == []


def test_while_calls_go_on_nothing_is_left_out(committed, at_once, make_member):
    member = make_member("5.00")
    soon = timezone.now() + timedelta(minutes=2)

    def work(which):
        if which:
            return sum(sealing.seal(member.workspace_id, now=soon) for _ in range(20))
        for _ in range(60):
            holds.capture(holds.place(member.workspace_id, amount=10, ttl_seconds=60), 10)
        return 0

    sealed = sum(at_once(work, [0, 1, 0, 1]))
    sealed += sealing.seal(member.workspace_id, now=soon)

    assert sealed == 121
    assert sealing.tip(member.workspace_id).balance == member.now().balance_micros
    assert list(sealing.broken(member.workspace_id)) == []


def test_only_a_wallet_has_a_chain(db):
    with pytest.raises(NotFound):
        sealing.seal(Account.objects.get(kind="sales").pk)


def test_no_wallet_has_an_id_of_the_house(db):
    """The indexes that find a wallet's entries leave those ids out."""
    with pytest.raises(IntegrityError, match="account_wallet_id_not_of_the_house"):
        Account.objects.create(id=LAST_HOUSE, kind="wallet")


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE credits_seal SET balance_micros = 0",
        "DELETE FROM credits_seal",
        "TRUNCATE credits_seal",
        "SET LOCAL session_replication_role = replica; DELETE FROM credits_seal",
    ],
)
def test_a_seal_is_never_changed(carol, statement):
    sealing.seal(carol.workspace_id)

    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")  # What waits would forbid TRUNCATE.
        with pytest.raises(IntegrityError, match="seal_insert_only"), transaction.atomic():
            cursor.execute(statement)


BY_HAND = {
    "seal_once_per_wallet": {"position": 6},
    "credits_seal_pkey": {"entry": None},
    "seal_position_positive": {"position": 0, "entry": None},
    "seal_balance_not_negative": {"position": 6, "entry": None, "balance_micros": -1},
    "seal_hash_of_32_bytes": {"position": 6, "entry": None, "hash": b"short"},
}


@pytest.mark.parametrize("constraint", BY_HAND)
def test_the_database_refuses_a_seal_that_cannot_be(carol, constraint):
    sealing.seal(carol.workspace_id)
    last = Seal.objects.filter(wallet=carol.workspace_id).latest("position")
    free = history.between_house("tax", "stripe", "tax", 5, START)
    wrong = {
        "wallet_id": last.wallet_id,
        "position": 5,
        "entry": last.entry,
        "at": START,
        "balance_micros": 1,
        "hash": bytes(32),
        **BY_HAND[constraint],
    }
    wrong["entry"] = wrong["entry"] or free

    with pytest.raises(IntegrityError, match=constraint):
        Seal.objects.create(**wrong)


FORGED = {
    "an amount": "UPDATE credits_entry SET amount_micros = 60001 WHERE amount_micros = 60000"
    " AND debit_id = %(w)s",
    "a kind": "UPDATE credits_entry SET kind = 'expiry' WHERE amount_micros = 60000"
    " AND debit_id = %(w)s",
    "a key": "UPDATE credits_entry SET key = key || '0' WHERE amount_micros = 1"
    " AND debit_id = %(w)s",
    "what it is about": "UPDATE credits_entry SET facts = '{}' WHERE facts->>'of' = 'call:lost'",
    "a time": "UPDATE credits_entry SET created_at = created_at + interval '1 microsecond'"
    " WHERE amount_micros = 1 AND debit_id = %(w)s",
    "a hash": "UPDATE credits_seal SET hash = sha256(hash) WHERE position = 3"
    " AND wallet_id = %(w)s",
    "a balance": "UPDATE credits_seal SET balance_micros = balance_micros + 1 WHERE position = 5"
    " AND wallet_id = %(w)s",
    "a seal's time": "UPDATE credits_seal SET at = at - interval '1 day' WHERE position = 5"
    " AND wallet_id = %(w)s",
    "a seal that vanished": "DELETE FROM credits_seal WHERE position = 2 AND wallet_id = %(w)s",
    "an entry that vanished": "DELETE FROM credits_entry WHERE amount_micros = 1"
    " AND debit_id = %(w)s",
    "an entry from nowhere": "INSERT INTO credits_entry (id, kind, debit_id, credit_id,"
    " amount_micros, key) OVERRIDING SYSTEM VALUE SELECT min(id) - 100000, 'call', %(w)s,"
    " '00000000-0000-0000-0000-000000000001', 1, 'call:forged' FROM credits_entry",
}


@pytest.mark.parametrize("what", FORGED)
def test_what_was_forged_behind_a_seal_is_named(carol, what):
    sealing.seal(carol.workspace_id)
    history.untouchable()
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")  # Foreign keys look away.
        cursor.execute(FORGED[what], {"w": carol.workspace_id})
        assert cursor.rowcount == 1

    assert any(str(carol.workspace_id) in line for line in differences())
    assert any(str(carol.workspace_id) in line for line in differences(deep=False))


ODD = ("plain", 'a "quote" \\ and / \b\f\n\r\t\x01\x7f', "é\u2028", "∞ 😀", "plain again")


def test_the_database_seals_many_wallets_as_python_seals_one(clean_seals, make_member, monkeypatch):
    """In shares of each, whatever stands in them: deep proofs reckon in Python."""
    monkeypatch.setattr(sealing, "AT_ONCE", 6)
    monkeypatch.setattr(sealing, "TOGETHER", 3)
    members = [make_member("0") for _ in range(7)]
    for turn in range(5):
        for n, member in enumerate(members):
            of = ODD[turn] if n % 2 else "plain"
            at = START + (turn % 2) * HOUR  # Some are dated before what they waited for.
            history.post(member.workspace_id, "top_up", 100 + turn, at, facts={"of": of})

    sealed = sealing.seal_all(now=timezone.now() + HOUR)

    assert sealed == Seal.objects.count() >= 35
    for member in members:
        assert Seal.objects.filter(wallet=member.workspace_id).count() == 5
    assert differences() == []
    assert sealing.seal_all(now=timezone.now() + HOUR) == 0


def test_what_is_younger_than_a_minute_is_sealed_by_nobody(clean_seals, make_member):
    member = make_member("0")
    history.post(member.workspace_id, "top_up", 100, START)
    history.post(member.workspace_id, "top_up", 100, timezone.now())

    sealing.seal_all()

    assert Seal.objects.filter(wallet=member.workspace_id).count() == 1


def test_where_a_writer_does_not_end_each_wallet_is_sealed_alone(carol, monkeypatch):
    monkeypatch.setattr(sealing, "settled_entry", lambda: None)
    sealing.seal_all(now=timezone.now() + HOUR)

    assert Seal.objects.filter(wallet=carol.workspace_id).count() == 5
    assert differences() == []
