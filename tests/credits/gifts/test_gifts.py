"""Credits that are given: welcome grants, vouchers, and what staff adjust."""

import uuid
from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts.signup import is_verified, verify_email
from common.errors import AccessDisabled, InsufficientCredits, InvalidRequest, RateLimited
from common.money import usd
from credits.books import lots
from credits.gifts import adjustments, grants, vouchers
from credits.models import Adjustment, Entry, Lot, Voucher, VoucherTry, VoucherUse

ANNA, BEN = uuid.uuid4(), uuid.uuid4()
UNKNOWN = "code: this code is not known, was used up, or is too old."


def granted(member):
    return lots.contents(member.workspace_id).left(Lot.Kind.GRANTED)


# --- Welcome --------------------------------------------------------------------------------


@pytest.fixture
def mailbox(settings):
    settings.WELCOME_GRANT_MICROS = usd("2")
    return f"{uuid.uuid4().hex}@example.org"


def test_a_verified_address_is_welcomed_once(make_member, settings):
    settings.WELCOME_GRANT_MICROS = usd("2")
    member = make_member("0")

    for _ in range(2):
        verify_email(member.user)

    assert member.now().balance_micros == usd("2")
    assert granted(member) == usd("2")


@pytest.mark.parametrize("change", [str, str.upper, lambda mail: f" {mail} "])
@pytest.mark.parametrize("tag", ["", "+again", "+a+b"])
def test_a_mailbox_is_welcomed_once_however_it_is_written(alice, bob, mailbox, change, tag):
    name, _, host = mailbox.partition("@")

    first = grants.welcome(wallet=alice.wallet, email=mailbox)
    second = grants.welcome(wallet=bob.wallet, email=change(f"{name}{tag}@{host}"))

    assert (first.amount_micros, second) == (usd("2"), None)
    assert bob.now().balance_micros == usd("1")
    assert name not in first.key, "the address is not in the books"


def test_of_many_workspaces_of_one_mailbox_at_once_one_is_welcomed(
    committed, make_member, mailbox, at_once
):
    name, _, host = mailbox.partition("@")
    members = [make_member("0") for _ in range(6)]

    made = at_once(
        lambda n: grants.welcome(wallet=members[n].wallet, email=f"{name}+{n}@{host}"), range(6)
    )

    assert sum(entry is not None for entry in made) == 1
    assert sum(member.now().balance_micros for member in members) == usd("2")


def test_verifying_succeeds_for_whom_is_not_welcomed(alice, bob, mailbox):
    grants.welcome(wallet=alice.wallet, email=bob.user.email)

    verify_email(bob.user)

    assert is_verified(bob.user)
    assert bob.now().balance_micros == usd("1")


def test_where_nothing_is_given_nobody_is_welcomed(alice, settings):
    settings.WELCOME_GRANT_MICROS = 0

    assert grants.welcome(wallet=alice.wallet, email="a@example.org") is None


# --- Vouchers -------------------------------------------------------------------------------


def voucher(**more):
    return vouchers.make(name="Course", amount=usd("3"), **more)


def test_a_code_gives_its_credits_once_for_each_workspace(alice, bob):
    code, made = voucher(uses=5)

    first, again = (vouchers.redeem(alice.workspace_id, code) for _ in range(2))
    vouchers.redeem(bob.workspace_id, code)

    assert first == again
    assert (alice.now().balance_micros, bob.now().balance_micros) == (usd("4"), usd("4"))
    made.refresh_from_db()
    assert (made.used, VoucherUse.objects.filter(voucher=made).count()) == (2, 2)


def test_case_spaces_and_dashes_do_not_matter(alice):
    code, made = voucher()

    vouchers.redeem(alice.workspace_id, f"  {code.lower().replace('-', ' ')} ")

    assert alice.now().balance_micros == usd("4")
    assert made.hint == code[-5:]
    assert code.encode() not in bytes(made.digest)


def test_redeemed_credits_may_have_an_end_of_their_own(alice):
    code, _ = voucher(credits_last_days=30)

    entry = vouchers.redeem(alice.workspace_id, code)

    month = entry.lot.expires_at - timezone.now()
    assert timedelta(days=29, hours=23) < month <= timedelta(days=30)


