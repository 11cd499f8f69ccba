"""From where people may sign in: the matcher by table and by property, the doors, the commands."""

import json
import re
import uuid
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db import IntegrityError, transaction
from django.http import HttpResponse
from django.test import Client
from django.urls import get_resolver
from django.urls.resolvers import URLResolver
from hypothesis import given
from hypothesis import strategies as st

from accounts import doors, origins, status
from accounts.models import AllowedOrigin, RefusedOrigin, User
from audit.models import Event
from common.errors import InvalidRequest, NotFound, OriginNotAllowed
from desk import roles

ROOT = Path(__file__).parents[2]
STAFF = uuid.UUID(int=7)


def allow(pattern):
    AllowedOrigin.objects.create(pattern=pattern, added_by=STAFF, reason="a test")


@pytest.fixture
def table(db, settings):
    settings.PUBLIC_URL = "https://credits.example.org"
    allow("https://comfy.example.org")
    allow("https://port.example.org:8443")
    allow("https://*.school.example")
    allow("https://xn--bcher-kva.example")


ALLOWED = [
    "https://comfy.example.org",
    "https://COMFY.Example.ORG",
    "HTTPS://comfy.example.org",
    "https://comfy.example.org.",
    "https://comfy.example.org:443",
    "https://port.example.org:8443",
    "https://a.school.example",
    "https://a.b.school.example",
    "https://bücher.example",
    "https://xn--bcher-kva.example",
    "https://credits.example.org",
    "http://localhost",
    "http://localhost:8188",
    "http://LOCALHOST:3000",
    "http://127.0.0.1:8188",
    "http://[::1]:8188",
    "http://[0:0:0:0:0:0:0:1]:8188",
    "https://localhost:8188",
]
REFUSED = [
    "",
    "null",
    "file://",
    "file:///home/comfy/index.html",
    "http://comfy.example.org",
    "http://credits.example.org",
    "https://comfy.example.org:8443",
    "https://port.example.org",
    "https://port.example.org:08443x",
    "https://example.org",
    "https://evil-comfy.example.org",
    "https://xcomfy.example.org",
    "https://comfy.example.org.evil.example",
    "https://comfy.example.org@evil.example",
    "https://me:you@comfy.example.org",
    "https://comfy.example.org#@evil.example",
    "https://comfy.example.org?x",
    "https://comfy.example.org/",
    "https://comfy.example.org/x",
    "https://comfy.example.org\\@evil.example",
    "https://comfy.example.org\n.evil.example",
    "https://comfy.example.org https://evil.example",
    "https://comfy.example.org,https://evil.example",
    "https://comfy.example.org:",
    "https://comfy.example.org:0",
    "https://comfy.example.org:65536",
    "https://comfy.example.org:999999999",
    "https://comfy..example.org",
    "https://.comfy.example.org",
    "https://comfy.example.org..",
    "https://school.example",
    "https://notschool.example",
    "https://a.school.example.evil.example",
    "https://*.school.example",
    "https://a.school.example:8443",
    "https://bücher.example.evil.example",
    "https://bûcher.example",
    "https://c\u043emfy.example.org",  # A Cyrillic letter.
    "https://comfy.example.org\u200b.evil.example",
    "http\u017f://comfy.example.org",  # A long s, which is an S in another case.
    "https://gross.example.",
    "https://gro\u00df.example",
    "https://xn--gro-7ka.example",
    "http://localhost.evil.example",
    "http://localhost@evil.example",
    "http://evil.localhost:8188",
    "http://127.0.0.1.evil.example",
    "http://127.0.0.2:8188",
    "http://127.1:8188",
    "http://0x7f.0.0.1:8188",
    "http://2130706433:8188",
    "http://0.0.0.0:8188",
    "http://[::ffff:127.0.0.1]:8188",
    "http://[::2]:8188",
    "http://[::1",
    "http://192.168.1.5:8188",
    "ftp://localhost",
    "ws://localhost:8188",
    "javascript://comfy.example.org",
    "comfy.example.org",
    "//comfy.example.org",
    "https:comfy.example.org",
    "https://" + "a" * 300 + ".school.example",
    "https://" + "a." * 140 + "school.example",
]


@pytest.mark.parametrize("text", ALLOWED)
def test_what_is_in_the_table_is_allowed_however_it_is_written(table, text):
    assert origins.is_allowed(text)


@pytest.mark.parametrize("text", REFUSED)
def test_what_only_looks_like_it_is_refused(table, text):
    assert not origins.is_allowed(text)
    with pytest.raises(OriginNotAllowed, match="key works from anywhere"):
        origins.check(text)


def test_an_insecure_public_url_lets_nobody_in_from_itself(db, settings):
    settings.PUBLIC_URL = "http://credits.internal"

    assert not origins.is_allowed("http://credits.internal")


