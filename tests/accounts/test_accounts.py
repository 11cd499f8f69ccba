"""Signing up, in and out by our pages: what allauth does here, and what we make of it."""

import json
import re
import time
import uuid
from datetime import timedelta

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import hotp_value
from django.contrib.auth.hashers import Argon2PasswordHasher, identify_hasher
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts import factors, forgotten, signup
from accounts.models import AllowedOrigin, User
from audit.models import Event
from common.money import usd
from credits.models import Account, Entry
from outbox.models import Mail

PASSWORD = "four plain words of mine"


def totp_of(secret: str) -> str:
    return f"{hotp_value(secret, int(time.time()) // 30):06}"


def events(user):
    return list(
        Event.objects.filter(subject_id=user.pk).order_by("id").values_list("action", flat=True)
    )


def test_who_signs_up_and_types_the_code_is_in_and_has_a_wallet(ines, settings):
    settings.WELCOME_GRANT_MICROS = usd("2")

    assert ines.sign_up().status_code == 302
    assert not ines.is_in()
    assert ines.user.personal_workspace.wallet.balance_micros == 0
    assert ines.post("confirm-email/", code=ines.code()).status_code == 302

    assert ines.is_in()
    assert signup.is_verified(ines.user)
    assert identify_hasher(ines.user.password).algorithm == "argon2"
    assert Account.objects.get(pk=ines.user.personal_workspace.pk).balance_micros == usd("2")
    assert {"account.made", "session.began"} <= set(events(ines.user))


def test_a_code_that_did_not_come_is_sent_again_and_is_another(ines):
    ines.sign_up()
    first = ines.code()
    cache.clear()

    ines.post("confirm-email/", action="resend")

    assert ines.code() != first
    ines.post("confirm-email/", code=ines.code())
    assert ines.is_in()


def test_a_wrong_code_lets_nobody_in_and_the_third_ends_the_flow(ines):
    ines.sign_up()
    right = ines.code()
    for _ in range(3):
        ines.post("confirm-email/", code="BBBB-BBBB")

    ines.post("confirm-email/", code=right)

    assert not ines.is_in()
    assert not signup.is_verified(ines.user)


def test_whether_an_address_is_known_is_told_to_nobody_but_its_owner(ines, visit):
    ines.come_in()
    stranger, newcomer = visit(), visit()
    stranger.email = ines.email
    cache.clear()  # A mail in ten seconds is enough for one address.
    known, unknown = stranger.sign_up(), newcomer.sign_up()

    assert (known.status_code, known["Location"]) == (unknown.status_code, unknown["Location"])
    pages = [
        re.sub(rf"{who.email}|value=\"\w{{64}}\"", "", who.get("confirm-email/").content.decode())
        for who in (stranger, newcomer)
    ]
    assert pages[0] == pages[1]
    letter = ines.mails()[0]
    assert "already" in letter.subject.lower() + letter.text
    stranger.browser.logout()
    wrong, nobody = stranger.sign_in("not this one"), visit().sign_in("not this one")
    assert wrong.status_code == nobody.status_code == 200
    reset = [who.post("password/reset/", email=who.email) for who in (stranger, visit())]
    assert reset[0]["Location"] == reset[1]["Location"]


@pytest.mark.parametrize("by", ["page", "script"])
def test_a_known_address_takes_as_long_as_another_to_sign_up(ines, visit, monkeypatch, by):
    """Most of that time is the digest of a password: as many are made for each of both."""
    ines.come_in()
    stranger, newcomer = visit(), visit()
    stranger.email = ines.email
    made = []
    encode = Argon2PasswordHasher.encode
    monkeypatch.setattr(
        Argon2PasswordHasher, "encode", lambda *about: made.append(1) or encode(*about)
    )
    digests = []
    for who in (stranger, newcomer):
        cache.clear()
        made.clear()
        answer = who.sign_up() if by == "page" else sign_up_by_script(who)
        assert answer.status_code in (302, 401)
        digests.append(len(made))

    assert digests == [1, 1]


def sign_up_by_script(who):
    asked = {"email": who.email, "password": PASSWORD}
    path = "/_allauth/browser/v1/auth/signup"
    return who.browser.post(path, json.dumps(asked), content_type="application/json")


