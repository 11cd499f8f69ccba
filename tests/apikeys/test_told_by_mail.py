"""That a limit was reached, and what a month came to, by mail: to whom, and once."""

import uuid
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from call_rows import call_of
from django.utils import timezone

from accounts import notices, teams
from accounts.notices import LIMIT, SUMMARY
from apikeys import reached, summaries
from common.ids import uuid7
from outbox.models import Mail
from usage.models import NOBODY, Refusal


@pytest.fixture
def team(alice, bob):
    made = teams.create(owner=alice.user, name="Studio")
    teams.join(made, bob.user, role="member", by=alice.user.pk)
    return made


def refuse(workspace_id, user_id, whose, *, at=None, **fields):
    at = at or timezone.now()
    told = {
        "vendor": "bfl", "code": "budget_exceeded", "limit": "budget", "operation": "flux",
        "key_id": NOBODY, "needed_micros": 60_000, "most_micros": 5_000_000, "message": "No.",
        "resets_at": at + timedelta(days=1), **fields,
    }  # fmt: skip
    return Refusal.objects.create(
        id=uuid7(), workspace_id=workspace_id, user_id=user_id, whose=whose, first_at=at,
        last_at=at, hour=at.replace(minute=0, second=0, microsecond=0), **told,
    )  # fmt: skip


def told(member, start):
    return list(Mail.objects.filter(to=member.user.email, key__startswith=start))


@pytest.mark.parametrize(
    ("whose", "owner_is_told"),
    [("workspace", True), ("project", True), ("member", True), ("key", False)],
)
def test_whose_call_it_was_and_who_sets_it_are_told_once_a_day(
    team, alice, bob, whose, owner_is_told
):
    refuse(team.pk, bob.user.pk, whose, project="Kite film")
    refuse(team.pk, bob.user.pk, whose, project="Kite film", vendor="kling")

    for _ in range(2):
        reached.tell()

    (mail,) = told(bob, "limit:")
    assert "Studio" in mail.subject
    assert "$5.00" in mail.text
    assert mail.kind == LIMIT
    assert len(told(alice, "limit:")) == owner_is_told


def test_what_was_refused_for_another_reason_or_long_ago_or_to_who_left_is_not_told(
    team, alice, bob
):
    refuse(team.pk, bob.user.pk, "", limit="balance")
    refuse(team.pk, bob.user.pk, "member", at=timezone.now() - timedelta(hours=2))
    refuse(team.pk, uuid.uuid4(), "key")

    reached.tell()

    assert told(bob, "limit:") == told(alice, "limit:") == []


def test_who_leaves_them_out_is_told_nothing(team, alice, bob):
    notices.choose(bob.user.pk, set())
    refuse(team.pk, bob.user.pk, "member")

    reached.tell()

    assert told(bob, "limit:") == []
    assert len(told(alice, "limit:")) == 1


def test_a_month_is_summed_up_once_for_who_wants_it_and_of_what_they_see(team, alice, bob):
    now = timezone.now().astimezone(UTC)
    next_month = (now.replace(day=28) + timedelta(days=5)).replace(day=1, hour=7)
    for who, micros in ((alice, 40_000), (bob, 30_000)):
        at = SimpleNamespace(workspace_id=team.pk, user=who.user)
        call_of(at, charged_micros=micros)
        notices.choose(who.user.pk, {SUMMARY})

    for _ in range(2):
        summaries.tell(next_month)

    (whole,), (own,) = (
        [each for each in told(who, "summary:") if "Studio" in each.subject] for who in (alice, bob)
    )
    assert "$0.07" in whole.text
    assert "2 calls" in whole.text
    assert "$0.03" in own.text
    assert f"{now:%Y-%m}" in own.subject


def test_later_in_a_month_and_without_a_call_nothing_is_summed_up(team, alice):
    notices.choose(alice.user.pk, {SUMMARY})

    assert summaries.tell(datetime(2026, 11, 8, tzinfo=UTC)) == 0
    assert summaries.tell(datetime(2026, 11, 2, tzinfo=UTC)) >= 1
    assert told(alice, "summary:") == []
