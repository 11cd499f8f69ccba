"""Staff look at a member's pages: to read, for a while, nowhere else, and the member knows."""

import re
import time
import uuid

import pytest
from call_rows import call_of
from django.conf import settings
from django.db import connection
from django.test import Client
from django.urls import get_resolver, reverse
from django.urls.resolvers import URLResolver

from accounts.models import User
from apikeys.models import ApiKey
from audit.models import Event
from desk import roles
from staff import viewing


def look(staff, member, reason="they cannot find a charge"):
    return staff.post(f"customers/{member.workspace_id}/as/{member.user.pk}", reason=reason)


def routes(patterns=None, before="/"):
    for each in get_resolver().url_patterns if patterns is None else patterns:
        route = before + str(each.pattern).removeprefix("^")
        if isinstance(each, URLResolver):
            yield from routes(each.url_patterns, route)
        else:
            yield route


def path_of(route, member):
    known = {"uuid": str(member.user.pk), "int": "1", "slug": "workspace", "path": "x", "str": "x"}
    path = re.sub(r"<(\w+):\w+>", lambda found: known.get(found[1], "x"), route)
    return re.sub(r"<\w+>|\(\?P[^)]*\)|[$?^]|\\Z", "x", path).replace("\\", "")


@pytest.fixture
def looked(sam, alice):
    """Sam looks as Alice."""
    call_of(alice)
    answer = look(sam, alice)
    assert answer.status_code == 302, answer.content.decode()
    return sam


def test_who_looks_reads_the_members_pages_and_is_told_so_on_each(looked, alice):
    for path in ("", "usage", "credits", "keys", "team", "limits", "refusals", "runs", "settings",
                 "prices", "quote", "keys/new", f"keys/{alice.api_key_record.pk}"):  # fmt: skip
        answer = looked.browser.get(f"/my/{path}")
        said = answer.content.decode()
        assert answer.status_code == 200, (path, said)
        assert f"You look as {alice.user.email}" in said, path
        assert alice.key not in said
    assert looked.browser.get("/my/usage.csv").status_code == 200


def test_who_looks_takes_no_address_along_that_shows_something_to_anybody(looked, alice):
    made = call_of(alice)
    answer = looked.browser.get(f"/my/usage/{made.pk}/share")

    assert answer.status_code == 403
    assert "/receipts/" not in answer.content.decode()


def test_nothing_is_changed_at_any_address_by_any_method(looked, alice, bob):
    """Every address of the site, but those where staff act as themselves."""
    before = _state()
    tried = 0
    for route in sorted(set(routes())):
        path = path_of(route, alice)
        if path.startswith((*viewing.OWN, "/proxy", "/account/logout")):
            continue
        is_shown = path.startswith(viewing.SEEN)
        for method in ("POST", "PUT", "PATCH", "DELETE") if is_shown else ("POST",):
            answer = looked.browser.generic(method, path, b"{}", "application/json")
            assert answer.status_code == 403, (method, path, answer.status_code)
            tried += 1
        answer = looked.browser.get(path)
        assert is_shown or answer.status_code == 403, (path, answer.status_code)

    assert tried > 200
    assert _state() == before


def _state():
    with connection.cursor() as cursor:
        cursor.execute("""
            SELECT (SELECT count(*) FROM audit_event), (SELECT count(*) FROM apikeys_apikey),
                   (SELECT count(*) FROM accounts_membership), (SELECT sum(balance_micros)
                   FROM credits_account), (SELECT count(*) FROM usersessions_usersession)
        """)
        return cursor.fetchone()


def test_a_page_that_would_write_is_refused_by_the_database_and_writes_nothing(
    looked, alice, monkeypatch
):
    from dashboard import home

    monkeypatch.setattr(home, "parts", lambda wallet: ApiKey.objects.update(name="changed"))

    answer = looked.browser.get("/my/")

    assert (answer.status_code, b"nothing can be changed" in answer.content) == (403, True)
    assert not ApiKey.objects.filter(name="changed").exists()
    assert looked.browser.get("/my/keys").status_code == 200


def test_the_member_reads_who_looked_and_why_and_so_does_the_log(looked, alice, axel):
    looked.post("viewing/stop")
    browser = Client(SERVER_NAME="localhost")
    browser.force_login(alice.user, "allauth.account.auth_backends.AuthenticationBackend")

    said = browser.get(reverse("security")).content.decode()

    assert "Your pages looked at by staff" in said
    assert "they cannot find a charge" in said
    assert "Staff stopped looking" in said
    assert looked.user.email not in said
    assert "member.viewed" in axel.text("log")


def test_it_ends_by_the_button(looked, alice):
    assert looked.post("viewing/stop").status_code == 302

    assert alice.user.email not in looked.browser.get("/my/").content.decode()


def test_it_ends_after_its_time(looked, alice, monkeypatch):
    later = time.time() + viewing.SECONDS + 1
    monkeypatch.setattr(viewing.time, "time", lambda: later)

    assert looked.browser.get("/my/")["Location"] == "/staff/"
    assert alice.user.email not in looked.browser.get("/my/").content.decode()
    assert Event.objects.filter(action="member.view_ended", subject_id=alice.user.pk).count() == 1


def test_it_ends_with_the_right_to_it(looked, alice):
    roles.assign(looked.user, ["auditor"], by=None)

    assert looked.browser.get("/my/")["Location"] == "/staff/"


def test_it_ends_when_the_member_is_gone_from_there(looked, alice):
    User.objects.filter(pk=alice.user.pk).update(is_active=False)

    assert looked.browser.get("/my/")["Location"] == "/staff/"


def test_who_looks_stays_themselves_at_the_pages_of_staff_and_may_sign_out(looked, alice):
    assert looked.user.name in looked.text("")
    assert looked.browser.get("/account/logout/").status_code == 200
    assert settings.MIDDLEWARE[-1] == "staff.viewing.AsMember"


def test_nobody_looks_as_staff_or_as_who_is_not_of_that_customer(sam, fay, alice, bob):
    own = fay.user.personal_workspace.pk

    refused = sam.post(f"customers/{own}/as/{fay.user.pk}", reason="x")
    stranger = sam.post(f"customers/{alice.workspace_id}/as/{bob.user.pk}", reason="x")
    nobody = sam.post(f"customers/{alice.workspace_id}/as/{uuid.uuid4()}", reason="x")
    silent = sam.post(f"customers/{alice.workspace_id}/as/{alice.user.pk}", reason="")

    assert refused.status_code == 400
    assert (stranger.status_code, nobody.status_code, silent.status_code) == (404, 404, 400)
    assert viewing.SESSION_KEY not in sam.browser.session


@pytest.mark.parametrize("role", ["finance", "auditor"])
def test_who_may_not_help_looks_as_nobody(of_staff, role, alice):
    assert look(of_staff(role), alice).status_code == 403


def test_an_unknown_address_is_a_page_to_a_browser_and_json_to_a_program(sam, alice):
    html = {"HTTP_ACCEPT": "text/html,*/*"}
    anonymous = Client(SERVER_NAME="localhost")

    for path in ("/staff/nothing", "/staff/customers/nobody", "/my", "/account/nothing"):
        shown = sam.browser.get(path, **html)
        assert (shown.status_code, b"<h1>" in shown.content) == (404, True), path
    assert b"There is no page at this address" in anonymous.get("/my", **html).content
    assert sam.browser.get("/account/nothing").json()["error"] == "not_found"
    assert anonymous.get("/nothing", **html).json()["error"] == "not_found"
