"""Each rule of purchases, gifts, lots and events by hand: the database refuses without us."""

import uuid

import pytest
from django.apps import apps
from django.db import IntegrityError, connection, models, transaction
from django.utils import timezone

from common.money import usd
from credits.gifts import grants
from credits.models import (
    Adjustment,
    AutoTopUp,
    Billing,
    Dispute,
    Entry,
    Finding,
    Freeze,
    Lot,
    Receivable,
    Refund,
    StripeEvent,
    TopUp,
    Voucher,
    VoucherUse,
)

HERE = ["credits.models.purchases", "credits.models.gifts", "credits.models.stripe"]
PERSON = uuid.UUID(int=7)


@pytest.fixture
def rows(alice):
    """One good row of each kind, and how each is made."""
    entry = Entry.objects.get(credit=alice.wallet)
    top_up = TopUp.objects.create(
        wallet=alice.wallet, source="checkout", amount_micros=usd("25"), session_id="cs_1",
        payment_intent_id="pi_1", state="credited", entry=entry, credited_at=timezone.now(),
    )  # fmt: skip
    automatic = TopUp.objects.create(
        wallet=alice.wallet, source="automatic", amount_micros=usd("25")
    )
    voucher = Voucher.objects.create(
        digest=b"1" * 32, hint="x", name="x", amount_micros=1, uses=1, credits_last_days=1
    )
    return {
        TopUp: top_up,
        "automatic": automatic,
        Billing: Billing.objects.get(pk=alice.workspace_id),
        Refund: Refund.objects.create(
            top_up=top_up, source="staff", cents=110, tax_cents=10, taken_micros=usd("1"),
            reason="x", requested_by=PERSON, state="pending", stripe_id="re_1",
        ),
        Dispute: Dispute.objects.create(
            id="du_1", top_up=top_up, status="lost", cents=110, tax_cents=10,
            taken_micros=usd("0.5"), owed_micros=usd("0.5"),
        ),
        Receivable: Receivable.objects.create(
            wallet=alice.wallet, top_up=top_up, cause="dispute:du_1", amount_micros=100,
            paid_micros=60, waived_micros=40,
        ),
        AutoTopUp: AutoTopUp.objects.create(wallet=alice.wallet),
        Lot: entry.lot,
        Freeze: Freeze.objects.create(wallet=alice.wallet, cause="staff", sentence="x"),
        Voucher: voucher,
        VoucherUse: VoucherUse.objects.create(voucher=voucher, wallet=alice.wallet, entry=entry),
        Adjustment: Adjustment.objects.create(
            wallet=alice.wallet, amount_micros=5, reason="x", requested_by=PERSON,
            needs_second=True,
        ),
        StripeEvent: StripeEvent.objects.create(
            id="evt_1", type="x", object_id="x", payload={}, happened_at=timezone.now()
        ),
        Finding: Finding.objects.create(key="k", kind="payment", sentence="x"),
    }  # fmt: skip


