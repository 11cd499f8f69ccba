"""Runs, refusals, one operation's prices, and in whose zone times stand."""

import re
import uuid
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from call_rows import call_of
from django.utils import timezone
from page_text import text

from common.ids import uuid7
from prices import history
from prices.models import Draft, Version
from usage.history import Page
from usage.models import NOBODY, Call, Refusal

BFL = "bfl/flux-pro-1.1-ultra/generate"


def refuse(workspace_id, user_id=NOBODY, at=None, **fields):
    at = at or timezone.now()
    told = {
        "vendor": "bfl", "code": "insufficient_credits", "limit": "balance", "operation": "flux",
        "key_id": NOBODY, "needed_micros": 60_000, "left_micros": 5_000, "message": "Add credits.",
        **fields,
    }  # fmt: skip
    return Refusal.objects.create(
        id=uuid7(), workspace_id=workspace_id, user_id=user_id, first_at=at, last_at=at,
        hour=at.replace(minute=0, second=0, microsecond=0), **told,
    )  # fmt: skip


def test_a_refusal_says_the_limit_what_was_left_and_has_one_button(alice, signed_in):
    browser = signed_in(alice)
    assert "No limit stood in the way" in text(browser.get("/my/refusals"))
    refuse(alice.workspace_id, resets_at=datetime(2027, 1, 2, tzinfo=UTC), times=3)

    said = text(browser.get("/my/refusals"))

    assert "Not enough credits" in said
    assert "$0.06" in said
    assert "3 times" in said
    assert "begins anew on 2 Jan 2027 00:00 UTC" in said
    assert 'href="/my/credits">Add credits' in said


@pytest.mark.parametrize(
    ("fields", "owners", "members"),
    [
        ({"limit": "balance"}, "/my/credits", "/my/credits"),
        ({"limit": "budget", "whose": "workspace"}, "/my/limits", "/my/limits"),
        ({"limit": "budget", "whose": "key", "key_id": uuid.UUID(int=5)}, "/change", "/change"),
        ({"limit": "concurrency"}, "/my/", "/my/"),
        ({"limit": "vendor_here"}, "/my/team/vendors", None),
        ({"limit": "requests_per_minute"}, None, None),
        ({"limit": "paused"}, None, None),
    ],
)
def test_the_button_leads_to_what_helps_whoever_looks(studio, bob, fields, owners, members):
    refuse(studio.id, bob.user.pk, **fields)

    for browser, leads in ((studio.owner, owners), (studio.member, members)):
        found = re.findall(
            r'class="btn small act" href="([^"]+)"', text(browser.get("/my/refusals"))
        )
        assert len(found) == (leads is not None)
        assert all(each.endswith(leads) for each in found)


def test_a_member_sees_what_was_refused_to_them(studio, alice, bob):
    refuse(studio.id, alice.user.pk, message="To Alice.")
    refuse(studio.id, bob.user.pk, message="To Bob.", vendor="kling")

    assert "To Alice." in text(studio.owner.get("/my/refusals"))
    seen = text(studio.member.get("/my/refusals"))
    assert "To Bob." in seen
    assert "To Alice." not in seen


def test_older_refusals_and_runs_are_led_to(alice, signed_in, monkeypatch):
    monkeypatch.setattr("dashboard.refusals.ON_A_PAGE", 2)
    for n in range(3):
        refuse(alice.workspace_id, vendor=f"vendor-{n}", message=f"The {n}th.")
    browser = signed_in(alice)
    page = text(browser.get("/my/refusals"))
    older = re.search(r'href="(\?older=[^"]+)"', page)[1]

    rest = text(browser.get(f"/my/refusals{older}"))

    told = [n for n in range(3) if f"The {n}th." in page]
    assert len(told) == 2
    assert [n for n in range(3) if f"The {n}th." in rest] == [n for n in range(3) if n not in told]
    assert browser.get("/my/refusals?older=nonsense").status_code == 400
    assert browser.get("/my/usage/presses?older=nonsense").status_code == 400
    assert "Nothing was run yet" in text(browser.get("/my/usage/presses"))


def test_a_calculator_asks_what_a_quote_does(alice, signed_in, client):
    browser = signed_in(alice)
    page = text(browser.get(f"/my/prices/of/{BFL}?ask=1"))
    quoted = client.post(
        "/v1/quote", {"operation": {"path": f"/proxy/{BFL}", "body": {"prompt": "a fox"}}},
        content_type="application/json",
    ).json()  # fmt: skip

    assert f"${quoted['total']['most']['usd']}" in page
    assert "all along" in page
    assert browser.get("/my/prices/of/nobody/sells/this").status_code == 404