@pytest.mark.parametrize("path", ["signup/", "email/"])
def test_a_sign_that_is_younger_than_we_is_refused_with_a_sentence(ines, visit, path):
    """The database may know its small letter, and would say no to what we made of it."""
    if path == "email/":
        ines.come_in()
        ines.post("reauthenticate/", password=PASSWORD)

    page = ines.post(path, email="x@\u05ff.example", password1=PASSWORD, action_add="")

    assert page.status_code == 200
    assert "a sign that is not known here" in page.content.decode()


def test_who_signs_up_by_script_has_the_password_that_was_typed(ines):
    assert sign_up_by_script(ines).status_code == 401, "the address is to be verified"
    ines.browser.post(
        "/_allauth/browser/v1/auth/email/verify",
        json.dumps({"key": ines.code()}),
        content_type="application/json",
    )
    assert ines.is_in()
    ines.browser.logout()

    ines.sign_in()

    assert ines.is_in()


def test_a_squatted_address_is_its_owners_by_a_reset(ines, visit):
    squatter = visit()
    squatter.email = ines.email
    squatter.sign_up("the squatter's own words")
    cache.clear()

    ines.sign_up()
    assert "already" in ines.mails()[0].text
    ines.browser.logout()
    ines.post("password/reset/", email=ines.email)
    ines.post("password/reset/confirm/", code=ines.code())
    ines.post("password/reset/complete/", password1=PASSWORD, password2=PASSWORD)

    assert ines.sign_in()["Location"] == "/my/"
    assert ines.is_in()
    assert signup.is_verified(ines.user)
    squatter.get("confirm-email/")  # Their browser still waits for a code.
    squatter.get("login/")
    assert not squatter.is_in()
    squatter.browser.logout()
    assert squatter.sign_in("the squatter's own words").status_code == 200
    assert not squatter.is_in()


def test_two_who_sign_up_with_one_address_at_once_are_one_and_none_is_a_500(
    committed, visit, at_once
):
    email = f"{uuid.uuid4().hex}@example.org"

    def attempt(_):
        who = visit()
        who.email = email
        return who.sign_up().status_code

    assert set(at_once(attempt, range(6))) <= {302, 429}
    assert User.objects.filter(email=email).count() == 1


@pytest.mark.parametrize("password", ["short", "123456789012", "password1234", ""])
def test_a_password_that_is_guessed_soon_is_refused(ines, password):
    assert ines.sign_up(password).status_code == 200
    assert not User.objects.filter(email=ines.email).exists()


# --- Who may sign up --------------------------------------------------------------------------


def test_where_one_must_be_invited_nobody_else_makes_an_account(ines, settings):
    settings.SIGN_UP = "invitation"

    ines.sign_up()
    assert not User.objects.filter(email=ines.email).exists()
    headless = ines.browser.post(
        "/_allauth/browser/v1/auth/signup",
        {"email": ines.email, "password": PASSWORD},
        content_type="application/json",
    )
    assert headless.status_code == 400

    session = ines.browser.session
    session[signup.INVITED] = f"not-{ines.email}"
    session.save()
    assert "invited address" in ines.sign_up().content.decode()
    assert not User.objects.filter(email=ines.email).exists()

    session[signup.INVITED] = ines.email
    session.save()
    ines.sign_up()
    assert User.objects.filter(email=ines.email).exists()


@pytest.mark.parametrize(
    ("email", "may"),
    [
        ("ines@school.example", True),
        ("ines@SCHOOL.example", True),
        ("ines@school.example.org", False),
        ("ines@notschool.example", False),
        ("school.example@example.org", False),
    ],
)
def test_where_some_domains_are_welcome_others_are_refused_with_a_sentence(
    ines, settings, email, may
):
    settings.SIGN_UP, settings.SIGN_UP_DOMAINS = "domains", ["school.example"]
    ines.email = email

    answer = ines.sign_up()

    assert User.objects.filter(email=email.lower()).exists() is may
    assert may or "school.example" in answer.content.decode()


# --- The one truth, and the welcome -----------------------------------------------------------