HOSTS = st.from_regex(r"[a-z][a-z0-9-]{0,8}[a-z](\.[a-z][a-z0-9]{0,6}){0,3}", fullmatch=True)
PARTS = st.sampled_from(
    ["https://", "http://", "comfy.example.org", "example", ".", ":", "@", "/", "\\", "#", "?", "*",
     "localhost", "127.0.0.1", "[::1]", "443", "80", "8188", "\x00", " ", "é", "%2e", "xn--"]
)  # fmt: skip


@given(st.lists(PARTS, max_size=8).map("".join) | st.text(max_size=40))
def test_whatever_is_sent_is_read_as_one_origin_or_none(text):
    found = origins.read(text)

    if found is not None:
        assert origins.read(str(found)) == found, "its one form is a fixed point"
        assert not re.search(r"[\s@/\\#?*%A-Z]", str(found).partition("://")[2])
        assert text.lower().startswith(f"{found.scheme}://")


@given(HOSTS, HOSTS, st.integers(1, 65535))
def test_a_pattern_allows_itself_and_what_lies_below_its_star_alone(host, other, port):
    exact = origins.Origin("https", host, port)
    below = exact._replace(host=f"{other}.{host}")
    stuck = exact._replace(host=f"{other}{host}")
    star = str(exact._replace(host=f"*.{host}"))

    assert str(exact) in origins._patterns(exact)
    assert star not in origins._patterns(exact)
    assert star not in origins._patterns(stuck) or stuck.host.endswith(f".{host}")
    if "." in host:
        assert star in origins._patterns(below)


# --- The table --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        (" https://Comfy.Example.org/ ", "https://comfy.example.org"),
        ("https://comfy.example.org:443", "https://comfy.example.org"),
        ("https://*.Example.org", "https://*.example.org"),
        ("https://*.bücher.example", "https://*.xn--bcher-kva.example"),
        ("https://xn--gro-7ka.example", "https://xn--gro-7ka.example"),
        ("http://localhost:8188", "http://localhost:8188"),
    ],
)
def test_an_origin_is_kept_in_its_one_form(written, kept):
    assert origins.pattern(written) == kept


@pytest.mark.parametrize(
    "wrong",
    [
        "", "comfy.example.org", "https://comfy.example.org/x", "http://192.168.1.5:8188",
        "http://*.localhost", "https://*", "https://*.org", "https://*.*.example.org",
        "https://a.*.example.org", "https://*.127.0.0.1", "https://*.[::1]", "null",
        "https://*.example.org@evil.example", "https://*.example.org:99999",
        # Browsers know these by other names than Python's IDNA does: another site would be allowed.
        "https://gro\u00df.example", "https://*.gro\u1e9e.example", "https://\u03c2.example",
        "https://a\u200db.example", "https://a\u200cb.example", "http\u017f://a.example",
    ],
)  # fmt: skip
def test_what_could_not_be_matched_safely_is_not_taken(db, wrong):
    with pytest.raises(InvalidRequest):
        origins.allow(wrong, by=STAFF, reason="x")


@pytest.mark.parametrize(
    ("name", "row"),
    [
        ("allowed_origin_is_secure", {"pattern": "http://comfy.example.org"}),
        ("allowed_origin_is_secure", {"pattern": "http://localhost.evil.example"}),
        ("allowed_origin_is_secure", {"pattern": "null"}),
        ("allowed_origin_has_a_reason", {"pattern": "https://a.example", "reason": ""}),
        ("accounts_allowedorigin_pattern_key", {"pattern": "https://twice.example"}),
    ],
)
def test_by_hand_the_database_refuses(db, name, row):
    allow("https://twice.example")
    with pytest.raises(IntegrityError, match=name), transaction.atomic():
        AllowedOrigin.objects.create(**{"added_by": STAFF, "reason": "x", **row})


def test_a_refused_origin_is_counted_with_its_first_and_last_time(db):
    for text in ["https://New.example", "https://new.example:443", "https://new.example."]:
        with pytest.raises(OriginNotAllowed):
            origins.check(text)

    (row,) = RefusedOrigin.objects.all()
    assert (row.origin, row.tries) == ("https://new.example", 3)
    assert row.first_at <= row.last_at


def test_who_makes_up_origins_fills_no_table(db, monkeypatch):
    monkeypatch.setattr(origins, "MOST_REFUSED", 3)
    for n in [0, 1, 2, 3, 4, 0, 0]:
        with pytest.raises(OriginNotAllowed):
            origins.check(f"https://n{n}.example")

    rows = RefusedOrigin.objects.order_by("origin").values_list("origin", "tries")
    assert list(rows) == [(f"https://n{n}.example", 3 if n == 0 else 1) for n in range(3)]