NOW = timezone.now()
NOTHING_TAKEN = {"taken_micros": 0, "owed_micros": 0}
NOTHING_PAID = {"paid_micros": 0, "waived_micros": 0}
# The rule; the row; and what nobody may make of it.
CHANGES = [
    ("topup_amount_within_limits", TopUp, {"amount_micros": usd("4.99")}),
    ("topup_amount_within_limits", TopUp, {"amount_micros": usd("10000.01")}),
    ("topup_whole_cents", TopUp, {"amount_micros": usd("25.000001")}),
    ("topup_tax_not_negative", TopUp, {"tax_cents": -1}),
    ("topup_state_known", "automatic", {"state": "bought"}),
    ("topup_credited_by_its_entry", TopUp, {"state": "paid"}),
    ("topup_credited_by_its_entry", TopUp, {"entry": None}),
    ("topup_credited_by_its_entry", TopUp, {"credited_at": None}),
    ("topup_credited_by_its_entry", "automatic", {"credited_at": NOW}),
    ("topup_paid_by_a_payment", TopUp, {"payment_intent_id": None}),
    ("topup_paid_by_a_payment", "automatic", {"state": "paid"}),
    ("topup_source_known", TopUp, {"source": "cash"}),
    ("refund_positive", Refund, {"cents": 0, "tax_cents": 0, "taken_micros": 0}),
    ("refund_adds_up", Refund, {"cents": 111}),
    ("refund_adds_up", Refund, {"tax_cents": 11}),
    ("refund_adds_up", Refund, {"taken_micros": usd("1.01")}),
    ("refund_adds_up", Refund, {"taken_micros": usd("1.000001")}),
    ("refund_adds_up", Refund, {"tax_cents": -10, "cents": 90}),
    ("refund_adds_up", Refund, {"taken_micros": usd("2"), "owed_micros": -usd("1")}),
    ("refund_state_known", Refund, {"state": "given"}),
    ("refund_made_by_stripe", Refund, {"stripe_id": None}),
    ("refund_made_by_stripe", Refund, {"stripe_id": None, "state": "succeeded"}),
    ("refund_of_staff_has_reason_and_name", Refund, {"reason": ""}),
    ("refund_of_staff_has_reason_and_name", Refund, {"requested_by": None}),
    ("refund_of_staff_has_reason_and_name", Refund, {"source": "member"}),
    (
        "refund_of_staff_takes_only_what_is_there",
        Refund,
        {"taken_micros": 0, "owed_micros": usd("1")},
    ),
    ("dispute_positive", Dispute, {"cents": 0, "tax_cents": 0, **NOTHING_TAKEN}),
    ("dispute_within_its_amount", Dispute, {"taken_micros": usd("0.51")}),
    ("dispute_within_its_amount", Dispute, {"owed_micros": usd("0.51")}),
    ("dispute_within_its_amount", Dispute, {"taken_micros": -1}),
    ("dispute_within_its_amount", Dispute, {"owed_micros": -1}),
    ("dispute_within_its_amount", Dispute, {"tax_cents": -1}),
    ("dispute_within_its_amount", Dispute, {"tax_cents": 11}),
    ("dispute_within_what_it_took", Dispute, {"returned_cents": -1}),
    ("dispute_within_what_it_took", Dispute, {"returned_cents": 10_000}),
    ("dispute_within_what_it_took", Dispute, {"returned_tax_cents": -1}),
    ("dispute_within_what_it_took", Dispute, {"returned_tax_cents": 1}),
    ("dispute_within_what_it_took", Dispute, {"returned_cents": 50, "returned_tax_cents": 11}),
    ("dispute_phase_known", Dispute, {"phase": "won"}),
    ("receivable_amount_positive", Receivable, {"amount_micros": 0, **NOTHING_PAID}),
    ("receivable_never_overpaid", Receivable, {"paid_micros": 61}),
    ("receivable_never_overpaid", Receivable, {"waived_micros": 41}),
    ("receivable_never_overpaid", Receivable, {"paid_micros": -1}),
    ("receivable_never_overpaid", Receivable, {"waived_micros": -1}),
    ("auto_topup_amounts_make_sense", AutoTopUp, {"threshold_micros": 0}),
    ("auto_topup_amounts_make_sense", AutoTopUp, {"amount_micros": usd("4.99")}),
    (
        "auto_topup_amounts_make_sense",
        AutoTopUp,
        {"amount_micros": usd("10000.01"), "monthly_cap_micros": usd("20000")},
    ),
    ("auto_topup_amounts_make_sense", AutoTopUp, {"amount_micros": usd("5.000001")}),
    ("auto_topup_amounts_make_sense", AutoTopUp, {"monthly_cap_micros": usd("19.99")}),
    ("auto_topup_needs_a_method", AutoTopUp, {"enabled": True}),
    ("billing_threshold_not_negative", Billing, {"low_balance_micros": -1}),
    ("lot_amount_positive", Lot, {"amount_micros": 0, "left_micros": 0}),
    ("lot_left_within_its_amount", Lot, {"left_micros": usd("1.000001")}),
    ("lot_left_within_its_amount", Lot, {"left_micros": -1}),
    ("lot_kind_known", Lot, {"kind": "found"}),
    ("freeze_says_why", Freeze, {"sentence": ""}),
    ("freeze_cause_known", Freeze, {"cause": "mood"}),
    ("voucher_amount_positive", Voucher, {"amount_micros": 0}),
    ("voucher_not_used_up_twice", Voucher, {"used": 2}),
    ("voucher_not_used_up_twice", Voucher, {"used": -1}),
    ("voucher_not_used_up_twice", Voucher, {"uses": 0}),
    ("voucher_days_positive", Voucher, {"credits_last_days": 0}),
    ("adjustment_moves_something", Adjustment, {"amount_micros": 0}),
    ("adjustment_has_a_reason", Adjustment, {"reason": ""}),
    ("adjustment_gift_is_given", Adjustment, {"is_gift": True, "amount_micros": -5}),
    ("adjustment_posted_by_its_entry", Adjustment, {"state": "posted", "needs_second": False}),
    ("adjustment_posted_by_its_entry", Adjustment, {"state": "lost"}),
    ("stripe_event_processed_or_to_try", StripeEvent, {"next_try_at": None}),
    ("stripe_event_processed_or_to_try", StripeEvent, {"processed_at": NOW}),
    ("finding_kind_known", Finding, {"kind": "odd"}),
    ("finding_resolved_by_somebody_with_a_reason", Finding, {"resolved_by": PERSON}),
    ("voucher_second_person", Voucher, {"used": 1, "needs_second": True}),
    (
        "voucher_second_person",
        Voucher,
        {"used": 1, "needs_second": True, "made_by": PERSON, "approved_by": PERSON},
    ),
    ("voucher_stopped_by_somebody_with_a_reason", Voucher, {"disabled_by": PERSON}),
    (
        "freeze_lifted_by_somebody_with_a_reason",
        Freeze,
        {"lifted_at": NOW, "lifted_by": PERSON},
    ),
    (
        "freeze_lifted_by_somebody_with_a_reason",
        Freeze,
        {"lifted_by": PERSON, "lift_reason": "x"},
    ),
]  # fmt: skip


