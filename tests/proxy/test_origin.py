"""Where clients come back to: what our own proxies say counts; what leads nowhere is refused."""

from __future__ import annotations

import pytest
from config.wire import forwarded
from proxy_stage import ULTRA

from apikeys import keys
from common.errors import InvalidRequest, Misconfigured
from proxy import origin
from proxy.http import Request

OURS = "10.0.0.7"
HTTPS = "https://credits.example.org"


def request(host: str = "credits.example.org", *, peer: str = OURS, **said: str) -> Request:
    """Return a request as it comes from the wire, read as from that peer."""
    headers = [(b"host", host.encode())] if host else []
    headers += [(name.replace("_", "-").encode(), each.encode()) for name, each in said.items()]
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/proxy/x",
        "query_string": b"",
        "scheme": "http",
        "client": (peer, 5000),
        "headers": headers,
    }
    if forwarded.is_ours(peer):
        forwarded.believe(scope)
        scope["forwarded"] = True
    return Request(scope, None, None)  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def nothing_seen(monkeypatch):
    monkeypatch.setattr(origin, "_seen", origin._Seen())


@pytest.fixture
def listed(settings):
    settings.TRUSTED_PROXIES = ["10.0.0.0/24", "2001:db8::/64"]


def said(proto: str = "https", host: str = "credits.example.org", client: str = "203.0.113.9"):
    return {"x_forwarded_proto": proto, "x_forwarded_host": host, "x_forwarded_for": client}


def test_what_a_listed_proxy_says_is_where_clients_are(settings, listed):
    settings.PUBLIC_URL = ""
    asked = request("127.0.0.1:8000", **said())

    assert asked.origin() == HTTPS
    assert asked.client == "203.0.113.9"
    asked.require_pollable_origin()
    assert origin.finding() == ""


@pytest.mark.parametrize("peer", ["10.0.1.7", "203.0.113.9", "::1", "2001:db8:0:1::7"])
def test_what_anybody_else_says_was_never_said(settings, listed, peer):
    settings.PUBLIC_URL = ""
    asked = request(peer=peer, **said(host="evil.example"))

    assert asked.origin() == "http://credits.example.org"
    assert asked.client == peer


@pytest.mark.parametrize(
    ("addresses", "client"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("evil, 203.0.113.9", "203.0.113.9"),
        ("6.6.6.6, 203.0.113.9, 10.0.0.8", "203.0.113.9"),
        ("6.6.6.6, 203.0.113.9:4711", "203.0.113.9"),
        ("[2001:db8:1::7]:4711", "2001:db8:1::7"),
        ("2001:db8:1::7, 2001:db8::9", "2001:db8:1::7"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("203.0.113.9, unknown", OURS),
        ("", OURS),
        ("10.0.0.8", OURS),
    ],
)
def test_the_client_is_the_last_address_that_is_not_ours(listed, addresses, client):
    assert request(x_forwarded_for=addresses).client == client


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x_forwarded_proto", "gopher"),
        ("x_forwarded_proto", ""),
        ("x_forwarded_host", "evil.example/path"),
        ("x_forwarded_host", "me@evil.example"),
        ("x_forwarded_host", "a b"),
        ("x_forwarded_host", "evil.example:99999"),
        ("x_forwarded_host", "[::::]"),
        ("x_forwarded_host", "évil.example"),
        ("x_forwarded_host", ""),
    ],
)
def test_what_a_proxy_does_not_say_readably_stays_as_it_is_seen(settings, listed, name, value):
    settings.PUBLIC_URL = ""

    assert request(**{name: value}).origin() == "http://credits.example.org"


def test_of_two_proxies_in_a_row_the_nearer_counts(settings, listed):
    settings.PUBLIC_URL = ""
    asked = request(**said(proto="http, https", host="evil.example, credits.example.org"))

    assert asked.origin() == HTTPS


WRONG = {
    "a proxy that is not listed says https": ("", {"x_forwarded_proto": "https"}),
    "so it does in another header": ("", {"front_end_https": "on"}),
    "and in another": ("", {"x_forwarded_ssl": "on"}),
    "and in the standard one": ("", {"forwarded": 'for=203.0.113.9;proto="https"'}),
    "PUBLIC_URL forgets the s": ("http://credits.example.org", {"x_forwarded_proto": "https"}),
    "the port says https": ("", {"host": "credits.example.org:443"}),
    "the port says it, and PUBLIC_URL does not": (
        "http://credits.example.org",
        {"host": "credits.example.org:443"},
    ),
    "another host is asked": ("", {"host": "10.0.0.9:8000", "x_forwarded_host": "c.example.org"}),
    "PUBLIC_URL is this machine": ("http://localhost:8000", {}),
    "an address of this machine for one from afar": (
        "",
        {"host": "127.0.0.1:8000", "x_forwarded_for": "203.0.113.9"},
    ),
}


