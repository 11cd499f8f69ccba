"""Calls by access token: as by key, and ended in the statement that places the hold."""

from __future__ import annotations

import asyncio
import json
import uuid
from dataclasses import dataclass
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone
from proxy_books import an_ask, sums, two_sets
from proxy_stage import IMAGE, ULTRA, check_refusal, in_thread

from accounts import signingkeys, signins, status, tokens
from accounts.models import Membership, SignIn, User
from apikeys import callers
from common.errors import Unauthorized
from proxy import sql

WHY = {"by": uuid.UUID(int=7), "reason": "a test"}


@dataclass(frozen=True)
class SignedIn:
    """A member's ComfyUI, with a token in the place of a key."""

    token: str
    sid: str
    workspace: str
    user: str

    @property
    def headers(self):
        return {"Authorization": f"Bearer {self.token}"}


def sign_in(workspace: str, user: str) -> SignedIn:
    code = signins.begin(
        user=User.objects.get(pk=user),
        workspace_id=workspace,
        client_id="comfy-local-web",
        redirect_uri="http://127.0.0.1:8188/",
        challenge="x" * 43,
    )
    row = SignIn.objects.get(pk=code.partition(".")[0])
    signins.refreshed(row)
    return SignedIn(tokens.sign(row), str(row.pk), str(workspace), str(user))


def end(who, how):
    """End what a token acts for, each in its way."""
    match how:
        case "ended":
            signins.end(SignIn.objects.get(pk=who.sid), why="a test")
        case "expired":
            ago = timezone.now() - timedelta(days=1)
            SignIn.objects.filter(pk=who.sid).update(expires_at=ago)
        case "deactivated":
            status.deactivate(User.objects.get(pk=who.user), **WHY)
        case "removed":
            Membership.objects.filter(user=who.user, workspace=who.workspace).delete()
        case "removed and back":
            seat = Membership.objects.get(user=who.user, workspace=who.workspace)
            seat.delete()
            Membership.objects.create(user_id=who.user, workspace_id=who.workspace, role=seat.role)


HOWS = ["ended", "expired", "deactivated", "removed", "removed and back"]


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    """No token is remembered from a test before."""
    tokens.remembered.clear()
    signingkeys.ring.__init__()


async def test_a_token_calls_and_pays_as_a_key_does(stage):
    member = await stage.member()
    who = await in_thread(lambda: sign_in(member.workspace, member.user))

    answer = await stage.post(IMAGE, who, json={"prompt": "a fox"})

    assert answer.status == 200
    (call,) = await stage.settled(member)
    assert (str(call["user_id"]), call["key_id"]) == (member.user, None)
    assert stage.spent(member) > 0


async def test_a_job_of_a_token_is_polled_by_it_and_by_the_key_of_its_workspace(stage):
    member, other = await stage.member(), await stage.member()
    who = await in_thread(lambda: sign_in(member.workspace, member.user))
    stranger = await in_thread(lambda: sign_in(other.workspace, other.user))

    made = await stage.post(ULTRA, who, json={"prompt": "a fox"})
    assert made.status == 200
    url = f"/proxy/bfl/v1/get_result?id={made.json()['id']}"

    assert (await stage.poll_until_end(url, who)).status == 200
    assert (await stage.get(url, member)).status == 200
    assert (await stage.get(url, stranger)).status == 404
    await in_thread(lambda: end(who, "ended"))
    assert (await stage.get(url, who)).status == 401


@pytest.mark.parametrize("how", HOWS)
async def test_what_has_ended_calls_nothing_from_the_next_statement_on(stage, how):
    member, other = await stage.member(), await stage.member()
    who = await in_thread(lambda: sign_in(member.workspace, member.user))
    neighbour = await in_thread(lambda: sign_in(other.workspace, other.user))
    assert (await stage.post(IMAGE, who, json={"prompt": "1"})).status == 200

    await in_thread(lambda: end(who, how))

    refused = await stage.post(IMAGE, who, json={"prompt": "2"})
    assert refused.status == 401
    check_refusal(refused)
    assert (await stage.post(IMAGE, neighbour, json={"prompt": "3"})).status == 200
    assert len(await stage.settled(member)) == 1


async def test_a_bearer_beats_a_key_also_if_it_is_none(stage):
    member, other = await stage.member(), await stage.member()
    who = await in_thread(lambda: sign_in(member.workspace, member.user))

    both = await stage.post(IMAGE, other, json={"prompt": "1"}, headers=who.headers)
    assert both.status == 200
    assert len(await stage.settled(member)) == 1
    assert stage.calls(other) == []
    for bad in ("Bearer x", "Basic eDp5", f"Bearer {who.token[:-4]}AAAA", f"Token {who.token}"):
        answer = await stage.post(
            IMAGE, other, json={"prompt": "2"}, headers={"Authorization": bad}
        )
        assert answer.status == 401
        check_refusal(answer)


async def test_a_repeat_is_joined_though_its_token_was_renewed_meanwhile(stage):
    member = await stage.member()
    who = await in_thread(lambda: sign_in(member.workspace, member.user))
    key = {"Idempotency-Key": uuid.uuid4().hex}
    first = await stage.post(IMAGE, who, json={"prompt": "1"}, headers=key)

    renewed = await stage.post("/auth/partner-node/renew", who)
    again = SignedIn(renewed.json()["token"], who.sid, who.workspace, who.user)
    second = await stage.post(IMAGE, again, json={"prompt": "1"}, headers=key)

    assert again.token != who.token
    assert (second.status, second.body) == (200, first.body)
    assert second.headers["idempotent-replayed"] == "true"
    assert len(await stage.settled(member)) == 1


