"""Files of calls: each call once, whatever the form; FOCUS as the specification wants it (1.2)."""

import csv
import io
import json
import re
import uuid
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from asgiref.sync import async_to_sync
from test_sums import many

from accounts import teams
from apikeys import keys
from credits.books import ledger
from credits.models import Account, Entry, Refund, TopUp
from usage import exports, focus, history
from usage.history import Wanted
from usage.models import Call

# The specification's columns at v1.2: those that each file must have, and those never null in it.
MANDATORY = {
    "BilledCost", "BillingAccountId", "BillingAccountName", "BillingCurrency", "BillingPeriodEnd",
    "BillingPeriodStart", "ChargeCategory", "ChargeClass", "ChargeDescription", "ChargePeriodEnd",
    "ChargePeriodStart", "ContractedCost", "EffectiveCost", "InvoiceIssuerName", "ListCost",
    "PricingQuantity", "PricingUnit", "ProviderName", "PublisherName", "ServiceCategory",
    "ServiceName",
}  # fmt: skip
# Of us they are due, too: account types, several charge categories, measured use, a price list.
CONDITIONAL = {
    "BillingAccountType", "ConsumedQuantity", "ConsumedUnit", "ContractedUnitPrice",
    "ListUnitPrice", "PricingCategory", "SkuId", "SkuMeter", "SkuPriceDetails", "SkuPriceId",
    "Tags",
}  # fmt: skip
RECOMMENDED = {"ChargeFrequency", "InvoiceId", "ServiceSubcategory"}
NEVER_NULL = {
    "BilledCost", "BillingAccountId", "BillingAccountType", "BillingCurrency", "BillingPeriodEnd",
    "BillingPeriodStart", "ChargeCategory", "ChargeFrequency", "ChargePeriodEnd",
    "ChargePeriodStart", "ContractedCost", "EffectiveCost", "InvoiceIssuerName", "ListCost",
    "ProviderName", "PublisherName", "ServiceCategory", "ServiceName", "ServiceSubcategory",
}  # fmt: skip
UNTAXED = {"PricingQuantity", "PricingUnit", "PricingCategory", "SkuId", "SkuPriceId", "SkuMeter",
           "ListUnitPrice", "ContractedUnitPrice"}  # fmt: skip
NUMERIC = re.compile(r"-?\d+(\.\d+)?")
INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
NUMBERS = [name for name in focus.COLUMNS if re.search("Cost$|Price$|Quantity$", name)]


def rows_of(member, wanted=Wanted()):  # noqa: B008
    text = "".join(exports.as_focus(member.workspace_id, wanted))
    return list(csv.DictReader(io.StringIO(text)))


@pytest.fixture
def shopper(alice, month):
    """Alice called, bought with tax, and had some of it back."""
    many(alice, 150, month)
    entry = ledger.post(
        kind=Entry.Kind.TOP_UP, debit=ledger.house(Account.Kind.STRIPE), credit=alice.wallet,
        amount=25_000_000, key=uuid.uuid4().hex,
    )  # fmt: skip
    bought = TopUp.objects.create(
        wallet_id=alice.workspace_id, amount_micros=25_000_000, tax_cents=475, source="checkout",
        state="credited", entry=entry, payment_intent_id=f"pi_{entry.pk}",
        credited_at=month + timedelta(hours=3),
    )  # fmt: skip
    Refund.objects.create(
        top_up=bought, source="stripe", state="succeeded", cents=1190, tax_cents=190,
        taken_micros=10_000_000, stripe_id=f"re_{bought.pk}",
    )  # fmt: skip
    return alice


def test_the_table_has_the_columns_that_the_specification_asks_of_us():
    ours = {name for name in focus.COLUMNS if not name.startswith("x_")}

    assert ours == MANDATORY | CONDITIONAL | RECOMMENDED
    assert len(focus.COLUMNS) == len(set(focus.COLUMNS))


def test_each_charge_holds_what_the_specification_asks_of_each_column(shopper):
    rows = rows_of(shopper)

    assert {row["ChargeCategory"] for row in rows} == {"Usage", "Purchase", "Tax"}
    for row in rows:
        assert tuple(row) == focus.COLUMNS
        assert [name for name in NEVER_NULL if not row[name]] == []
        for name in NUMBERS:
            assert not row[name] or NUMERIC.fullmatch(row[name]), (name, row[name])
        for name in ("BillingPeriod", "ChargePeriod"):
            begins, ends = row[f"{name}Start"], row[f"{name}End"]
            assert INSTANT.fullmatch(begins)
            assert INSTANT.fullmatch(ends)
            assert begins < ends
        assert row["BillingPeriodStart"] <= row["ChargePeriodStart"]
        assert row["ChargePeriodEnd"] <= row["BillingPeriodEnd"]
        is_tax = row["ChargeCategory"] == "Tax"
        assert {bool(row[name]) for name in UNTAXED} == {not is_tax}
        assert bool(row["ConsumedQuantity"]) == (row["ChargeCategory"] == "Usage")
        assert row["ChargeClass"] == ""
        assert row["BillingCurrency"] == "USD"
        if not is_tax:
            for cost, price in (("ListCost", "ListUnitPrice"),
                                ("ContractedCost", "ContractedUnitPrice")):  # fmt: skip
                product = Decimal(row[price]) * Decimal(row["PricingQuantity"])
                assert product == Decimal(row[cost])
                assert Decimal(row[price]) >= 0
        if row["ChargeCategory"] == "Purchase":
            assert row["EffectiveCost"] == "0", "it covers charges that are still to come"
        for name in ("Tags", "SkuPriceDetails"):
            assert not row[name] or isinstance(json.loads(row[name]), dict)
        details = json.loads(row["SkuPriceDetails"] or "{}")
        assert all(key.startswith("x_") for key in details)


