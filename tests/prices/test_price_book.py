"""The price book: drafted, compared, published; never backwards, never changed."""

import io
import json
import uuid
from datetime import timedelta

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from accounts.models import User
from accounts.signup import sign_up
from audit.models import Event
from common.errors import InvalidRequest
from common.money import Micros
from desk import roles
from prices import comparing, drafts, terms
from prices.models import Draft, Version
from prices.terms import Term
from usage.models import Call

KNOWN = {"bfl", "bfl/flux", "kling"}


@pytest.fixture
def ada(db):
    user = sign_up(email=f"{uuid.uuid4().hex}@example.org")
    User.objects.filter(pk=user.pk).update(is_staff=True)
    roles.assign(user, ["finance"], by=None)
    return user


def draft(*changes, **more):
    return drafts.draft(changes=changes, known=KNOWN, by=uuid.uuid4(), reason="costs", **more)


def published(*changes, seconds=60, **more):
    made = draft(*changes, **more)
    comparing.compare(made.pk)
    at = timezone.now() + timedelta(seconds=seconds)
    return drafts.publish(made.pk, at=at, by=uuid.uuid4(), reason="costs")


def markup(about, parts):
    return Term(about, terms.MARKUP, parts)


# --- Terms ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("term", "retail", "asked"),
    [
        (markup("*", 0), 7, 7),
        (markup("*", 100_000), 10, 11),
        (markup("*", 100_000), 1, 2),
        (markup("*", -100_000), 1, 1),
        (markup("*", -1_000_000), 10**12, 0),
        (Term("*", terms.FIXED, 5), 10**12, 5),
        (Term("*", terms.FIXED, 5), 0, 0),
    ],
)
def test_a_term_is_rounded_up_once_at_its_end(term, retail, asked):
    assert term.of(retail) == asked


@pytest.mark.parametrize("parts", [-1_000_000, -333_333, 0, 1, 250_000, 99_999_999])
def test_what_the_wallet_has_enough_for_is_enough(parts):
    term = markup("*", parts)
    for available in (0, 1, 999, 10**9):
        fits = term.fits(available)
        assert fits is None or term.of(fits) <= available < term.of(fits + 1)


def test_the_nearest_term_holds_alone():
    book = terms.book(1, [each.written() for each in (markup("*", 1), markup("bfl", 2),
                          Term("bfl/flux", terms.FIXED, 3))])  # fmt: skip

    assert book.term("bfl", "bfl/flux").amount == 3
    assert book.term("bfl", "bfl/other").amount == 2
    assert book.term("kling", "kling/x").amount == 1
    assert terms.PUBLISHED.term("kling", "kling/x") is None


@pytest.mark.parametrize(
    "wrong",
    [
        ("*", terms.MARKUP, -1_000_001),
        ("*", terms.MARKUP, 10**9),
        ("*", terms.FIXED, -1),
        ("*", terms.FIXED, True),
        ("*", terms.FIXED, 1, "n"),
        ("*", terms.BY, 1),
        ("", terms.FIXED, 1),
        ("*", "cheap", 1),
    ],
)
def test_what_is_no_term_is_refused(wrong):
    with pytest.raises(InvalidRequest):
        Term(*wrong)


def test_a_term_tells_itself_in_words():
    assert markup("*", 125_000).words == "12.5 % more than the published price"
    assert markup("*", -1).words == "0.0001 % less than the published price"
    assert Term("*", terms.FIXED, 50_000).words == "$0.05 a call"
    assert Term("*", terms.BY, 2_000_000, "seconds").words == "$2.00 by seconds"


# --- Drafts and versions ----------------------------------------------------------------------


def test_a_draft_goes_on_from_the_newest_version(db):
    first = published(markup("bfl", 5), markup("*", 1))
    second = published(markup("bfl", 6), without=["*"], seconds=120)

    assert (first.number, second.number) == (1, 2)
    assert terms.book(2, second.terms).terms == {"bfl": markup("bfl", 6)}
    assert drafts.in_force() == terms.PUBLISHED


def test_a_draft_about_nothing_that_is_here_is_refused(db):
    with pytest.raises(InvalidRequest, match="acme"):
        draft(markup("acme", 1))
    with pytest.raises(InvalidRequest, match="no term about kling"):
        draft(without=["kling"])


def test_a_draft_is_compared_before_it_is_published(db):
    made = draft(markup("bfl", 5))
    soon = timezone.now() + timedelta(minutes=1)

    with pytest.raises(InvalidRequest, match="preview"):
        drafts.publish(made.pk, at=soon, by=uuid.uuid4(), reason="costs")
    comparing.compare(made.pk)
    once = drafts.publish(made.pk, at=soon, by=uuid.uuid4(), reason="costs")
    again = drafts.publish(made.pk, at=soon, by=uuid.uuid4(), reason="costs")

    assert once == again
    assert Version.objects.count() == 1
    assert Event.objects.filter(action="prices.published", target="1").count() == 1


def test_a_draft_of_an_older_version_is_drafted_anew(db):
    stale = draft(markup("bfl", 5))
    published(markup("bfl", 6))
    comparing.compare(stale.pk)

    later = timezone.now() + timedelta(hours=1)
    with pytest.raises(InvalidRequest, match="anew"):
        drafts.publish(stale.pk, at=later, by=uuid.uuid4(), reason="costs")


