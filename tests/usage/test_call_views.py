"""Calls, runs, refusals and sums by key: pages by number and by cursor, filters, whose they are."""

import uuid
from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone
from test_sums import PEOPLE, many

from accounts import teams
from apikeys import keys
from common.ids import uuid7
from common.pages import sealed
from credits.models import TopUp
from usage.models import NOBODY, Call, Refusal

LISTS = {"/v1/calls": "calls", "/v1/runs": "runs", "/v1/refusals": "refusals"}


@pytest.fixture
def ask(client, alice):
    def asked(path, *, shown=None, **query):
        return client.get(path, query, headers={"X-API-KEY": shown or alice.key})

    return asked


def refuse(member, n=1, **fields):
    """Have so many calls have been refused, each in an hour of its own."""
    for each in range(n):
        at = timezone.now() - timedelta(hours=n - each)
        told = {
            "user_id": member.user.pk, "vendor": "bfl", "code": "insufficient_credits",
            "limit": "balance", "operation": "flux", "key_id": NOBODY, "needed_micros": 60_000,
            "left_micros": 5, "message": "Add credits.", **fields,
        }  # fmt: skip
        Refusal.objects.create(
            id=uuid7(), workspace_id=member.workspace_id, first_at=at, last_at=at,
            hour=at.replace(minute=0, second=0, microsecond=0), **told,
        )  # fmt: skip


@pytest.fixture
def full(alice, month):
    many(alice, 90, month)
    refuse(alice, 9)
    return alice


@pytest.mark.parametrize("path", LISTS)
def test_all_is_found_by_number_and_by_cursor_alike(full, ask, path):
    name = LISTS[path]
    first = ask(path, page=1, limit=8).json()
    by_number = [
        row for n in range(1, first["pages"] + 1) for row in ask(path, page=n, limit=8).json()[name]
    ]

    by_cursor, answer = [], ask(path, limit=8).json()
    while True:
        by_cursor += answer[name]
        if answer["next"] is None:
            break
        answer = ask(path, limit=8, cursor=answer["next"]).json()

    assert by_number == by_cursor
    assert len(by_number) == first["total"] > 8


def test_calls_are_found_by_each_filter(full, ask):
    row = Call.objects.filter(workspace_id=full.workspace_id, vendor="kling").first()
    told = ask(f"/v1/calls/{row.pk}").json()
    assert told["id"] == str(row.pk)
    filters = {
        "vendor": told["vendor"], "operation": told["operation"], "key": told["key"],
        "member": told["member"], "project": told["project"], "status": told["status"],
        "run": told["run"],
    }  # fmt: skip

    for name, value in filters.items():
        if value is None or value == "":
            continue
        found = ask("/v1/calls", page=1, limit=200, **{name: value}).json()
        assert {each[name] for each in found["calls"]} == {value}
        assert found["total"] == len(found["calls"])
        assert found["calls"] == ask("/v1/calls", limit=200, **{name: value}).json()["calls"]
    assert ask("/v1/calls", since="2099-01-01T00:00:00Z").json()["calls"] == []


@pytest.mark.parametrize("path", [*LISTS, "/v1/purchases"])
@pytest.mark.parametrize(
    "query",
    [
        {"cursor": "nonsense!"}, {"cursor": sealed("not of a number or id")},
        {"cursor": sealed("\0")}, {"page": 0}, {"page": 2, "cursor": sealed("3")},
        {"limit": 1000}, {"since": "yesterday"}, {"cursor": "é" * 9}, {"cursor": "A" * 500},
        {"cursor": sealed("9" * 60)}, {"cursor": sealed(str(uuid.UUID(int=1))[:-1])},
    ],
)  # fmt: skip
def test_what_is_no_page_is_a_clear_refusal(ask, path, query):
    answer = ask(path, **query)

    assert answer.status_code == 400
    assert answer.json()["error"] == "invalid_request"
    assert answer.json()["message"]