def by_hand(work):
    with transaction.atomic():
        work()


@pytest.mark.parametrize(("rule", "kind", "change"), CHANGES)
def test_no_row_can_be_made_into_what_the_rule_forbids(rows, rule, kind, change):
    row = rows[kind]
    known = type(row).objects.filter(pk=row.pk)

    with pytest.raises(IntegrityError, match=f'constraint "{rule}"'):
        by_hand(lambda: known.update(**change))


ENTRY_OF_ANOTHER = "adjustment_posted_by_its_entry"


def test_what_waits_has_no_entry(rows):
    waiting = Adjustment.objects.filter(pk=rows[Adjustment].pk)

    with pytest.raises(IntegrityError, match=ENTRY_OF_ANOTHER):
        by_hand(lambda: waiting.update(entry=rows[TopUp].entry))


@pytest.mark.parametrize("decided_by", [None, PERSON])
def test_what_needs_a_second_person_is_posted_by_one(rows, decided_by):
    waiting = Adjustment.objects.filter(pk=rows[Adjustment].pk)
    posted = {"state": "posted", "entry": rows[TopUp].entry, "decided_by": decided_by}

    with pytest.raises(IntegrityError, match="adjustment_second_person"):
        by_hand(lambda: waiting.update(**posted))


def again(row, **other):
    """Make the same row under another number."""
    copy = type(row).objects.get(pk=row.pk)
    copy.pk, copy._state.adding = None, True
    if isinstance(copy._meta.pk, models.UUIDField):
        copy.pk = uuid.uuid4()
    for name, value in other.items():
        setattr(copy, name, value)
    copy.save(force_insert=True)


NOT_PAID_YET = {"entry": None, "credited_at": None, "state": "open"}
TWICE = [
    ("topup_one_automatic_at_a_time", "automatic", {}),
    ("topup_one_automatic_at_a_time", "automatic", {"state": "processing"}),
    ("session_id", TopUp, {**NOT_PAID_YET, "payment_intent_id": "pi_2"}),
    ("payment_intent_id", TopUp, {**NOT_PAID_YET, "session_id": "cs_2"}),
    ("entry_id", TopUp, {"session_id": "cs_2", "payment_intent_id": "pi_2"}),
    ("stripe_id", Refund, {}),
    ("cause", Receivable, {}),
    ("freeze_once_per_cause", Freeze, {}),
    ("entry_id", VoucherUse, {}),
    ("digest", Voucher, {}),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "kind", "other"), TWICE)
def test_what_is_unique_cannot_be_made_twice(rows, rule, kind, other):
    with pytest.raises(IntegrityError, match=f"unique constraint .*{rule}"):
        by_hand(lambda: again(rows[kind], **other))


def test_a_workspace_uses_a_voucher_once(rows, alice):
    other = grants.grant(wallet=alice.wallet, amount=usd("1"), key=f"{uuid.uuid4()}", reason="x")

    with pytest.raises(IntegrityError, match="voucher_once_per_workspace"):
        by_hand(lambda: again(rows[VoucherUse], entry=other))


def test_an_automatic_purchase_that_ended_makes_room_for_the_next(rows):
    TopUp.objects.filter(pk=rows["automatic"].pk).update(state="failed")

    by_hand(lambda: again(rows["automatic"], state="open"))


def test_two_wallets_are_not_one_customer(rows, bob):
    Billing.objects.filter(pk=rows[Billing].pk).update(customer_id="cus_1")

    with pytest.raises(IntegrityError, match="customer_id"):
        by_hand(lambda: Billing.objects.filter(pk=bob.workspace_id).update(customer_id="cus_1"))


def test_nothing_that_money_hangs_on_can_be_deleted(rows):
    def delete(table):
        with connection.cursor() as cursor:
            cursor.execute(f"DELETE FROM {table}")
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")

    for kind in (TopUp, Entry, Voucher):
        with pytest.raises(IntegrityError):
            by_hand(lambda kind=kind: delete(kind._meta.db_table))


def test_every_named_rule_is_tried():
    tried = {rule for rule, *_ in [*CHANGES, *TWICE]}
    tried |= {"adjustment_second_person", "voucher_once_per_workspace"}
    named = {
        rule.name
        for kind in apps.get_app_config("credits").get_models()
        if kind.__module__ in HERE or kind in (Lot, Freeze)
        for rule in kind._meta.constraints
    }

    assert named <= tried, named - tried