def test_prices_never_change_backwards(db):
    published(markup("bfl", 5), seconds=600)

    for seconds in (-1, 60):
        with pytest.raises(InvalidRequest):
            published(markup("bfl", 6), seconds=seconds)


def test_prices_change_when_every_process_has_seen_them(db):
    with pytest.raises(InvalidRequest, match="10 seconds away"):
        published(markup("bfl", 5), seconds=9)
    assert not Version.objects.exists()


def insert(number, seconds):
    row = Draft.objects.create(terms=[], based_on=0, by=uuid.uuid4(), reason="by hand")
    return Version.objects.create(
        number=number, effective_at=timezone.now() + timedelta(seconds=seconds), terms=[],
        draft=row, by=uuid.uuid4(), reason="by hand",
    )  # fmt: skip


def execute(statement):
    with connection.cursor() as cursor:
        cursor.execute(statement)


@pytest.mark.parametrize(
    ("name", "number", "seconds"),
    [
        ("version_without_gaps", 3, 90),
        ("version_without_gaps", 1, 90),
        ("version_never_backwards", 2, 30),
        ("version_never_in_the_past", 1, -1),
    ],
)
def test_the_database_says_so_too(db, name, number, seconds):
    if name != "version_never_in_the_past":
        insert(1, 60)
    execute("SET CONSTRAINTS ALL IMMEDIATE")
    with pytest.raises(IntegrityError, match=name), transaction.atomic():
        insert(number, seconds)


@pytest.mark.parametrize("change", ["UPDATE prices_version SET reason = 'x'",
                                    "DELETE FROM prices_version"])  # fmt: skip
def test_a_version_is_never_changed(db, change):
    insert(1, 60)
    with pytest.raises(IntegrityError, match="append_only"), transaction.atomic():
        execute(change)


# --- Beside the last week's calls ---------------------------------------------------------------


def call(operation, charged, *, inputs=None, days=1, outcome="delivered", retail=None, number=1):
    facts = {"inputs": inputs or {}} | ({} if retail is None else {"retail": retail})
    then = timezone.now() - timedelta(days=days)
    return Call.objects.create(
        id=uuid.uuid4(), workspace_id=uuid.uuid4(), number=number, vendor=operation.split("/")[0],
        operation=operation, outcome=outcome, status=200, quoted_micros=10**9,
        held_micros=10**9, charged_micros=charged, price_version="v", attempts=1, facts=facts,
        started_at=then, settled_at=then,
    )  # fmt: skip


def test_a_draft_beside_the_calls_of_a_week(db):
    Call.objects.all().delete()
    call("bfl/flux", 100)
    call("bfl/flux", 300)
    call("bfl/flux", 900, days=8)
    call("bfl/flux", 0, outcome="failed")
    call("kling/video", 150, retail=100)
    call("kling/video", 70, inputs={"rate": 10, "least": "1", "most": "9", "base": 20})
    call("kling/video", 70, inputs={"price": 70, "seconds": "3.5"})
    call("acme/old", 5)
    made = draft(markup("bfl", 500_000), Term("kling", terms.BY, 20, "seconds"))

    found = {row.operation: row for row in comparing.compare(made.pk)}

    bfl, kling = found["bfl/flux"], found["kling/video"]
    assert (bfl.calls, bfl.charged, bfl.would_be, bfl.difference) == (2, 400, 600, 200)
    assert (kling.calls, kling.charged, kling.would_be) == (3, 290, 100 + 100 + 70)
    assert found["acme/old"].difference == 0
    assert comparing.total(list(found.values())).would_be == Micros(600 + 270 + 5)


# --- By command -----------------------------------------------------------------------------


def do(*words):
    out = io.StringIO()
    call_command("prices", *words, stdout=out)
    return out.getvalue()


def test_staff_draft_preview_and_publish_by_command(ada):
    who = ("--by", ada.email, "--reason", "the dollar fell")
    made = json.loads(
        do("draft", "--json", *who, "--markup", "*=12.5", "--fixed",
           "bfl/flux-pro-1.1/generate=0.05", "--each", "kling/v1/videos/text2video=seconds:0.1")
    )  # fmt: skip
    number = str(made["draft"])

    assert "all" in do("preview", number)
    assert "Version 1" in do("publish", number, *who, "--in", "60")
    told = do("list")
    assert "12.5 % more" in told
    assert "$0.10 by seconds" in told
    assert set(Event.objects.filter(actor_id=ada.pk).values_list("action", flat=True)) >= {
        "prices.drafted", "prices.published",
    }  # fmt: skip


@pytest.mark.parametrize(
    "words",
    [
        ("draft", "--markup", "kling"),
        ("draft", "--markup", "kling=x"),
        ("draft", "--markup", "kling=1e9"),
        ("draft", "--markup", "kling=0.00001"),
        ("draft", "--fixed", "kling=-1"),
        ("draft", "--each", "kling=0.5"),
        ("draft", "--markup", "acme=1"),
        ("publish", "1", "--at", "2026-12-01"),
        ("publish", "1", "--in", "0"),
        ("publish", "999999999", "--in", "5"),
    ],
)
def test_a_mistake_is_one_sentence(ada, words):
    with pytest.raises(CommandError) as told:
        do(*words, "--by", ada.email, "--reason", "x")
    assert "Traceback" not in str(told.value)