def test_each_operation_of_the_list_has_its_page_and_each_choice_a_price(alice, signed_in):
    from dashboard.prices import operations

    browser = signed_in(alice)
    for each in operations()[::12]:
        page = browser.get(f"/my/prices/of/{each.name}?ask=1&p0=1&p1=999&p2=x")
        assert page.status_code == 200, each.name


def test_a_price_has_a_history_where_its_term_changed(alice, signed_in):
    begin, tenth = timezone.now() + timedelta(days=1), 100_000
    of_bfl = {"about": "bfl", "kind": "markup", "amount": tenth}
    of_kling = {"about": "kling", "kind": "markup", "amount": 5}
    for number, terms in enumerate(([], [of_bfl], [of_bfl, of_kling], []), start=1):
        draft = Draft.objects.create(terms=terms, based_on=0, by=alice.user.pk, reason="x")
        Version.objects.create(
            number=number, effective_at=begin + timedelta(days=number), terms=terms, draft=draft,
            by=alice.user.pk, reason="x",
        )  # fmt: skip

    changes = history.of("bfl", BFL)

    assert [(each.number, each.words) for each in changes] == [
        (4, ""), (2, "10 % more than the published price"),
    ]  # fmt: skip
    page = text(signed_in(alice).get(f"/my/prices/of/{BFL}"))
    assert "10 % more than the published price" in page


# --- Zones --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("zone", "hour", "word"),
    [
        (None, "23:30 UTC", "UTC"), ("Asia/Tokyo", "08:30 Tokyo", "Tokyo"),
        ("America/New_York", "18:30 New York", "New York"), ("Mars/Base", "23:30 UTC", "UTC"),
        ("../../etc/passwd", "23:30 UTC", "UTC"),
    ],
)  # fmt: skip
def test_times_stand_in_the_zone_of_who_looks(alice, signed_in, zone, hour, word):
    refuse(alice.workspace_id, at=datetime(2026, 11, 3, 23, 30, tzinfo=UTC))
    browser = signed_in(alice)
    if zone:
        browser.cookies["zone"] = zone

    assert hour in text(browser.get("/my/refusals"))
    assert f"Times are {word}." in text(browser.get("/my/usage"))
    assert timezone.get_current_timezone_name() == "UTC", "left as it was"


def test_what_programs_read_is_in_utc_whatever_a_browser_says(alice, client):
    refuse(alice.workspace_id, at=datetime(2026, 11, 3, 23, 30, tzinfo=UTC))
    client.cookies["zone"] = "Asia/Tokyo"

    (told,) = client.get("/v1/refusals", headers={"X-API-KEY": alice.key}).json()["refusals"]

    assert told["last_at"] == "2026-11-03T23:30:00Z"


def test_a_call_that_runs_has_a_name_even_if_nobody_gave_it_one(alice, signed_in, place_hold):
    place_hold(alice, "0.30")

    page = text(signed_in(alice).get("/my/"))

    assert "<b>A call</b>" in page
    assert 'aria-label=""' not in page


@pytest.mark.parametrize(("form", "kind"), [("csv", "csv"), ("jsonl", "jsonl"), ("focus", "csv")])
def test_calls_are_given_as_each_kind_of_file(alice, signed_in, form, kind):
    answer = signed_in(alice).get(f"/my/usage.csv?form={form}")

    assert answer.status_code == 200
    assert kind in answer["Content-Type"]


def test_a_kind_of_file_that_there_is_not_is_refused(alice, signed_in):
    assert signed_in(alice).get("/my/usage.csv?form=pdf").status_code == 400


def test_a_day_of_a_filter_is_the_viewers(alice, signed_in, monkeypatch):
    from dashboard import calls

    asked = []
    monkeypatch.setattr(calls.history, "page", lambda *a, **k: asked.append(a[1]) or EMPTY)
    browser = signed_in(alice)
    browser.cookies["zone"] = "Asia/Tokyo"

    browser.get("/my/usage?since=2026-11-04&until=2026-11-04")

    assert asked[0].since == datetime(2026, 11, 3, 15, tzinfo=UTC)
    assert asked[0].until == datetime(2026, 11, 4, 15, tzinfo=UTC)


EMPTY = Page([], newer=None, older=None, is_cut=False)


# --- Spend ------------------------------------------------------------------------------------


@pytest.fixture
def as_owner(studio, alice):
    return SimpleNamespace(workspace_id=studio.id, user=alice.user)


