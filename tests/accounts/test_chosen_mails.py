"""Which mails somebody gets: what is always told, what they leave out, and the one click for it."""

import re
import threading
from types import SimpleNamespace
from urllib.parse import urlsplit

import pytest
from django.core import mail as sent
from django.test import Client

from accounts import notices
from accounts.notices import LOW, SUMMARY, WEBHOOK
from audit.models import Event
from outbox import mails
from outbox.models import Mail

PUBLIC = "https://credits.example.org"


@pytest.fixture(autouse=True)
def here(settings):
    settings.PUBLIC_URL = PUBLIC


def written(key, member, kind=LOW):
    mails.write(key, to=member.user.email, subject="x", text="Said.\n", kind=kind)
    return Mail.objects.filter(key=key).first()


def address_in(mail):
    return re.search(rf"{PUBLIC}(/notices/\S+)", mail.text)[1]


def test_it_comes_until_its_reader_leaves_it_out_and_what_is_always_told_stays(alice):
    assert written("one", alice)
    assert not written("two", alice, SUMMARY), "it comes to who asked for it"

    notices.choose(alice.user.pk, {SUMMARY})

    assert not written("three", alice)
    assert written("four", alice, SUMMARY)
    assert written("five", alice, "")


def test_who_is_unknown_here_gets_it_without_an_address_to_leave_it_out(db):
    assert notices.wanted("nobody@example.org", LOW)
    assert notices.leaving("nobody@example.org", LOW) == ""


def test_a_mail_says_in_its_headers_where_one_click_ends_them(alice, settings):
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    mail = written("one", alice)
    other = written("two", alice, "")

    mails.send_due()

    headers = {each.body: each.extra_headers for each in sent.outbox}
    where = f"<{PUBLIC}{address_in(mail)}>"
    assert headers[mail.text]["List-Unsubscribe"] == where
    assert headers[mail.text]["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert "List-Unsubscribe" not in headers[other.text]


def test_looking_changes_nothing_one_click_does_and_again_is_fine(alice):
    path = address_in(written("one", alice))
    program = Client(SERVER_NAME="localhost", enforce_csrf_checks=True)

    assert "No more of these mails" in program.get(path).content.decode()
    assert written("two", alice)
    for _ in range(2):
        answer = program.post(path, {"List-Unsubscribe": "One-Click"})
        assert answer.status_code == 200
        assert "You get no more of these mails." in answer.content.decode()

    assert not written("three", alice)
    noted = Event.objects.get(action="mails.chosen", subject_id=alice.user.pk)
    assert LOW in noted.before["kinds"]
    assert LOW not in noted.after["kinds"]


@pytest.mark.parametrize("spoil", [
    lambda token: token[:-1], lambda token: token.replace(LOW, SUMMARY),
    lambda token: "x", lambda token: f"{'0' * 32}-{LOW}.{token.split('.')[1]}",
])  # fmt: skip
def test_an_address_that_we_did_not_make_is_none(alice, spoil):
    path = address_in(written("one", alice))
    start, token = path.rsplit("/", 1)

    answer = Client(SERVER_NAME="localhost").post(f"{start}/{spoil(token)}")

    assert answer.status_code == 404
    assert notices.comes(alice.user, LOW)


def test_one_chooses_on_ones_page_and_reads_there_what_is_always_told(alice):
    browser = Client(SERVER_NAME="localhost")
    browser.force_login(alice.user)
    page = browser.get("/my/settings/mails").content.decode()
    assert "A key was found published" in page
    assert page.count("checked") == len([each for each in notices.OPTIONAL if each.comes])

    browser.post("/my/settings/mails", {"kind": [SUMMARY, "nonsense"]})

    alice.user.refresh_from_db()
    chosen = {each.name for each in notices.OPTIONAL if notices.comes(alice.user, each.name)}
    assert chosen == {SUMMARY}
    assert browser.get("/my/settings/mails").content.decode().count("checked") == 1


def test_each_kind_stands_once(db):
    every = SimpleNamespace(names=[each.name for each in (*notices.OPTIONAL, *notices.ALWAYS)])

    assert len(set(every.names)) == len(every.names)


def test_who_ends_two_kinds_at_one_moment_ends_both(committed, make_member, at_once, monkeypatch):
    """A mail program follows two mails at once: each has read who it is before either writes."""
    member = make_member()
    paths = [urlsplit(notices.leaving(member.user.email, each)).path for each in (LOW, WEBHOOK)]
    both, read = threading.Barrier(2, timeout=10), notices._read

    def together(token):
        found = read(token)
        both.wait()
        return found

    monkeypatch.setattr(notices, "_read", together)
    told = at_once(lambda path: Client(SERVER_NAME="localhost").post(path).status_code, paths)

    member.user.refresh_from_db()
    assert told == [200, 200]
    assert not [kind for kind in (LOW, WEBHOOK) if notices.comes(member.user, kind)]
