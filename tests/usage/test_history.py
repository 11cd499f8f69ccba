"""Calls one by one: pages in both directions, filters, one call, the file, days, what runs."""

import csv
import io
import uuid
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from common.money import usd
from credits.models import Hold
from usage import exports, running, runs, spend
from usage import history as calls
from usage.history import Wanted
from usage.models import Call


@pytest.fixture
def many(alice, history):
    """Alice made seven calls, with two grants among them, beside the one she began with."""
    history(alice, "cccgccgcc")
    return alice


def numbers(page):
    return [call.number for call in page.calls]


def test_pages_lead_down_and_up_again_over_the_same_calls(many):
    newest = calls.page(many.workspace_id, Wanted(), limit=3)
    middle = calls.page(many.workspace_id, Wanted(), limit=3, older_than=newest.older)
    oldest = calls.page(many.workspace_id, Wanted(), limit=3, older_than=middle.older)

    assert numbers(newest) + numbers(middle) + numbers(oldest) == [10, 9, 7, 6, 4, 3, 2]
    assert (newest.newer, oldest.older) == (None, None)
    back = calls.page(many.workspace_id, Wanted(), limit=3, newer_than=middle.newer)
    assert set(numbers(back)) <= set(numbers(newest))


def test_a_page_looks_at_no_more_than_it_may_and_says_where_to_go_on(many, monkeypatch):
    monkeypatch.setattr(calls, "LOOKED_AT", 3)
    Call.objects.filter(number=2, workspace_id=many.workspace_id).update(vendor="kling")
    kling, found, older, pages = Wanted(vendor="kling"), [], None, 0

    while pages == 0 or older is not None:
        page = calls.page(many.workspace_id, kling, limit=5, older_than=older)
        found, older, pages = found + numbers(page), page.older, pages + 1

    assert found == [2]
    assert pages == 4
    first = calls.page(many.workspace_id, kling, limit=5)
    assert (first.calls, first.is_cut) == ([], True)


def test_each_filter_is_one(many, month):
    row = Call.objects.filter(workspace_id=many.workspace_id).order_by("number").first()
    person, key = uuid.uuid4(), uuid.uuid4()
    Call.objects.filter(pk=row.pk).update(
        user_id=person, key_id=key, vendor="kling", outcome="failed", run_id="another"
    )
    wanted = [
        Wanted(user_id=person), Wanted(key_id=key), Wanted(vendor="kling"),
        Wanted(outcome="failed"), Wanted(run="another"),
        Wanted(until=row.settled_at + timedelta(seconds=30), since=row.settled_at),
    ]  # fmt: skip

    for each in wanted:
        assert [call.id for call in calls.page(many.workspace_id, each, limit=9).calls] == [row.pk]


def test_a_page_asks_the_same_whatever_its_depth(many):
    def asked(**where):
        with CaptureQueriesContext(
            connection,
        ) as queries:
            calls.page(many.workspace_id, Wanted(), limit=2, **where)
        return len(queries)

    asked()  # Catches up: projects that runs were given are those of all calls.
    assert asked() == asked(older_than=5) == asked(newer_than=3) == 3


def test_a_call_is_its_workspaces_and_its_members_alone(many, bob):
    row = Call.objects.filter(workspace_id=many.workspace_id).first()
    Call.objects.filter(pk=row.pk).update(user_id=many.user.pk)

    found = calls.one(many.workspace_id, row.pk, user_id=many.user.pk)
    assert (found.id, found.freed) == (row.pk, usd("0.06"))
    assert calls.one(bob.workspace_id, row.pk) is None
    assert calls.one(many.workspace_id, row.pk, user_id=bob.user.pk) is None


def test_a_run_is_the_calls_of_one_press(many):
    (call,) = calls.page(many.workspace_id, Wanted(), limit=1).calls

    assert len(calls.of_run(many.workspace_id, call)) == 7
    assert runs.of_call(many.workspace_id, call).calls == 7
    Call.objects.filter(pk=call.id).update(user_id=uuid.uuid4())  # The same id by another.
    theirs = calls.one(many.workspace_id, call.id)
    assert [each.id for each in calls.of_run(many.workspace_id, theirs)] == [call.id]


def test_the_file_has_every_call_once_and_nothing_that_a_table_would_work_out(many, monkeypatch):
    monkeypatch.setattr(calls, "IN_A_FILE", 2)
    Call.objects.filter(number=4, workspace_id=many.workspace_id).update(run_id="=1+1")

    pages = list(exports.as_csv(many.workspace_id, Wanted()))
    head, *rows = csv.reader(io.StringIO("".join(pages)))

    assert tuple(head) == exports.COLUMNS
    assert len({row[0] for row in rows}) == len(rows) == 7
    assert [row[5] for row in rows if "1+1" in row[5]] == ["'=1+1"]
    assert {row[11] for row in rows} == {"0.060000"}


def test_days_add_up_to_their_calls(many, month):
    Call.objects.filter(workspace_id=many.workspace_id, number__in=(2, 3)).update(
        vendor="kling", outcome="delivered", charged_micros=50_000, user_id=many.user.pk
    )
    today = month.date()

    def spent(**whose):
        return spend.by_day(many.workspace_id, days=30, today=today, **whose)

    whole = spent()
    assert (whole.calls, whole.uncharged, whole.of_last(1)) == (7, 5, 100_000)
    assert whole.dearest(4) == ["kling"]
    assert whole.table(["kling"])[-1] == (today, [100_000, 0])
    assert len(whole.days) == 30
    assert spent(user_id=many.user.pk).calls == 2
    assert spend.by_day(many.workspace_id, days=1, today=today + timedelta(days=2)).calls == 0


def test_what_runs_is_what_is_held(alice, bob, place_hold, django_assert_num_queries):
    memo = {"vendor": "bfl", "operation": "flux", "user": str(alice.user.pk)}
    place_hold(alice, "0.30")
    Hold.objects.filter(account_id=alice.workspace_id).update(memo=memo)

    with django_assert_num_queries(1):
        (one,) = running.now(alice.workspace_id, user_id=alice.user.pk)

    assert (one.vendor, one.held) == ("bfl", usd("0.30"))
    assert one.since <= timezone.now()
    assert running.now(alice.workspace_id, user_id=bob.user.pk) == []
    assert running.now(bob.workspace_id) == []
