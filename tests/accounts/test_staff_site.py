"""The admin site: the same login as everybody's, and a second factor in this very session."""

import pytest
from django.core.cache import cache
from test_accounts import PASSWORD, totp_of

from accounts import status
from accounts.models import User
from desk import roles


@pytest.fixture
def rita(visit):
    """Rita is of our staff, with an authenticator app; she is signed out."""
    rita = visit()
    rita.come_in()
    rita.post("reauthenticate/", password=PASSWORD)
    rita.secret = rita.get("2fa/totp/activate/").context["form"].secret
    rita.post("2fa/totp/activate/", code=totp_of(rita.secret))
    status.appoint(rita.user, by=None)
    roles.assign(rita.user, roles.ROLES, by=None)
    rita.browser.logout()
    cache.clear()
    return rita


def staff(visitor, path="", **more):
    return visitor.browser.get(f"/staff/{path}", **more)


def test_staff_who_show_a_second_factor_are_let_in(rita):
    rita.sign_in()
    assert staff(rita).status_code == 302
    rita.post("2fa/authenticate/", code=totp_of(rita.secret))

    answer = staff(rita)

    assert answer.status_code == 200
    assert "default-src 'none'" in answer["Content-Security-Policy"]


def test_djangos_own_form_is_nowhere(rita, ines):
    """It logs in past second factor and limits."""
    form = {"username": rita.email, "password": PASSWORD, "next": "/staff/"}

    for visitor in (rita, ines):
        answer = visitor.browser.post("/staff/login/", form)
        assert (answer.status_code, "_auth_user_id" in visitor.browser.session) == (302, False)
        assert answer["Location"].startswith("/account/login/")


def test_who_is_no_staff_is_refused_and_not_asked_for_another_password(ines):
    ines.come_in()

    answer = staff(ines, "login/")

    assert (answer.status_code, answer.json()["error"]) == (403, "access_disabled")
    assert b"<form" not in answer.content


def test_staff_without_a_second_factor_are_led_to_set_one_up(ines):
    ines.come_in()
    status.appoint(ines.user, by=None)

    answer = staff(ines, "login/")

    assert answer["Location"] == "/account/"
    assert "second factor" in ines.get("").content.decode()
    assert staff(ines).status_code == 302


def test_a_factor_that_was_not_shown_in_this_session_is_asked_for(rita):
    """As for who signed in before the factor was set up."""
    rita.browser.force_login(rita.user, "allauth.account.auth_backends.AuthenticationBackend")
    assert rita.get("").status_code == 200

    assert staff(rita).status_code == 302
    asked = staff(rita, "login/")
    assert asked["Location"].startswith("/account/2fa/reauthenticate/")

    rita.browser.post(asked["Location"], {"code": totp_of(rita.secret)})
    assert staff(rita).status_code == 200


@pytest.mark.parametrize("change", [{"is_staff": False}, {"is_active": False}])
def test_who_is_no_staff_any_more_is_out_at_once(rita, change):
    rita.sign_in()
    rita.post("2fa/authenticate/", code=totp_of(rita.secret))
    assert staff(rita).status_code == 200

    User.objects.filter(pk=rita.user.pk).update(**change)

    assert staff(rita).status_code == 302


def test_what_allauth_would_show_of_secrets_is_not_there(rita):
    rita.sign_in()
    rita.post("2fa/authenticate/", code=totp_of(rita.secret))

    assert staff(rita, "mfa/authenticator/").status_code == 404
    assert staff(rita, "account/emailaddress/").status_code == 404