def test_a_change_of_address_is_no_second_welcome(ines, settings):
    settings.WELCOME_GRANT_MICROS = usd("2")
    ines.come_in()
    old, wallet = ines.email, ines.user.personal_workspace.pk
    ines.post("reauthenticate/", password=PASSWORD)

    ines.post("email/", action_add="", email="other-" + old)
    ines.email = "other-" + old
    ines.post("confirm-email/", code=ines.code())

    assert ines.user.personal_workspace.pk == wallet
    assert not EmailAddress.objects.filter(email=old).exists()
    assert Account.objects.get(pk=wallet).balance_micros == usd("2")
    assert Entry.objects.filter(credit=wallet).count() == 1
    ines.post("logout/")
    ines.sign_in()
    assert ines.is_in()


def test_a_verified_address_of_another_site_is_welcomed_too(alice, settings):
    """It comes as a verified row: no signal of a confirmation is ever sent."""
    settings.WELCOME_GRANT_MICROS = usd("2")
    before = alice.now().balance_micros

    EmailAddress.objects.create(
        user=alice.user, email=alice.user.email, verified=True, primary=True
    )

    assert alice.now().balance_micros == before + usd("2")


# --- Signing in -------------------------------------------------------------------------------


def test_tries_at_two_names_of_ours_are_counted_together(ines):
    """Counted by the request's Host, seven tries passed a limit of five."""
    ines.come_in()
    for n in range(7):
        Client().post(
            "/account/login/", {"login": ines.email, "password": "not this one"},
            headers={"Host": ("localhost", "127.0.0.1")[n % 2]}, REMOTE_ADDR=f"198.51.100.{n}",
        )  # fmt: skip

    late = Client(SERVER_NAME="localhost").post(
        "/account/login/", {"login": ines.email, "password": PASSWORD}, REMOTE_ADDR="203.0.113.5"
    )

    assert "Too many tries" in late.content.decode()
    assert events(ines.user).count("session.refused") == 5


def test_whom_staff_deactivated_does_not_come_in_and_is_out_at_once(ines):
    ines.come_in()
    User.objects.filter(pk=ines.user.pk).update(is_active=False)

    assert ines.get("").status_code == 302, "the session is nobody's"
    ines.browser.logout()
    ines.sign_in()
    assert not ines.is_in()


def test_a_new_password_ends_the_other_sessions(ines, visit):
    ines.come_in()
    elsewhere = visit()
    elsewhere.email = ines.email
    elsewhere.sign_in()
    assert elsewhere.get("").status_code == 200

    new = "five other plain words here"
    ines.post("password/change/", oldpassword=PASSWORD, password1=new, password2=new)

    assert ines.get("").status_code == 200
    assert elsewhere.get("").status_code == 302
    assert "password.changed" in events(ines.user)


def test_sessions_are_listed_and_all_others_ended(ines, visit):
    ines.come_in()
    elsewhere = visit(HTTP_USER_AGENT="Mozilla/5.0 (Android 15; Mobile; rv:140.0) Firefox/140.0")
    elsewhere.email = ines.email
    elsewhere.sign_in()

    assert "Firefox on Android" in ines.get("").content.decode()
    ines.post("sessions/")

    assert elsewhere.get("").status_code == 302
    assert ines.get("").status_code == 200
    assert events(ines.user).count("session.ended") == 1


def test_one_session_is_ended_and_anothers_is_not_there(ines, visit):
    ines.come_in()
    phone, mallory = visit(), visit()
    phone.email = ines.email
    phone.sign_in()
    mallory.come_in()
    theirs = phone.user.usersession_set.get(session_key=phone.browser.session.session_key)

    assert mallory.post(f"sessions/{theirs.pk}/end").status_code == 404
    assert phone.get("").status_code == 200
    ines.post(f"sessions/{theirs.pk}/end")

    assert phone.get("").status_code == 302
    assert ines.get("").status_code == 200
    assert "session.ended" in events(ines.user)


# --- Second factors ---------------------------------------------------------------------------