def test_two_who_are_refused_at_once_are_counted_twice(committed, at_once):
    origin = f"https://{uuid.uuid4().hex}.example"

    def refused(_):
        with pytest.raises(OriginNotAllowed):
            origins.check(origin)

    at_once(refused, range(6))
    assert RefusedOrigin.objects.get(origin=origin).tries == 6
    RefusedOrigin.objects.filter(origin=origin).delete()


# --- The commands -----------------------------------------------------------------------------


def told(*words):
    out = StringIO()
    call_command("origins", *words, stdout=out)
    return out.getvalue()


def test_staff_allow_what_was_refused_with_one_command(bob):
    status.appoint(bob.user, by=None)
    roles.assign(bob.user, ["support"], by=None)
    with pytest.raises(OriginNotAllowed):
        origins.check("https://new.example")
    (seen,) = json.loads(told("refused", "--json"))
    by = ("--by", bob.user.email, "--reason", "they asked")

    assert "may sign in" in told("allow", seen["origin"], *by)
    assert "as before" in told("allow", seen["origin"], *by)

    origins.check("https://new.example")
    assert told("refused") == ""
    assert "they asked" in told("list")
    told("remove", seen["origin"], *by)
    assert not origins.is_allowed("https://new.example")
    actions = Event.objects.filter(target="https://new.example").order_by("id")
    assert list(actions.values_list("action", "actor_id", "source")) == [
        ("origin.allowed", bob.user.pk, "command"),
        ("origin.removed", bob.user.pk, "command"),
    ]
    with pytest.raises(NotFound):
        origins.remove(seen["origin"], by=bob.user.pk, reason="again")


def test_what_is_hidden_is_shown_again_when_it_is_tried_again(db):
    for _ in range(2):
        with pytest.raises(OriginNotAllowed):
            origins.check("https://new.example")
        assert "https://new.example" in told("refused")
        told("hide", "https://new.example")
        assert told("refused") == ""
        assert "https://new.example" in told("refused", "--all")


# --- The doors --------------------------------------------------------------------------------


def paths(patterns=None, before="/"):
    """Each address below the doors' prefixes, with something for each part that varies."""
    for each in get_resolver().url_patterns if patterns is None else patterns:
        route = before + re.sub(r"<[^>]+>", "1", str(each.pattern))
        if isinstance(each, URLResolver):
            yield from paths(each.url_patterns, route)
        elif route.startswith(doors.PREFIXES) and not route.startswith(doors.OF_PROGRAMS):
            yield route


METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


@pytest.mark.slow
def test_at_every_door_by_every_method_a_foreign_origin_is_refused(db):
    found = sorted(set(paths()))
    assert len(found) > 60
    assert "/account/login/" in found
    assert "/_allauth/browser/v1/auth/login" in found
    client = Client(SERVER_NAME="localhost")

    let_in = [
        (method, path)
        for path in found
        for method in METHODS
        if client.generic(method, path, headers={"Origin": "https://evil.example"}).status_code
        != 403
    ]

    assert let_in == []
    assert RefusedOrigin.objects.get(origin="https://evil.example").tries == len(found) * 7


@pytest.mark.parametrize("host", ["comfy.example.org", "10.0.0.5:8000", "localhost.evil.example"])
def test_where_no_origin_is_sent_our_own_address_is_judged(client, db, host):
    answer = client.get("/account/login/", headers={"Host": host})

    assert answer.status_code == 403
    assert answer.json()["error"] == answer.json()["code"] == "origin_not_allowed"
    assert f"http://{host}" in answer.json()["message"]


def test_a_browser_reads_a_page_and_nothing_of_the_origin_is_markup(client, db):
    answer = client.get(
        "/account/login/",
        headers={"Host": "localhost", "Accept": "text/html", "Origin": "<script>alert(1)</script>"},
    )

    assert answer.status_code == 403
    assert "key works from anywhere" in answer.content.decode()
    assert "<script>alert" not in answer.content.decode()


def test_allauths_bypass_by_token_is_not_there():
    names = [str(path) for path in paths()]

    assert not [name for name in names if "login/token" in name]
    assert not [name for name in names if "/app/" in name]


def test_a_social_sign_up_from_a_foreign_origin_leaves_nothing(client, db):
    """The adapter alone was too late: person and account were saved before it was asked."""
    before = User.objects.count()

    answer = client.get(
        "/account/google/login/callback/?code=x&state=y", headers={"Host": "evil.example"}
    )

    assert (answer.status_code, User.objects.count()) == (403, before)