def test_the_last_use_is_one_workspaces(committed, make_member, at_once):
    code, made = voucher(uses=2)
    members = [make_member("0") for _ in range(6)]

    def redeem(member):
        try:
            return bool(vouchers.redeem(member.workspace_id, code))
        except InvalidRequest:
            return False

    won = at_once(redeem, members)

    made.refresh_from_db()
    assert (sum(won), made.used) == (2, 2)
    assert sum(member.now().balance_micros for member in members) == usd("6")


def test_one_workspace_at_once_uses_a_code_once(committed, alice, at_once):
    code, made = voucher(uses=5)

    entries = at_once(lambda _: vouchers.redeem(alice.workspace_id, code), range(6))

    made.refresh_from_db()
    assert (len(set(entries)), made.used) == (1, 1)
    assert alice.now().balance_micros == usd("4")


@pytest.mark.parametrize("why", ["unknown", "used up", "too old", "disabled", "nothing"])
def test_no_refusal_says_whether_there_ever_was_such_a_code(alice, bob, why):
    code, made = voucher()
    if why == "unknown":
        code = "AAAAA-BBBBB-CCCCC-DDDDD"
    elif why == "nothing":
        code = " - "
    elif why == "used up":
        vouchers.redeem(bob.workspace_id, code)
    else:
        field = {"too old": "redeem_until", "disabled": "disabled_at"}[why]
        Voucher.objects.filter(pk=made.pk).update(**{field: timezone.now()})

    with pytest.raises(InvalidRequest) as refused:
        vouchers.redeem(alice.workspace_id, code)

    assert str(refused.value) == UNKNOWN
    assert alice.now().balance_micros == usd("1")


def test_codes_cannot_be_guessed_for_long(alice, bob):
    code, _ = voucher(uses=2)
    for n in range(10):
        with pytest.raises(InvalidRequest):
            vouchers.redeem(alice.workspace_id, f"guess {n}")

    with pytest.raises(RateLimited) as refused:
        vouchers.redeem(alice.workspace_id, code)

    assert refused.value.headers["Retry-After"] == "3600"
    vouchers.redeem(bob.workspace_id, code)
    VoucherTry.objects.update(created_at=timezone.now() - timedelta(minutes=61))
    assert vouchers.redeem(alice.workspace_id, code)


@pytest.mark.parametrize(("amount", "uses"), [("0", 1), ("-1", 1), ("1", 0), ("1", -1)])
def test_a_voucher_gives_something_at_least_once(db, amount, uses):
    with pytest.raises(InvalidRequest):
        vouchers.make(name="x", amount=usd(amount), uses=uses)


def test_a_code_is_redeemed_over_the_wire(client, alice):
    code, _ = voucher()

    def post(body):
        return client.post(
            "/v1/vouchers/redeem",
            body,
            content_type="application/json",
            headers={"X-API-KEY": alice.key},
        )

    good, bad, none = post({"code": code}), post({"code": "x"}), post({})

    assert (good.status_code, good.json()) == (200, {"amount_micro_usd": 3_000_000})
    assert (bad.status_code, bad.json()["message"]) == (400, UNKNOWN)
    assert (none.status_code, none.json()["message"]) == (400, "code: This field is required.")
    assert client.post("/v1/vouchers/redeem", {"code": code}).status_code == 401


# --- Adjustments ----------------------------------------------------------------------------


def adjust(member, dollars, **more):
    more = {"reason": "A mistake of ours", "requested_by": ANNA, **more}
    return adjustments.request(member.workspace_id, amount=usd(dollars), **more)


@pytest.fixture
def limit(settings):
    settings.ADJUSTMENT_LIMIT_MICROS = usd("100")


def test_up_to_the_limit_one_person_is_enough(alice, limit, books_balance):
    given = adjust(alice, "100")
    taken = adjust(alice, "-100")

    assert (given.state, taken.state) == ("posted", "posted")
    assert alice.now().balance_micros == usd("1")
    assert given.entry.facts == {"reason": "A mistake of ours"}
    assert given.entry.debit.kind == taken.entry.credit.kind == "adjustment"
    books_balance()


