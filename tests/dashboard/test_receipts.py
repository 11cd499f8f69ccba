"""Receipts for others: what an address shows, for how long, and of whom it says nothing."""

import re
import uuid
from dataclasses import replace
from datetime import timedelta

import pytest
from call_rows import call_of
from django.test import Client
from django.utils import timezone
from page_text import text
from run_rows import run_of

from apikeys import recorded
from audit.models import Event
from dashboard import receipts
from dashboard.receipts import CALL, PRESS, RUN, Shared


@pytest.fixture
def stranger(db):
    return Client(SERVER_NAME="localhost")


def in_a_week():
    return timezone.now() + timedelta(days=7)


def address_of(kind, of, until=None):
    return f"/receipts/{Shared(kind, of, until or in_a_week()).token}"


def links(page):
    return re.findall(r"https?://[^<\"]*(/receipts/[^<\"]+)<", text(page))


def test_a_call_is_shared_without_a_word_of_whose_it_is(alice, signed_in, stranger):
    made = call_of(
        alice, project="secret film", run_id="one",
        reason="The vendor refused the prompt: a cat.",
        facts={"title": "Portrait of Maria", "inputs": {"model": "ultra", "images": 2}},
    )  # fmt: skip
    page = signed_in(alice).get(f"/my/usage/{made.pk}/share?days=30")

    (address,) = links(page)
    said = text(stranger.get(address))

    for there in (made.operation, "ultra", str(made.pk), "good until"):
        assert there in said
    for never in ("Maria", "secret film", "a cat", alice.user.email, str(alice.workspace_id),
                  str(alice.user.pk), "one press"):  # fmt: skip
        assert never not in said


def test_what_a_service_told_of_a_use_is_for_its_member_alone(alice, signed_in, stranger):
    told = {"seat": "maria@example.org", "minutes": 5}
    made = call_of(alice, vendor=recorded.VENDOR, facts={"inputs": told})

    assert "maria@example.org" in text(signed_in(alice).get(f"/my/usage/{made.pk}"))
    said = text(stranger.get(address_of(CALL, made.pk)))

    assert made.operation in said
    assert "maria" not in said


def test_a_whole_press_is_one_persons_and_says_what_all_of_it_came_to(
    studio, alice, bob, stranger, monkeypatch
):
    monkeypatch.setattr(receipts.history, "OF_A_RUN", 2)
    team = replace(bob, workspace_id=studio.id)
    mine = [call_of(team, run_id="same") for _ in range(3)]
    call_of(team, user_id=alice.user.pk, run_id="same")

    page = studio.member.get(f"/my/usage/{mine[0].pk}/share")
    of_call, of_press = links(page)
    said = text(stranger.get(of_press))

    assert text(stranger.get(of_call)) != said
    assert "The first of 3 calls" in said
    assert said.count(mine[0].operation) == 2


def test_a_run_is_shared_once_it_has_ended(alice, signed_in, stranger):
    browser = signed_in(alice)
    waiting = run_of(alice.workspace_id, alice.user.pk, state="queued")
    ended = run_of(alice.workspace_id, alice.user.pk)

    assert browser.get(f"/my/runs/{waiting.pk}/share").status_code == 400
    (address,) = links(browser.get(f"/my/runs/{ended.pk}/share"))
    said = text(stranger.get(address))

    assert "2.000 s of the machine" in said
    assert str(ended.pk) in said
    assert "EmptyImage" not in said


@pytest.mark.parametrize("days", ["0", "8", "-7", "x", "9" * 400])
def test_an_address_is_good_for_one_of_three_times(alice, signed_in, days):
    made = call_of(alice)

    assert signed_in(alice).get(f"/my/usage/{made.pk}/share?days={days}").status_code == 400


def test_an_address_ends(alice, stranger):
    made = call_of(alice)

    assert stranger.get(address_of(CALL, made.pk)).status_code == 200
    over = stranger.get(address_of(CALL, made.pk, timezone.now() - timedelta(seconds=1)))

    assert over.status_code == 404
    assert "The time of this address is over" in text(over)


def test_nobody_makes_one_or_another_out_of_one(alice, stranger, settings):
    made = call_of(alice)
    token = Shared(CALL, made.pk, in_a_week()).token
    end = token.index("-")
    forged = [
        PRESS + token[1:], token[:-1], token[: end + 1] + "ffffffff" + token[end + 9 :],
        token.partition(".")[0], "", ".", "x" * 5000, "c\0", token + "%0A", token.upper(),
    ]  # fmt: skip

    for each in forged:
        assert stranger.get("/receipts/" + each.replace("\0", "%00")).status_code == 404
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "another, which came after it, and is long enough"
    assert stranger.get(f"/receipts/{token}").status_code == 200
    settings.SECRET_KEY_FALLBACKS = []
    assert stranger.get(f"/receipts/{token}").status_code == 404


def test_of_a_call_whose_client_named_no_press_there_is_none(alice, stranger):
    made = call_of(alice, run_id="")

    assert stranger.get(address_of(CALL, made.pk)).status_code == 200
    assert stranger.get(address_of(PRESS, made.pk)).status_code == 404


@pytest.mark.parametrize("kind", [CALL, PRESS, RUN])
def test_what_is_gone_is_not_found(stranger, kind):
    assert stranger.get(address_of(kind, uuid.uuid4())).status_code == 404


def test_that_an_address_was_given_is_in_the_log_without_the_address(alice, signed_in, stranger):
    made = call_of(alice)
    page = signed_in(alice).get(f"/my/usage/{made.pk}/share?days=30")
    (address,) = links(page)
    stranger.get(address)

    noted = Event.objects.get(action="receipt.shared", target=str(made.pk))

    assert noted.actor_id == alice.user.pk
    assert noted.after["of"] == ["call"]
    assert address.rpartition("/")[2] not in str(noted.after), "the log opens nothing"
