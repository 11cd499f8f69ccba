"""Somebody takes all that is known, asks to go, stays, goes: and nothing of them is found."""

from __future__ import annotations

import io
import json
import re
import zipfile
from datetime import timedelta

from asgiref.sync import async_to_sync
from django.db.models import F
from django.test import Client
from django.utils import timezone
from privacy_cast import PASSWORD, hear_all, traces, traces_in_files
from whole_life import live

from accounts.models import User
from accounts.signup import verify_email
from apikeys import keys
from apikeys.models import ApiKey
from common.errors import Unauthorized
from common.personal import Fate
from credits.models import Account, Billing, Entry
from credits.proofs import reconciliation
from outbox.models import Mail
from privacy import exports, registry, steps
from privacy.models import Deletion, Export

STAYS = {"credits_entry"}
"""Where a word of hers may stand afterwards: in a reason that staff wrote into the books."""
ANYBODY = Client(SERVER_NAME="localhost")


def works(key: str) -> bool:
    try:
        keys.authenticate(key)
    except Unauthorized:
        return False
    return True


def link_in(mail: Mail) -> str:
    """Return the path of a link of ours."""
    return re.search(r"http://localhost(/privacy/\S+)", mail.text)[1]


def newest(email: str) -> Mail:
    return Mail.objects.filter(to=email).order_by("-id")[0]


def send_all() -> None:
    Mail.objects.filter(next_try_at__isnull=False).update(sent_at=timezone.now(), next_try_at=None)


def let_pass(deletion: Deletion) -> None:
    """Have the time to think be over."""
    Deletion.objects.filter(pk=deletion.pk).update(
        asked_at=F("asked_at") - timedelta(days=15), due_at=timezone.now(),
        next_try_at=timezone.now(),
    )  # fmt: skip


def at_once(deletion: Deletion) -> None:
    Deletion.objects.filter(pk=deletion.pk, next_try_at__isnull=False).update(
        next_try_at=timezone.now()
    )


def take(browser: Client, path: str) -> bytes:
    """Download what streams."""
    answer = browser.get(path)
    assert answer.status_code == 200, answer.content

    async def whole() -> bytes:
        return b"".join([part async for part in answer.streaming_content])

    return async_to_sync(whole)()


def test_a_person_takes_everything_asks_stays_asks_again_and_is_gone(
    ilse, bob, stripe, data_folder, browser_of
):
    words = live(ilse, bob, stripe, data_folder)
    email, user_id = ilse.user.email, ilse.user.pk
    browser = browser_of(ilse)
    assert set(traces(words)) > {"accounts_user", "outbox_mail", "audit_event", "proxy_job"}
    assert len(traces_in_files(data_folder, words)) == 3

    # All that is known, as a file.
    assert browser.post("/account/privacy/archive").status_code == 302
    assert exports.make_due() == 1
    (export,) = exports.of(user_id)
    show_again(browser)
    with zipfile.ZipFile(io.BytesIO(take(browser, f"/account/privacy/archives/{export.pk}"))) as it:
        profile = json.loads(it.read("accounts-user.json"))
        names = set(it.namelist())
        assert email in it.read("README.txt").decode()
        assert "Ilses Laptop" in it.read("apikeys-apikey.csv").decode()
        everything = b"".join(it.read(name) for name in names)
    assert profile[0]["email"] == email
    assert ilse.key.encode() not in everything
    assert {f"{each.model.lower().replace('.', '-')}.json" for each in registry.known()
            if each.shown} < names  # fmt: skip

    # Asked, and a mail; the link changes nothing before its button is pressed.
    browser.post("/account/privacy/delete")
    confirm = link_in(newest(email))
    assert ANYBODY.get(confirm).status_code == 200
    assert works(ilse.key)
    status = ANYBODY.post(confirm)["Location"]
    assert not works(ilse.key)
    assert browser.get("/account/privacy/").status_code == 302, "signed out"
    assert "unspent" in ANYBODY.get(status).content.decode()

    # She stays: everything is as it was.
    ANYBODY.post(status, {"action": "stay"})
    assert works(ilse.key)
    assert "You stayed" in ANYBODY.get(status).content.decode()

    # Asked again; what she paid for is in the way until she gives it up.
    browser = browser_of(ilse)
    browser.post("/account/privacy/delete")
    status = ANYBODY.post(link_in(newest(email)))["Location"]
    deletion = Deletion.objects.get(user_id=user_id, state="waiting")
    let_pass(deletion)
    steps.run_due()
    deletion.refresh_from_db()
    assert (deletion.state, set(deletion.blocked)) == ("waiting", {"credits"})
    ANYBODY.post(status, {"action": "give_up"})
    assert steps.run_due() == 1
    deletion.refresh_from_db()
    assert (deletion.state, deletion.done[-1]) == ("running", "told"), deletion.error
    last = newest(email)
    send_all()
    at_once(deletion)
    steps.run_due()
    deletion.refresh_from_db()
    assert (deletion.state, deletion.sealed) == ("done", "")

    # Stripe tells of it, with her address: that does not come to rest here.
    hear_all()
    assert not works(ilse.key)
    assert traces(words).keys() <= STAYS
    assert set(traces(words)["credits_entry"]) == {words[1]}, "staff named her"
    assert traces_in_files(data_folder, words) == []
    assert not any(session["_auth_user_id"] == str(user_id) for session in sessions())
    _nothing_is_left_that_was_to_be_deleted(ilse, deletion)
    _the_books_are_whole(ilse)

    # The certificate is at the link of the last mail, for whoever has it.
    path = link_in(last)
    said = ANYBODY.get(f"{path}/certificate.json").json()
    assert said["reference"] == str(deletion.pk)
    assert said["counts"]["keys"]["keys"] == 3
    assert said["counts"]["payments"]["customers"] == 1
    page = ANYBODY.get(f"{path}/certificate").content.decode()
    assert "Certificate of deletion" in page
    assert "digest of the mailbox" in page
    assert ilse.user.name not in page + json.dumps(said)