def test_a_gift_is_promotion_and_may_expire(alice, limit):
    end = timezone.now() + timedelta(days=9)

    gift = adjust(alice, "5", is_gift=True, expires_at=end)

    assert (gift.entry.debit.kind, gift.entry.lot.expires_at) == ("promotion", end)
    assert (gift.entry.kind, gift.entry.lot.kind) == ("grant", "granted")


@pytest.mark.parametrize("dollars", ["100.01", "-100.01"])
def test_above_the_limit_a_second_person_decides(make_member, limit, dollars):
    member = make_member("200")
    asked = adjust(member, dollars)
    assert (asked.state, member.now().balance_micros) == ("waiting", usd("200"))

    with pytest.raises(AccessDisabled, match="a second person must decide"):
        adjustments.decide(asked.pk, accept=True, decided_by=ANNA)
    assert member.now().balance_micros == usd("200")

    for _ in range(2):
        decided = adjustments.decide(asked.pk, accept=True, decided_by=BEN)

    assert (decided.state, decided.decided_by) == ("posted", BEN)
    assert member.now().balance_micros == usd("200") + usd(dollars)


def test_what_was_refused_stays_so(alice, limit):
    asked = adjust(alice, "500")
    adjustments.decide(asked.pk, accept=False, decided_by=BEN)

    again = adjustments.decide(asked.pk, accept=True, decided_by=BEN)

    assert (again.state, again.entry) == ("refused", None)
    assert alice.now().balance_micros == usd("1")


def test_many_second_persons_at_once_post_once(committed, alice, limit, at_once):
    asked = adjust(alice, "500")

    at_once(lambda _: adjustments.decide(asked.pk, accept=True, decided_by=BEN), range(5))

    assert alice.now().balance_micros == usd("501")


def test_no_more_is_taken_than_is_available(alice, limit, place_hold):
    place_hold(alice, "0.40")

    with pytest.raises(InsufficientCredits):
        adjust(alice, "-0.70")

    assert not Adjustment.objects.filter(wallet=alice.wallet).exists()
    assert adjust(alice, "-0.60").state == "posted"


def test_what_cannot_be_taken_any_more_keeps_waiting(make_member, limit):
    member = make_member("150")
    asked = adjust(member, "-150")
    adjust(member, "-1")

    with pytest.raises(InsufficientCredits):
        adjustments.decide(asked.pk, accept=True, decided_by=BEN)

    asked.refresh_from_db()
    assert (asked.state, asked.decided_by) == ("waiting", None)


@pytest.mark.parametrize(
    "wrong", [{"dollars": "0"}, {"reason": "  "}, {"dollars": "-1", "is_gift": True}]
)
def test_an_adjustment_moves_something_for_a_reason(alice, limit, wrong):
    with pytest.raises(InvalidRequest):
        adjust(alice, wrong.pop("dollars", "1"), **wrong)


@pytest.mark.parametrize("by", [ANNA, None])
def test_the_database_wants_a_second_person_too(alice, limit, by):
    asked = adjust(alice, "500")
    entry = Entry.objects.filter(credit=alice.wallet).first()

    with pytest.raises(IntegrityError, match="adjustment_second_person"), transaction.atomic():
        Adjustment.objects.filter(pk=asked.pk).update(state="posted", entry=entry, decided_by=by)


def test_codes_guessed_by_many_hands_at_once_are_no_more_than_may_be_tried(
    committed, alice, at_once
):
    def guess(number):
        try:
            vouchers.redeem(alice.workspace_id, f"GUESS-{number}")
        except (InvalidRequest, RateLimited) as refused:
            return type(refused)

    refused = at_once(guess, range(24))

    assert refused.count(InvalidRequest) <= vouchers.TRIES_PER_HOUR
    tried = VoucherTry.objects.filter(wallet=alice.wallet).count()
    assert tried == refused.count(InvalidRequest)


@pytest.mark.parametrize("days", [0, -1, 10**7])
def test_credits_of_a_voucher_last_for_days_that_there_are(db, days):
    with pytest.raises(InvalidRequest, match="1 to 36500 days"):
        vouchers.make(name="x", amount=usd("1"), credits_last_days=days)