@pytest.fixture
def with_totp(ines):
    """Ines has an authenticator app; returns its secret."""
    ines.come_in()
    ines.post("reauthenticate/", password=PASSWORD)
    secret = ines.get("2fa/totp/activate/").context["form"].secret
    assert ines.post("2fa/totp/activate/", code=totp_of(secret)).status_code == 302
    return secret


def test_what_a_second_factor_is_made_of_is_sealed_in_the_database(ines, with_totp):
    rows = Authenticator.objects.filter(user=ines.user)
    kept = {row.type: row.data for row in rows}

    assert with_totp not in str(kept)
    assert kept["totp"]["secret"].startswith("1:")
    assert kept["recovery_codes"]["seed"].startswith("1:")
    assert factors.unseal(kept["totp"]["secret"]) == with_totp


def test_a_changed_box_opens_for_nobody():
    sealed = factors.seal("secret")
    version, box = sealed.split(":")
    changed = ("A" if box[40] != "A" else "B").join([box[:40], box[41:]])

    with pytest.raises(Exception, match="ecrypt"):
        factors.unseal(f"{version}:{changed}")


def test_a_new_pepper_takes_over_and_the_old_one_can_go(ines, with_totp, settings):
    old, new = settings.KEY_PEPPERS[1], b"\x77" * 32
    settings.KEY_PEPPERS = {1: old, 2: new}

    assert factors.reseal() == 2
    assert factors.reseal() == 0

    settings.KEY_PEPPERS = {2: new}
    totp = Authenticator.objects.get(user=ines.user, type="totp")
    assert factors.unseal(totp.data["secret"]) == with_totp


def test_the_second_step_is_asked_for_and_a_code_is_good_once(ines, with_totp, visit):
    thief = visit()
    thief.email = ines.email
    assert thief.sign_in()["Location"] == "/account/2fa/authenticate/"
    assert not thief.is_in()

    code = totp_of(with_totp)
    other = visit()
    other.email = ines.email
    other.sign_in()
    other.post("2fa/authenticate/", code=code)
    assert other.is_in()
    thief.post("2fa/authenticate/", code=code)
    assert not thief.is_in(), "it was used"


def test_a_spare_code_is_good_once(ines, with_totp, visit):
    def unused():
        row = Authenticator.objects.get(user=ines.user, type="recovery_codes")
        return row.wrap().get_unused_codes()

    spare = unused()[0]
    for is_first in (True, False):
        who = visit()
        who.email = ines.email
        who.sign_in()
        who.post("2fa/authenticate/", code=spare)
        assert who.is_in() is is_first
    assert spare not in unused()


# --- Mails ------------------------------------------------------------------------------------


def test_links_and_names_in_mails_are_ours_whatever_host_was_asked(ines, settings):
    settings.PUBLIC_URL = "https://credits.example.org"
    settings.PLATFORM_NAME = "Lumen Yard"
    AllowedOrigin.objects.create(
        pattern="https://other.example", added_by=uuid.uuid4(), reason="another name of ours"
    )
    ines.sign_up()
    cache.clear()
    Client(HTTP_HOST="other.example").post(
        "/account/signup/", {"email": ines.email, "password1": PASSWORD}, secure=True
    )

    for mail in ines.mails():
        assert "other.example" not in mail.subject + mail.text
    assert "https://credits.example.org/account/password/reset/" in ines.mails()[0].text
    assert any("Lumen Yard" in mail.subject + mail.text for mail in ines.mails())


def test_a_passkey_is_for_our_own_name_whatever_host_was_asked(ines, settings):
    ines.come_in()
    settings.PUBLIC_URL = "https://credits.example.org"
    AllowedOrigin.objects.create(
        pattern="https://other.example", added_by=uuid.uuid4(), reason="another name of ours"
    )

    asked = Client(HTTP_HOST="other.example").get(
        "/_allauth/browser/v1/auth/webauthn/login", secure=True
    )

    assert asked.status_code == 200
    assert asked.json()["data"]["request_options"]["publicKey"]["rpId"] == "credits.example.org"