def spent_by(browser, **asked):
    """Return the rows of the page of spend: name, calls, not charged, and what was charged."""
    said = text(browser.get("/my/usage/spend", asked))
    rows = re.findall(r"<tr> <td class=\"lead\">(.*?)</tr>", said)
    return [re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", row)).strip() for row in rows]


def test_spend_is_told_apart_by_each_way_and_adds_up(studio, as_owner, bob):
    key = str(bob.api_key_record.pk)
    call_of(as_owner, project="kite", charged_micros=40_000)
    call_of(as_owner, user_id=bob.user.pk, vendor="kling", charged_micros=60_000)
    call_of(as_owner, user_id=bob.user.pk, key_id=key, charged_micros=0, outcome="failed")

    assert [each.split()[0] for each in spent_by(studio.owner)] == ["Kling", "Black"]
    name = bob.user.name or bob.user.email
    for by, first in (("project", "No project"), ("key", "No key"), ("member", name)):
        rows = spent_by(studio.owner, by=by)
        assert rows[0].startswith(first), by
    assert spent_by(studio.owner, by="project")[1].startswith("kite 1 $0.04")
    assert any(row.startswith(key) for row in spent_by(studio.owner, by="key")), "another's key"
    assert "$0.10" in text(studio.owner.get("/my/usage/spend?days=7"))


def test_a_member_reads_what_their_own_calls_cost(studio, as_owner, bob):
    call_of(as_owner, charged_micros=40_000)
    call_of(as_owner, user_id=bob.user.pk, vendor="kling", charged_micros=60_000)

    said = text(studio.member.get("/my/usage/spend?by=member"))

    assert "Kling" in said
    assert "Black Forest Labs" not in said
    assert "Members" not in said


@pytest.mark.parametrize("asked", ["by=nothing", "days=9999", "by=key%00&days=-1", "by=&days="])
def test_what_is_no_choice_is_the_usual_one(alice, signed_in, asked):
    assert 'value="30" selected' in text(signed_in(alice).get(f"/my/usage/spend?{asked}"))


def test_who_never_had_credits_is_not_told_that_they_are_nearly_used_up(make_member, signed_in):
    said = text(signed_in(make_member("0")).get("/my/"))

    assert "There are no credits here." in said
    assert "nearly used up" not in said


def project_of(call):
    return Call.objects.get(pk=call.pk).project


def test_a_run_is_given_a_project_where_its_receipt_is(alice, signed_in):
    made = call_of(alice, run_id="one", project="old")
    browser = signed_in(alice)
    browser.get(f"/my/usage/{made.pk}")

    answer = browser.post(
        "/my/usage/project", {"run": "one", "project": "Kite film", "at_call": made.pk}
    )

    assert answer["Location"] == f"/my/usage/{made.pk}"
    said = text(browser.get(answer["Location"]))
    assert "1 run is of the project “Kite film” now" in said
    assert 'value="Kite film"' in said
    assert f"/my/usage/{made.pk}" in text(browser.get("/my/usage?project=Kite+film"))
    assert "No call fits" in text(browser.get("/my/usage?project=old"))


def test_some_runs_are_chosen_and_given_one_all_or_none(alice, signed_in):
    made = [call_of(alice, run_id=f"run-{n}", project="old") for n in range(3)]
    browser = signed_in(alice)
    path, form = "/my/usage/project", {"project": "Seminar"}

    assert browser.post(path, form).status_code == 400
    missing = browser.post(path, {**form, "run": ["run-0", "nothing"]})
    assert missing.status_code == 404
    assert project_of(made[0]) == "old"
    assert browser.post(path, {**form, "run": ["run-0", "run-1"]}).status_code == 302
    assert [project_of(each) for each in made] == ["Seminar", "Seminar", "old"]
    assert text(browser.get("/my/usage/presses?project=Seminar")).count('name="run"') == 2
    assert "No run is of this project" in text(browser.get("/my/usage/presses?project=x"))


def test_a_member_gives_one_to_what_they_ran_and_an_owner_to_all(studio, alice, bob):
    team = SimpleNamespace(workspace_id=studio.id, user=alice.user)
    hers = call_of(team, user_id=alice.user.pk, run_id="hers", project="old")
    his = call_of(team, user_id=bob.user.pk, run_id="his", project="old")

    for run in ("hers", "his"):
        studio.member.post("/my/usage/project", {"run": run, "project": "his own"})
    assert (project_of(hers), project_of(his)) == ("old", "his own")

    studio.owner.post("/my/usage/project", {"run": ["hers", "his"], "project": ""})
    assert (project_of(hers), project_of(his)) == ("", "")
