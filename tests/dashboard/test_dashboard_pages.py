"""The pages of members: what they show, to whom, and with how many questions to the database."""

import uuid

import pytest
from asgiref.sync import async_to_sync
from call_rows import call_of
from django.test import Client

from accounts.models import Membership
from common.money import usd
from credits.models import Hold

PAGES = ["/my/", "/my/usage", "/my/usage.csv", f"/my/usage/{uuid.UUID(int=1)}", "/my/nothing"]


@pytest.mark.parametrize("path", PAGES)
def test_who_is_not_signed_in_is_led_to_where_they_can_be(db, path):
    answer = Client(SERVER_NAME="localhost").get(path)

    assert answer.status_code == 302
    assert answer["Location"].startswith("/account/login/?next=/my/")


def test_the_front_leads_to_where_a_person_is(alice, signed_in):
    assert Client(SERVER_NAME="localhost").get("/")["Location"] == "/account/login/"
    assert signed_in(alice).get("/")["Location"] == "/my/"
    assert signed_in(alice).get("/profile/usage")["Location"] == "/my/usage"


def test_home_shows_what_there_is_what_runs_and_what_came_last(alice, signed_in, place_hold):
    call_of(alice)
    place_hold(alice, "0.30")
    Hold.objects.filter(account_id=alice.workspace_id).update(
        memo={"vendor": "kling", "operation": "video", "user": str(alice.user.pk)}
    )

    page = signed_in(alice).get("/my/").content.decode()

    for text in ("0.70", "$0.30", "Kling", "Flux &lt;b&gt;Pro", "$0.04"):
        assert text in page
    assert "default-src 'none'" in signed_in(alice).get("/my/")["Content-Security-Policy"]
    assert "style=" not in page


def test_parts_of_a_balance_are_all_of_it(alice, place_hold):
    from credits.books import lots
    from dashboard.home import parts

    place_hold(alice, "0.30")
    found = parts(lots.contents(alice.workspace_id))

    assert [(kind, amount) for kind, amount, *_ in found] == [
        ("paid", 0), ("granted", usd("0.70")), ("held", usd("0.30")),
    ]  # fmt: skip
    assert found[2][2:] == ("70.00", "30.00")


def test_a_page_of_usage_leads_on_to_older_calls_with_its_filter(alice, signed_in, monkeypatch):
    from dashboard import calls

    monkeypatch.setattr(calls, "ON_A_PAGE", 1)
    older, newer = call_of(alice), call_of(alice)
    call_of(alice, vendor="kling")
    browser = signed_in(alice)

    first = browser.get("/my/usage?vendor=bfl").content.decode()
    assert str(newer.pk) in first
    assert str(older.pk) not in first
    assert "?vendor=bfl&amp;older=" in first
    second = browser.get(f"/my/usage?vendor=bfl&older={newer.number}").content.decode()
    assert str(older.pk) in second


@pytest.mark.parametrize(
    "query", ["since=never", "key=1", f"run={'x' * 65}", "until=9999-12-31&since=0001-01-01"]
)
def test_a_filter_that_is_none_is_said_to_be_none(alice, signed_in, query):
    answer = signed_in(alice).get(f"/my/usage?{query}&older=no&newer={'9' * 40}")

    assert answer.status_code == (200 if "9999" in query else 400)
    assert answer["Content-Type"].startswith("text/html")


def test_a_receipt_says_what_was_held_charged_and_why_nothing_was(alice, signed_in):
    paid = call_of(alice)
    lost = call_of(alice, outcome="moderated", charged_micros=0, reason="It was not accepted.")
    browser = signed_in(alice)

    page = browser.get(f"/my/usage/{paid.pk}").content.decode()
    assert "$0.06" in page
    assert "8.44 credits" in page
    assert str(lost.pk) in page, "it is of the same run"
    nothing = browser.get(f"/my/usage/{lost.pk}").content.decode()
    assert "Nothing was charged. It was not accepted." in " ".join(nothing.split())


def test_another_workspaces_call_is_not_there(alice, bob, signed_in):
    theirs = call_of(bob)

    answer = signed_in(alice).get(f"/my/usage/{theirs.pk}")

    assert answer.status_code == 404
    assert answer["Content-Type"].startswith("text/html")
    assert signed_in(alice).get("/my/nothing").status_code == 404
    assert str(theirs.pk) not in signed_in(alice).get("/my/usage").content.decode()


def test_who_is_no_owner_sees_their_own_calls_alone(alice, bob, signed_in):
    own, others = call_of(alice), call_of(alice, user_id=bob.user.pk)
    Membership.objects.filter(user=alice.user).update(role="member")
    browser = signed_in(alice)

    page = browser.get("/my/usage").content.decode()
    assert str(own.pk) in page
    assert str(others.pk) not in page
    assert browser.get(f"/my/usage/{others.pk}").status_code == 404
    file = b"".join(_all(browser.get("/my/usage.csv")))
    assert str(own.pk).encode() in file
    assert str(others.pk).encode() not in file
    assert str(others.pk) not in browser.get("/my/").content.decode()


def _all(answer):
    async def gathered():
        return [part async for part in answer.streaming_content]

    return async_to_sync(gathered)()  # In this thread, whose transaction it is.


@pytest.mark.parametrize(
    ("path", "most"), [("/my/", 26), ("/my/usage", 15), ("/my/usage?vendor=bfl", 15)]
)
def test_a_page_asks_no_more_however_much_there_is(
    alice, signed_in, django_assert_max_num_queries, path, most
):
    for _ in range(12):
        call_of(alice)
    browser = signed_in(alice)
    browser.get(path)

    with django_assert_max_num_queries(most):
        assert browser.get(path).status_code == 200


def test_the_account_pages_stand_in_the_same_shell(alice, signed_in):
    page = signed_in(alice).get("/account/").content.decode()

    assert 'href="/my/usage"' in page
    assert "$1.00" in page