def test_who_changes_how_they_sign_in_is_told_by_mail(ines):
    ines.come_in()
    ines.post("reauthenticate/", password=PASSWORD)
    secret = ines.get("2fa/totp/activate/").context["form"].secret
    ines.post("2fa/totp/activate/", code=totp_of(secret))
    ines.post("2fa/totp/deactivate/")
    other = "four other words of mine"
    ines.post("password/change/", oldpassword=PASSWORD, password1=other, password2=other)

    told = [mail.subject.lower() for mail in ines.mails()]
    assert "password" in told[0]
    assert "deactivated" in told[1]


def test_nobody_is_written_to_who_has_no_account(ines):
    ines.post("password/reset/", email=ines.email)

    assert ines.mails() == []


@pytest.mark.parametrize(
    "path", ["2fa/totp/activate/", "2fa/webauthn/add/", "2fa/recovery-codes/generate/", "email/"]
)
def test_who_came_in_a_while_ago_shows_again_that_it_is_them(ines, path):
    ines.come_in()
    ines.post("reauthenticate/", password=PASSWORD)
    if "recovery" in path:
        secret = ines.get("2fa/totp/activate/").context["form"].secret
        ines.post("2fa/totp/activate/", code=totp_of(secret))
    session = ines.browser.session
    for shown in session["account_authentication_methods"]:
        shown["at"] -= 600
    session.save()

    answer = ines.post(path, email="thief@example.org", action_add="")

    assert answer.status_code == 302
    assert answer["Location"].startswith("/account/reauthenticate/"), answer["Location"]
    assert not EmailAddress.objects.filter(email="thief@example.org").exists()


def test_a_mail_is_written_and_not_sent_while_somebody_waits(ines, mailoutbox):
    ines.sign_up()

    assert mailoutbox == []
    assert Mail.objects.filter(to=ines.email, sent_at=None).count() == 1


# --- What nobody came back to -----------------------------------------------------------------


def age(user, days=8):
    then = timezone.now() - timedelta(days=days)
    User.objects.filter(pk=user.pk).update(created_at=then, updated_at=then)


def test_an_address_that_was_never_verified_is_free_again(ines):
    ines.sign_up()
    gone = ines.user
    age(gone)

    assert forgotten.sweep() == 1

    assert not User.objects.filter(pk=gone.pk).exists()
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM credits_billing WHERE email = %s", [ines.email])
        assert cursor.fetchone() == (0,)
    ines.browser.logout()
    cache.clear()
    ines.come_in()
    assert ines.is_in()


@pytest.mark.slow
def test_nobody_else_is_swept(ines, visit, alice):
    """Who is verified, is young, tries to come in, or has something here."""
    ines.come_in()
    young, trying, staff, rich = visit(), visit(), visit(), visit()
    for each in (young, trying, staff, rich):
        each.sign_up()
    for each in (ines.user, trying.user, staff.user, rich.user, alice.user):
        age(each)
    trying.browser.logout()
    cache.clear()
    trying.sign_in()
    User.objects.filter(pk=staff.user.pk).update(is_staff=True)
    from apikeys import keys

    keys.issue(workspace_id=rich.user.personal_workspace.pk, user_id=rich.user.pk, name="a key")

    assert forgotten.sweep() == 0
    for each in (ines, young, trying, staff, rich):
        assert each.user.personal_workspace is not None


# --- What asks by key has no session -----------------------------------------------------------


def test_a_call_by_key_reads_no_session_and_is_given_no_cookie(
    ines, alice, django_assert_num_queries
):
    ines.come_in()
    by_key = {"X-API-KEY": alice.key}
    Client().get("/customers/balance", headers=by_key)
    with CaptureQueriesContext(connection) as plain:
        Client().get("/customers/balance", headers=by_key)

    with django_assert_num_queries(len(plain)):
        answer = ines.browser.get("/customers/balance", headers=by_key)

    assert answer.status_code == 200
    assert answer.cookies == {}
    assert "Cookie" not in answer.get("Vary", "")
    assert ines.browser.get("/customers/balance").status_code == 200, "a session may read, too"


def test_the_stock_frontends_link_leads_to_the_page_of_signing_in(client, db):
    answer = client.get("/login?next=/account/")

    assert (answer.status_code, answer["Location"]) == (302, "/account/login/?next=/account/")