@pytest.mark.parametrize("step", ["password", "totp"])
def test_the_adapter_asks_again_where_the_first_layer_is_missing(ines, settings, step):
    """A second step resumes at `login`: it is asked there, too."""
    from test_accounts import totp_of

    ines.come_in()
    secret = None
    if step == "totp":
        ines.post("reauthenticate/", password="four plain words of mine")
        secret = ines.get("2fa/totp/activate/").context["form"].secret
        ines.post("2fa/totp/activate/", code=totp_of(secret))
    ines.browser.logout()
    settings.MIDDLEWARE = [each for each in settings.MIDDLEWARE if "Doors" not in each]
    settings.CSRF_TRUSTED_ORIGINS = ["https://evil.example"]
    browser = Client(SERVER_NAME="localhost")
    foreign = {"Origin": "https://evil.example"} if step == "password" else {}

    form = {"login": ines.email, "password": "four plain words of mine"}
    answer = browser.post("/account/login/", form, headers=foreign)
    if step == "totp":
        assert answer.status_code == 302
        foreign = {"Origin": "https://evil.example"}
        from django.core.cache import cache

        cache.clear()  # The code was used to switch it on; that is not what is tested here.
        answer = browser.post(
            "/account/2fa/authenticate/", {"code": totp_of(secret)}, headers=foreign
        )

    assert answer.status_code == 403
    assert "_auth_user_id" not in browser.session


def test_from_a_foreign_origin_a_password_does_not_even_lead_to_the_second_step(ines, settings):
    """There, the answer would tell that the password is right."""
    from test_accounts import totp_of

    ines.come_in()
    ines.post("reauthenticate/", password="four plain words of mine")
    secret = ines.get("2fa/totp/activate/").context["form"].secret
    ines.post("2fa/totp/activate/", code=totp_of(secret))
    settings.MIDDLEWARE = [each for each in settings.MIDDLEWARE if "Doors" not in each]
    settings.CSRF_TRUSTED_ORIGINS = ["https://evil.example"]
    browser = Client(SERVER_NAME="localhost")

    form = {"login": ines.email, "password": "four plain words of mine"}
    answer = browser.post("/account/login/", form, headers={"Origin": "https://evil.example"})

    assert answer.status_code == 403
    assert browser.get("/account/2fa/authenticate/").status_code == 302, "no step is begun"


def test_nothing_else_of_ours_signs_anybody_in():
    """Django's `login` is called in one place: our adapter's."""
    product = ("platform", "common", "audit", "outbox", "credits", "accounts", "apikeys", "proxy")
    callers = {
        str(path.relative_to(ROOT))
        for app in product
        for path in (ROOT / app).rglob("*.py")
        if re.search(
            r"\b(django_login|auth\.login|auth import .*\blogin\b)|\.login\(", path.read_text()
        )
    }

    assert callers == {"accounts/adapters.py"}


def test_referrers_are_never_silenced_so_browsers_name_their_origin(ines):
    assert ines.get("login/")["Referrer-Policy"] == "same-origin"


def test_pages_are_read_by_no_other_site_and_the_api_by_all(ines, alice):
    foreign = {"Origin": "http://localhost:8188"}
    page = ines.browser.get("/account/login/", headers=foreign)
    api = ines.browser.get("/customers/me", headers={**foreign, "X-API-KEY": alice.key})

    assert "Access-Control-Allow-Origin" not in page
    assert api["Access-Control-Allow-Origin"] == "*"
    assert "Access-Control-Allow-Credentials" not in api


def test_a_key_works_from_anywhere(alice):
    everywhere = {"Origin": "http://192.168.1.5:8188", "X-API-KEY": alice.key}

    assert Client().get("/customers/me", headers=everywhere).status_code == 200


def test_a_household_knocks_so_often_and_no_more(db, monkeypatch):
    monkeypatch.setattr(doors, "TRIES", 3)
    client = Client(SERVER_NAME="localhost")

    asked = [client.post("/account/logout/") for _ in range(4)]
    other = client.post("/account/logout/", REMOTE_ADDR="203.0.113.8")

    assert [answer.status_code for answer in asked] == [302, 302, 302, 429]
    assert 0 < int(asked[-1]["Retry-After"]) <= 61
    assert other.status_code == 302
    assert client.get("/account/login/").status_code == 200, "reading is no try"


def test_who_was_slower_than_a_twin_is_told_so(rf):
    def view(request):
        raise IntegrityError("unique_verified_email")

    request = rf.post("/account/confirm-email/")

    answer = doors.Doors(lambda _: HttpResponse()).process_exception(request, IntegrityError())
    assert answer.status_code == 409
    assert doors.Doors(view).process_exception(rf.post("/v1/keys"), IntegrityError()) is None


def test_a_fault_of_our_own_is_not_taken_for_a_wrong_passkey(rf):
    request = rf.post("/account/2fa/webauthn/login/")
    with pytest.raises(KeyError) as ours:
        {}["ours"]

    assert doors.Doors(HttpResponse).process_exception(request, ours.value) is None
