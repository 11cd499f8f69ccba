"""Whatever changes how one signs in ends what programs do for one: at the pages that do it."""

import pytest
from allauth.mfa.models import Authenticator
from django.core.cache import cache
from django.test import Client
from signin_flow import Flow
from test_accounts import PASSWORD, totp_of

from accounts.models import SignIn
from audit.models import Event

OTHER = "four other words of mine"


def changed(ines):
    ines.post("password/change/", oldpassword=PASSWORD, password1=OTHER, password2=OTHER)


def set_for_the_first_time(ines):
    user = ines.user
    user.set_unusable_password()
    user.save()
    ines.browser.force_login(user, "allauth.account.auth_backends.AuthenticationBackend")
    ines.post("reauthenticate/code/", recipient=ines.email)
    ines.post("reauthenticate/code/confirm/", code=ines.code())
    ines.post("password/set/", password1=OTHER, password2=OTHER)


def reset(ines):
    ines.browser = Client(SERVER_NAME="localhost")
    ines.post("password/reset/", email=ines.email)
    ines.post("password/reset/confirm/", code=ines.code())
    ines.post("password/reset/complete/", password1=OTHER, password2=OTHER)


def app_removed(ines):
    ines.post("reauthenticate/", password=PASSWORD)
    ines.post("2fa/totp/deactivate/")


def passkey_removed(ines):
    ines.post("reauthenticate/", password=PASSWORD)
    key = Authenticator.objects.get(user=ines.user, type=Authenticator.Type.WEBAUTHN)
    ines.post(f"2fa/webauthn/keys/{key.pk}/remove/")


@pytest.mark.parametrize(
    ("act", "noted"),
    [
        (changed, "password.changed"),
        (set_for_the_first_time, "password.changed"),
        (reset, "password.reset"),
        (app_removed, "factor.removed"),
        (passkey_removed, "factor.removed"),
    ],
)
def test_it_ends_what_acts_for_them(ines, act, noted):
    ines.come_in()
    ines.post("reauthenticate/", password=PASSWORD)
    if act is app_removed:
        secret = ines.get("2fa/totp/activate/").context["form"].secret
        ines.post("2fa/totp/activate/", code=totp_of(secret))
    if act is passkey_removed:
        passkey = {"type": Authenticator.Type.WEBAUTHN, "data": {"name": "laptop"}}
        Authenticator.objects.create(user=ines.user, **passkey)
    token = Flow(ines.browser).signed_in()["access_token"]
    cache.clear()  # The codes of before were sent a while ago.

    def is_heard():
        bearer = {"Authorization": f"Bearer {token}"}
        return Client().get("/customers/balance", headers=bearer).status_code == 200

    assert is_heard()
    act(ines)

    assert Event.objects.filter(subject_id=ines.user.pk, action=noted).exists(), "it was done"
    assert SignIn.objects.get(user=ines.user).why_ended == "how one signs in was changed"
    assert not is_heard()