def sessions():
    from django.contrib.sessions.models import Session

    return [{"_auth_user_id": "", **each.get_decoded()} for each in Session.objects.all()]


def _nothing_is_left_that_was_to_be_deleted(ilse, deletion):
    from common.personal import Person

    gone = Person(ilse.user.pk, "", (ilse.user.email,), tuple(deletion.workspaces))
    for known in registry.by_fate(Fate.DELETED):
        assert not known.of(gone).exists(), known.model
    assert len(deletion.workspaces) == 2, "her own, and the team where she was alone"
    user = User.objects.get(pk=ilse.user.pk)
    assert (user.email, user.name) == (f"{user.pk}@erased.invalid", "")
    assert not user.has_usable_password()


def _the_books_are_whole(ilse):
    wallet = Account.objects.get(pk=ilse.workspace_id)
    assert (wallet.balance_micros, wallet.held_micros) == (0, 0)
    given_up = Entry.objects.filter(debit_id=wallet.pk, kind="expiry").get()
    assert given_up.amount_micros > 25_000_000
    assert Billing.objects.get(pk=wallet.pk).customer_id is None
    own = reconciliation.CHECKS + reconciliation.MONEY
    assert [proof for proof in reconciliation.prove(own) if proof.differences] == []


def test_who_goes_can_come_again_as_somebody_new(ilse, stripe):
    """The address is free; nobody knows that it had been here."""
    from accounts.signup import sign_up

    email = ilse.user.email
    deletion = gone(ilse)

    assert deletion.state == "done"
    assert sign_up(email=email).pk != ilse.user.pk
    assert ApiKey.objects.filter(user_id=ilse.user.pk).count() == 0


def gone(member) -> Deletion:
    """Have somebody be deleted, as quickly as it goes."""
    from privacy import deletion as life

    made = life.ask(member.user, base_url="http://localhost", gives_up=True)
    life.confirm(made.pk)
    let_pass(made)
    steps.run_due()
    send_all()
    at_once(made)
    steps.run_due()
    made.refresh_from_db()
    return made


def show_again(browser: Client) -> None:
    """Sign in once more, as is asked for what is for oneself alone."""
    browser.post("/account/reauthenticate/", {"password": PASSWORD})


def test_an_archive_is_given_to_who_has_just_signed_in_again_and_to_nobody_else(
    ilse, bob, browser_of
):
    bob.user.set_password(PASSWORD)
    bob.user.save()
    verify_email(bob.user)
    export = exports.ask(ilse.user.pk, base_url="http://localhost")
    exports.make_due()
    path = f"/account/privacy/archives/{export.pk}"
    browser, other = browser_of(ilse), browser_of(bob)

    assert ANYBODY.get(path)["Location"].startswith("/account/login/")
    assert browser.get(path)["Location"].startswith("/account/reauthenticate/")
    show_again(browser)
    assert take(browser, path)[:2] == b"PK"
    show_again(other)
    assert other.get(path).status_code == 404
    session = browser.session
    session["account_authentication_methods"] = [
        {**each, "at": each["at"] - 301} for each in session["account_authentication_methods"]
    ]
    session.save()
    assert browser.get(path)["Location"].startswith("/account/reauthenticate/")


def test_after_a_week_an_archive_is_gone_and_so_is_its_file(ilse, browser_of, data_folder):
    export = exports.ask(ilse.user.pk, base_url="http://localhost")
    assert exports.ask(ilse.user.pk, base_url="http://localhost").pk == export.pk
    exports.make_due()
    assert len(traces_in_files(data_folder, [ilse.user.email])) == 1
    Export.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    browser = browser_of(ilse)
    show_again(browser)
    assert browser.get(f"/account/privacy/archives/{export.pk}").status_code == 404

    assert exports.expire() == 1
    assert exports.of(ilse.user.pk) == []
    assert traces_in_files(data_folder, [ilse.user.email]) == []