def test_what_is_charged_is_the_sum_of_the_calls_and_what_is_billed_that_of_the_purchases(shopper):
    rows = rows_of(shopper)
    calls = Call.objects.filter(workspace_id=shopper.workspace_id, charged_micros__gt=0)

    def total(name, category):
        return sum(Decimal(row[name]) for row in rows if row["ChargeCategory"] == category)

    charged = Decimal(sum(calls.values_list("charged_micros", flat=True))) / 1_000_000
    assert total("EffectiveCost", "Usage") == charged
    assert total("BilledCost", "Usage") == 0
    assert total("BilledCost", "Purchase") == 25 - 10
    assert total("BilledCost", "Tax") == Decimal("4.75") - Decimal("1.9")
    assert {row["x_CallId"] for row in rows if row["x_CallId"]} == {str(each.pk) for each in calls}
    assert {json.loads(row["Tags"])["project"] for row in rows if row["Tags"]} == {"film"}


def test_the_last_second_of_a_month_is_within_it(alice, month):
    end = (month + timedelta(days=40)).replace(day=1) - timedelta(milliseconds=1)
    (made,) = many(alice, 1, month, seed=5)
    receipt = history.Receipt.of(made)
    from dataclasses import replace

    told = dict(zip(focus.COLUMNS, focus.usage(focus.Account("a", "b"), replace(
        receipt, settled_at=end
    )), strict=True))  # fmt: skip

    assert told["ChargePeriodEnd"] == told["BillingPeriodEnd"]
    assert datetime.fromisoformat(told["BillingPeriodEnd"]) - end < timedelta(seconds=1)


def test_a_file_by_filters_has_no_purchases(shopper):
    assert {row["ChargeCategory"] for row in rows_of(shopper, Wanted(vendor="bfl"))} == {"Usage"}
    assert {row["PublisherName"] for row in rows_of(shopper, Wanted(vendor="bfl"))} == {"bfl"}


def test_a_run_that_looks_like_a_formula_is_none(alice, month):
    made = many(alice, 3, month)
    Call.objects.filter(pk__in=[each.pk for each in made]).update(
        run_id="=1+1", outcome="delivered", charged_micros=1
    )

    assert {row["x_RunId"] for row in rows_of(alice)} == {"'=1+1"}


@pytest.mark.parametrize("form", sorted(exports.FORMS))
def test_a_file_holds_so_many_calls_in_memory_and_no_more(alice, month, monkeypatch, form):
    monkeypatch.setattr(history, "IN_A_FILE", 7)
    many(alice, 200, month)

    pages = list(exports.FORMS[form](alice.workspace_id, Wanted()))

    assert max(page.count("\n") for page in pages) <= 7
    assert len(pages) > 20


def test_lines_of_json_are_what_the_list_tells(client, alice, month):
    many(alice, 30, month)

    def ask(path):
        answer = client.get(path, headers={"X-API-KEY": alice.key})
        assert answer.status_code == 200
        return answer

    listed = ask("/v1/calls?limit=200&vendor=bfl").json()["calls"]
    file = ask("/v1/calls/export?form=jsonl&vendor=bfl")

    assert file["Content-Type"].startswith("application/jsonl")
    assert 'filename="calls.jsonl"' in file["Content-Disposition"]
    text = whole(file)
    assert [json.loads(line) for line in text.splitlines()] == [
        {**each, "started_at": again(each["started_at"]), "settled_at": again(each["settled_at"])}
        for each in listed
    ]


def whole(answer):
    """Take a file to its end."""

    async def taken():
        return b"".join([page async for page in answer.streaming_content]).decode()

    return async_to_sync(taken)()


def again(text):
    """As the file writes an instant: with the offset, not with Z."""
    return datetime.fromisoformat(text).isoformat()


def test_a_member_gets_no_file_of_another(client, alice, bob, month):
    team = teams.create(owner=alice.user, name="Studio")
    teams.join(team, bob.user, role="member", by=alice.user.pk)
    key, _ = keys.issue(workspace_id=team.pk, user_id=bob.user.pk, name="x")
    many(type(alice)(alice.user, team.pk, team.wallet, alice.key, None), 30, month)
    Call.objects.filter(workspace_id=team.pk, number__lte=4).update(user_id=bob.user.pk)

    def ask(query):
        return client.get(f"/v1/calls/export?form=jsonl{query}", headers={"X-API-KEY": key})

    own = whole(ask("")).splitlines()
    assert {json.loads(line)["member"] for line in own} == {str(bob.user.pk)}
    assert ask(f"&member={alice.user.pk}").status_code == 404
    assert ask("&form=pdf").status_code == 400
