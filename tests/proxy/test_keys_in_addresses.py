"""A key in an address is refused wherever it stands, and no line of ours repeats it."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from proxy_stage import IMAGE

PLACES = [
    "/customers/balance?api_key={}",
    "/customers/balance?X-API-KEY={}&page=1",
    "/customers/{}",
    "/nothing/{}",
    IMAGE + "?key={}",
    "/proxy/sandbox/{}",
    "/proxy/nobody/{}/x",
    "/oauth/authorize?state={}",
]


def twice(key: str) -> str:
    return "".join(f"%25{ord(each):02x}" for each in key)


def once(key: str) -> str:
    return "".join(f"%{ord(each):02X}" for each in key)


@pytest.mark.parametrize("write", [str, str.upper, once, twice], ids=["plain", "up", "1", "2"])
@pytest.mark.parametrize("place", PLACES)
async def test_a_key_in_an_address_is_refused_and_not_logged(stage, capfd, place, write):
    member = await stage.member()
    capfd.readouterr()

    for method in ("GET", "POST"):
        answer = await stage.ask(method, place.format(write(member.key)))
        assert answer.status == 400
        assert "X-API-KEY" in answer.json()["message"]

    written = "".join(capfd.readouterr())
    for form in (member.key, member.key.upper(), quote(member.key), once(member.key)):
        assert form not in written
    assert member.key.encode() not in answer.body
    assert stage.calls(member) == []


async def test_the_operators_part_hides_no_key(stage, settings):
    settings.KEY_PREFIX = "acme"
    member = await stage.member()

    assert (await stage.get(f"/customers/balance?k={member.key}")).status == 400


@pytest.mark.parametrize("address", ["/health?comfyui-", "/health?x=comfyui-0a1b2c3d", "/health?%"])
async def test_what_is_no_key_is_let_through(stage, address):
    assert (await stage.get(address)).status == 200


async def test_a_key_works_from_its_networks_alone_at_every_door(stage):
    from proxy_stage import check_refusal, in_thread

    from apikeys.models import ApiKey

    member = await stage.member()

    async def bound(networks):
        key = ApiKey.objects.filter(pk=member.key_id)
        await in_thread(lambda: key.update(allowed_networks=networks))

    for networks, call, account in (
        (["192.0.2.0/24"], 403, 403),
        ([], 403, 403),
        (["127.0.0.0/8"], 200, 200),
        (None, 200, 200),
    ):
        await bound(networks)
        answer = await stage.post(IMAGE, member, json={"prompt": str(networks)})
        assert (answer.status, (await stage.get("/customers/balance", member)).status) == (
            call,
            account,
        )
        if call == 403:
            check_refusal(answer)
            assert "your address" in answer.json()["message"]
    assert len(await stage.settled(member, 2)) == 2