async def test_two_sign_ins_have_intentions_of_their_own(stage):
    member = await stage.member()
    some = [await in_thread(lambda: sign_in(member.workspace, member.user)) for _ in range(2)]
    key = {"Idempotency-Key": "the same"}

    for who in some:
        assert (await stage.post(IMAGE, who, json={"prompt": "1"}, headers=key)).status == 200

    assert len(await stage.settled(member, 2)) == 2


async def test_a_process_that_knows_no_keys_yet_reads_them_by_its_own_lane(stage):
    member = await stage.member()
    who = await in_thread(lambda: sign_in(member.workspace, member.user))
    signingkeys.ring.__init__()

    answers = [stage.post(IMAGE, who, json={"prompt": str(n)}) for n in range(8)]

    assert {answer.status for answer in await asyncio.gather(*answers)} == {200}


# --- at the statement itself --------------------------------------------------------------------


def opens(caller):
    """Return which doors let a caller in."""
    (way,) = caller.asked()
    with connection.cursor() as cursor:
        cursor.execute(sql.MAY_CALL, [json.dumps({"vendor": "bfl", "amount": 0, **way})])
        call = cursor.fetchone()[0] != "unauthorized"
        asked = {"n": 0, "vendor": "bfl", "job": "?", **way}
        cursor.execute(sql.FIND_JOBS, [json.dumps([asked])])
        poll = cursor.fetchone()[0]
        cursor.execute(sql.AVAILABLE, [json.dumps(way)])
        return call, poll, cursor.fetchone() is not None


def caller_of(who):
    now = timezone.now().timestamp()
    signingkeys.ring.load(tokens.kid_of(who.token))
    return callers.by_token(tokens.verified(who.token, signingkeys.ring, now=now), "127.0.0.1")


@pytest.mark.parametrize("how", HOWS)
def test_whatever_ends_a_sign_in_ends_it_at_every_door(alice, how):
    who = sign_in(alice.workspace_id, alice.user.pk)
    caller = caller_of(who)
    assert opens(caller) == (True, True, True)

    end(who, how)

    assert opens(caller) == (False, False, False)


def test_a_token_speaks_for_the_workspace_of_its_row_alone(alice, bob):
    who = sign_in(alice.workspace_id, alice.user.pk)
    Membership.objects.create(workspace_id=bob.workspace_id, user=alice.user, role="member")
    said = tokens.Claims(uuid.UUID(who.sid), alice.user.pk, bob.workspace_id, 1e12)

    assert opens(callers.by_token(said, "")) == (False, False, False)


async def in_turn(books, caller, amount=10_000):
    """Place a hold; whether it was, or that the sign-in has ended."""
    try:
        placed = await books.place(an_ask(amount), caller)
    except Unauthorized:
        return None
    return placed


@pytest.mark.slow
@pytest.mark.usefixtures("committed")
@pytest.mark.parametrize("how", HOWS)
async def test_in_a_race_with_its_end_no_hold_is_placed_after_it(alice, how):
    """Two web processes place holds while the sign-in ends: whoever asks afterwards gets none."""
    who = await in_thread(lambda: sign_in(alice.workspace_id, alice.user.pk))
    caller = await in_thread(lambda: caller_of(who))
    async with two_sets() as sets:
        warm = [await in_turn(books, caller, 100) for books in sets]
        assert None not in warm
        racing = [asyncio.ensure_future(in_turn(books, caller, 100)) for books in sets * 10]
        ending = asyncio.ensure_future(in_thread(lambda: end(who, how)))
        during = await asyncio.gather(*racing)
        await ending
        after = await asyncio.gather(*(in_turn(books, caller, 100) for books in sets * 4))

        assert after == [None] * 8
        placed = [each for each in during if each is not None]
        balance, held = sums(alice)
        assert held == 100 * (len(placed) + 2)
        assert balance >= held
        assert {each.key for each in placed} <= {""}


@pytest.mark.slow
@pytest.mark.usefixtures("committed")
async def test_in_one_batch_each_is_judged_for_itself(alice, bob):
    """Keys and tokens, living and ended, go together in one statement."""
    good = await in_thread(lambda: sign_in(alice.workspace_id, alice.user.pk))
    bad = await in_thread(lambda: sign_in(bob.workspace_id, bob.user.pk))
    await in_thread(lambda: end(bad, "ended"))
    some = [
        await in_thread(lambda: caller_of(good)),
        await in_thread(lambda: caller_of(bad)),
        callers.by_key(alice.key, "127.0.0.1"),
        callers.by_key(bob.key, "127.0.0.1"),
    ]
    async with two_sets() as sets:
        await in_turn(sets[0], some[0], 100)
        asks = [in_turn(books, caller, 100) for books in sets for caller in some * 3]
        came = await asyncio.gather(*asks)

    keyed = [None if each is None else bool(each.key) for each in came]
    assert keyed == [False, None, True, True] * 6
