"""The page of connecting: with what a ComfyUI is started, and what was seen of it so far."""

from datetime import timedelta

import pytest
from call_rows import call_of
from django.utils import timezone
from page_text import text

from common.ids import uuid7
from credits.models import Hold
from usage.models import NOBODY, Refusal


def an_hour_ago():
    return int((timezone.now() - timedelta(hours=1)).timestamp())


@pytest.fixture
def looks(alice, signed_in):
    """Look again, an hour after Alice opened the page."""
    browser, since = signed_in(alice), an_hour_ago()
    return lambda since=since: text(browser.get("/my/connect", {"since": since}))


def test_it_says_with_what_to_start_and_waits(alice, looks):
    call_of(alice, settled_at=timezone.now() - timedelta(hours=2))  # Of before: it is not this one.

    said = looks()

    assert "--comfy-api-base http://localhost" in said
    assert "The cheapest test is" in said
    assert 'data-state="waiting"' in said
    assert "Waiting for your first call" in said


def test_looking_again_by_itself_brings_nothing_while_nothing_is_new(alice, signed_in):
    browser, since = signed_in(alice), an_hour_ago()

    assert browser.get("/my/connect", {"since": since, "was": "waiting"}).status_code == 204
    call_of(alice)
    said = text(browser.get("/my/connect", {"since": since, "was": "waiting"}))

    assert 'data-state="seen"' in said
    assert 'hx-trigger="every' not in said, "it looks no more"


def test_a_call_that_runs_is_seen_and_then_what_became_of_it(alice, looks, place_hold):
    place_hold(alice, "0.30")
    memo = {"vendor": "kling", "operation": "video", "user": str(alice.user.pk)}
    Hold.objects.filter(account_id=alice.workspace_id).update(memo=memo)

    running = looks()
    call = call_of(alice)
    seen = looks()

    assert 'data-state="running"' in running
    assert "$0.30" in running
    assert 'data-state="seen"' in seen
    assert f"/my/usage/{call.pk}" in seen
    assert "Black Forest Labs" in seen


def test_a_refusal_says_why(alice, looks):
    now = timezone.now()
    Refusal.objects.create(
        id=uuid7(), workspace_id=alice.workspace_id, user_id=alice.user.pk, key_id=NOBODY,
        code="insufficient_credits", limit="balance", vendor="bfl", operation="bfl/flux-pro",
        needed_micros=40_000, left_micros=0, message="Not enough for this.", times=1,
        first_at=now, last_at=now, hour=now.replace(minute=0, second=0, microsecond=0),
    )  # fmt: skip

    said = looks()

    assert 'data-state="refused"' in said
    assert "Not enough for this." in said


def test_what_others_call_is_not_ones_own(studio, alice, bob):
    class Here:
        workspace_id, user = studio.id, bob.user

    call_of(Here)

    answer = text(studio.owner.get("/my/connect", {"since": an_hour_ago()}))

    assert 'data-state="waiting"' in answer


@pytest.mark.parametrize("since", ["", "x", "-1", "0", "99999999999", "9" * 40, "1e3", "\u0663"])
def test_what_is_no_time_of_today_counts_from_now(alice, looks, since):
    call_of(alice, settled_at=timezone.now() - timedelta(seconds=30))

    assert 'data-state="waiting"' in looks(since)