@pytest.mark.parametrize("path", [*LISTS, "/v1/spend"])
def test_a_member_reads_what_is_their_own(full, alice, bob, ask, path, month):
    team = teams.create(owner=alice.user, name="Studio")
    teams.join(team, bob.user, role="member", by=alice.user.pk)
    whole, _ = keys.issue(
        workspace_id=team.pk, user_id=bob.user.pk, name="x", scopes=["usage:read"]
    )
    of_team = type(alice)(alice.user, team.pk, team.wallet, alice.key, None)
    many(of_team, 30, month)
    Call.objects.filter(workspace_id=team.pk, number__lte=10).update(user_id=bob.user.pk)
    refuse(of_team, 2)
    refuse(of_team, 3, user_id=bob.user.pk)

    for query in ({}, {"member": str(bob.user.pk)}):
        told = ask(path, shown=whole, **query).json()
        rows = told.get("sums") or told.get(LISTS.get(path))
        assert rows
        if path != "/v1/spend":
            assert {row["member"] for row in rows} == {str(bob.user.pk)}
    if path == "/v1/spend":
        assert sum(row["calls"] for row in rows) == 10
    for query in ({}, {"page": 1}) if path != "/v1/spend" else ({},):
        told = ask(path, shown=whole, member=str(PEOPLE[0]), **query).json()
        assert [*told.get("sums", []), *told.get(LISTS.get(path), [])] == []


def test_sums_are_by_what_is_asked(full, ask):
    whole = ask("/v1/calls", page=1, limit=200).json()["calls"]

    for span in ("hour", "day", "month"):
        for by in ("vendor", "operation", "key", "member", "project"):
            told = ask("/v1/spend", span=span, by=by).json()["sums"]
            for value in {each["of"] for each in told}:
                mine = [each for each in whole if (each[by] or "") == value]
                own = [each for each in told if each["of"] == value]
                assert sum(each["calls"] for each in own) == len(mine)
                assert sum(each["charged_micro_usd"] for each in own) == sum(
                    each["charged_micro_usd"] for each in mine
                )
    refused = ask("/v1/spend", span="week")
    assert refused.status_code == 400


def test_a_refusal_says_which_limit_and_what_helps(alice, ask):
    resets = datetime(2026, 12, 1, tzinfo=UTC)
    refuse(
        alice, code="budget_exceeded", limit="budget", whose="key", most_micros=10,
        resets_at=resets, times=4,
    )  # fmt: skip
    refuse(alice, vendor="kling")

    (told,) = ask("/v1/refusals", limit_kind="budget").json()["refusals"]

    assert (told["limit"], told["of"], told["times"]) == ("budget", "key", 4)
    assert (told["left_micro_usd"], told["most_micro_usd"]) == (5, 10)
    assert told["resets_at"] == "2026-12-01T00:00:00Z"
    assert told["remedy"] == "raise_budget"
    (other,) = ask("/v1/refusals", vendor="kling", status="insufficient_credits").json()["refusals"]
    assert other["remedy"] == "add_credits"


def test_purchases_are_found_by_state_and_on_from_the_last(alice, ask):
    for n in range(7):
        TopUp.objects.create(
            wallet_id=alice.workspace_id, amount_micros=25_000_000, source="checkout",
            state="expired" if n % 2 else "failed",
        )  # fmt: skip
    whole = ask("/v1/purchases").json()
    assert (whole["total"], len(whole["purchases"])) == (7, 7)

    found, answer = [], ask("/v1/purchases", limit=2).json()
    while True:
        found += answer["purchases"]
        if answer["next"] is None:
            break
        answer = ask("/v1/purchases", limit=2, cursor=answer["next"]).json()

    assert found == whole["purchases"]
    assert ask("/v1/purchases", state="expired").json()["total"] == 3
    assert ask("/v1/purchases", until="2000-01-01T00:00:00Z").json()["total"] == 0


def test_events_of_a_member_are_exact_below_a_hundred_thousand(alice, bob, ask, month, monkeypatch):
    team = teams.create(owner=alice.user, name="Studio")
    teams.join(team, bob.user, role="member", by=alice.user.pk)
    whole, _ = keys.issue(workspace_id=team.pk, user_id=bob.user.pk, name="x")
    many(type(alice)(alice.user, team.pk, team.wallet, alice.key, None), 200, month)
    Call.objects.filter(workspace_id=team.pk, number__lte=25).update(user_id=bob.user.pk)

    last = ask("/customers/events", shown=whole, page=3, limit=10).json()

    assert (last["total"], last["totalPages"], len(last["events"])) == (25, 3, 5)
