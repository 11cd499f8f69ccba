"""`GET /v1/me` tells a key the same as the statement that places its holds."""

import uuid

from proxy_stage import IMAGE, in_thread

from apikeys import allowances
from apikeys.models import ApiKey
from credits.books import limits

CENT = 10_000


async def test_a_key_reads_who_it_is_and_each_limit_with_its_rest(stage):
    member = await stage.member()
    by, where = uuid.UUID(member.user), uuid.UUID(member.workspace)

    def rules():
        allowances.set_rule(where, "workspace", "", "month", 500 * CENT, by=by)
        allowances.set_rule(where, "key", member.key_id, "day", 3 * CENT, by=by)
        limits.set_concurrency(where, 8, by=by, reason="a test")
        ApiKey.objects.filter(pk=member.key_id).update(
            requests_per_minute=60, call_limit_micros=2 * CENT
        )

    await in_thread(rules)
    assert (await stage.post(IMAGE, member, json={"prompt": "1"})).status == 200

    me = (await stage.get("/v1/me", member)).json()

    assert (me["user"]["id"], me["workspace"]["id"]) == (member.user, member.workspace)
    assert (me["workspace"]["role"], me["credential"]["id"]) == ("owner", member.key_id)
    assert (me["balance_micro_usd"], me["held_micro_usd"]) == (5_000_000 - CENT, 0)
    told = me["limits"]
    assert told["concurrency"] == {"limit": 8, "current": 0, "remaining": 8}
    assert told["concurrency_of_large_calls"]["limit"] == 2
    assert told["per_call_micro_usd"] == 2 * CENT
    assert told["requests_per_minute"]["limit"] == 60
    assert told["requests_per_minute"]["remaining"] in (52, 60), "an eighth was taken, or a new one"
    rests = {each["kind"]: each["left_micro_usd"] for each in told["allowances"]}
    assert rests == {"workspace": 499 * CENT, "key": 2 * CENT}
    assert all(each["resets_at"] for each in told["allowances"])


def test_without_limits_it_says_so_and_a_session_reads_its_members(client, alice):
    by_key = client.get("/v1/me", headers={"X-API-KEY": alice.key}).json()
    client.force_login(alice.user)
    signed_in = client.get("/v1/me").json()

    assert by_key["limits"] == signed_in["limits"]
    assert by_key["limits"]["requests_per_minute"] is None
    assert by_key["limits"]["concurrency"] == {"limit": None, "current": 0, "remaining": None}
    assert signed_in["credential"] is None
    assert client.get("/v1/me", headers={"X-API-KEY": alice.key[:-1] + "x"}).status_code == 401