@pytest.mark.parametrize(("public_url", "given"), WRONG.values(), ids=WRONG.keys())
def test_an_address_that_leads_nowhere_is_refused_and_told(settings, public_url, given):
    settings.PUBLIC_URL, settings.TRUSTED_PROXIES = public_url, []

    with pytest.raises(Misconfigured) as refused:
        request(**given).require_pollable_origin()

    assert refused.value.status == 403, "no client tries again"
    assert "PUBLIC_URL" in str(refused.value)
    assert origin.finding() in str(refused.value)
    assert origin.finding()


def test_a_listed_proxy_that_says_https_and_a_public_url_that_does_not(settings, listed):
    settings.PUBLIC_URL = "http://credits.example.org"

    with pytest.raises(Misconfigured):
        request(**said()).require_pollable_origin()


FINE = {
    "nothing says otherwise": ("", {}),
    "a port of one's own": ("", {"host": "credits.example.org:8000"}),
    "PUBLIC_URL says it": (HTTPS, {"x_forwarded_proto": "https", "host": "10.0.0.9:8000"}),
    "a proxy that says http": ("", {"x_forwarded_proto": "http"}),
    "on one machine": ("", {"host": "127.0.0.1:8000"}),
    "on one machine, through a proxy there": (
        "",
        {"host": "localhost:8000", "x_forwarded_for": "127.0.0.1"},
    ),
    "two hosts of ours": (HTTPS, {"host": "other.example.org", "x_forwarded_host": "o.example"}),
}


@pytest.mark.parametrize(("public_url", "given"), FINE.values(), ids=FINE.keys())
def test_an_address_against_which_nothing_speaks_is_handed_out(settings, public_url, given):
    settings.PUBLIC_URL, settings.TRUSTED_PROXIES = public_url, []

    request(**given).require_pollable_origin()

    assert origin.finding() == ""


def test_a_finding_is_forgotten_after_an_hour(settings, monkeypatch):
    settings.PUBLIC_URL = ""
    with pytest.raises(Misconfigured):
        request("credits.example.org:443").require_pollable_origin()
    now = origin.time.monotonic()

    monkeypatch.setattr(origin.time, "monotonic", lambda: now + origin.REMEMBERED_SECONDS + 1)

    assert origin.finding() == ""


def test_an_older_client_may_name_no_host_where_we_know_who_we_are(settings):
    settings.PUBLIC_URL = ""
    with pytest.raises(InvalidRequest):
        origin.check_host(request(""))

    settings.PUBLIC_URL = HTTPS
    origin.check_host(request(""))


async def test_ready_tells_what_was_found(stage, settings):
    settings.PUBLIC_URL = ""
    assert (await stage.get("/ready")).json()["public_url"] == "fine"
    with pytest.raises(Misconfigured):
        request("credits.example.org:443").require_pollable_origin()

    answer = await stage.get("/ready")

    assert answer.status == 200, "who asks on another way may be served well"
    assert "credits.example.org:443" in answer.json()["public_url"]


async def test_a_strangers_header_is_not_told_as_the_platforms_state(stage, settings):
    """Whoever has no living key says nothing there, and nobody puts words of their own there."""
    settings.PUBLIC_URL = ""
    member = await stage.member()
    invented = {"X-Forwarded-Host": "buy-cheap.example"}
    invented_key = {"X-API-KEY": member.key[:8] + "0" * 56 + keys.checksum("comfyui-" + "0" * 56)}

    for headers, status in (
        (invented, 401), ({**invented, **invented_key}, 401),
        ({**invented, **member.headers}, 403),
    ):  # fmt: skip
        assert (await stage.get("/ready")).json()["public_url"] == "fine"
        answer = await stage.post(ULTRA, None, json={"prompt": "x"}, headers=headers)
        assert answer.status == status

    told = (await stage.get("/ready")).json()["public_url"]
    assert told != "fine"
    assert "buy-cheap" not in told


async def test_through_a_listed_proxy_a_job_is_polled_where_its_client_is(stage, settings):
    settings.ALLOWED_HOSTS = ["credits.example.org"]
    settings.TRUSTED_PROXIES = ["127.0.0.1"]
    member = await stage.member()
    headers = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "credits.example.org"}

    answer = await stage.post(ULTRA, member, json={"prompt": "x"}, headers=headers)

    assert answer.json()["polling_url"].startswith(f"{HTTPS}/proxy/bfl/")
    evil = {**headers, "X-Forwarded-Host": "evil.example"}
    assert (await stage.post(ULTRA, member, json={"prompt": "x"}, headers=evil)).status == 400
