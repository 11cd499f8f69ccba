"""Mails: written once, sent by the worker, tried again later and later, given up in the end."""

import threading
from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from local.processes import free_port
from outbox import mails, tasks
from outbox.models import Mail


@pytest.fixture
def write(db):
    """Write a mail; none of another test waits."""
    Mail.objects.all().delete()

    def post(key="k", **more):
        mails.write(key, **{"to": "anna@example.org", "subject": "Hello", "text": "You.\n", **more})
        return Mail.objects.filter(key=key).first()

    return post


@pytest.fixture
def no_server(settings):
    """Nothing answers where mails are handed in."""
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", free_port()


def due(mail):
    Mail.objects.filter(pk=mail.pk).update(next_try_at=timezone.now())


def test_what_was_written_is_sent_once(write, mailoutbox, settings):
    mail = write()

    assert [mails.send_due(), mails.send_due()] == [1, 0]

    (sent,) = mailoutbox
    assert (sent.to, sent.subject, sent.body) == (["anna@example.org"], "Hello", "You.\n")
    assert sent.from_email == settings.DEFAULT_FROM_EMAIL
    mail.refresh_from_db()
    assert mail.sent_at is not None
    assert (mail.next_try_at, mail.attempts, mail.error) == (None, 1, "")


def test_a_mail_names_itself_so_that_a_copy_is_known_as_one(write, mailoutbox):
    mail = write()
    mails.send_due()
    Mail.objects.filter(pk=mail.pk).update(sent_at=None, next_try_at=timezone.now())
    mails.send_due()

    first, copy = (each.message()["Message-ID"] for each in mailoutbox)
    assert first == copy
    assert f"<{mail.pk}." in first


def test_one_reason_writes_once(write):
    write(subject="First")
    write(subject="Second")

    assert Mail.objects.get().subject == "First"


def test_many_who_write_at_once_write_once(committed, at_once):
    key = f"at-once:{timezone.now()}"

    at_once(lambda n: mails.write(key, to="a@example.org", subject=f"{n}", text=""), range(6))

    assert Mail.objects.filter(key=key).count() == 1
    Mail.objects.filter(key=key).delete()


def test_what_is_rolled_back_was_never_written(write):
    with transaction.atomic():
        write("k")
        transaction.set_rollback(True)

    assert not Mail.objects.exists()


def test_without_an_address_there_is_nobody_to_tell(write):
    assert write(to="") is None


def test_what_cannot_be_sent_is_tried_later_and_later_and_given_up(write, no_server):
    mail, waits = write(), []
    for attempt in range(1, mails.MOST_ATTEMPTS + 1):
        assert mails.send_due() == 0
        mail.refresh_from_db()
        assert (mail.attempts, mail.sent_at) == (attempt, None)
        assert mail.error.startswith("ConnectionRefusedError: ")
        if mail.next_try_at is not None:
            waits.append(round((mail.next_try_at - timezone.now()).total_seconds()))
            assert mails.send_due() == 0, "not before its time"
            due(mail)

    assert waits == [60, 120, 240, 480, 960, 1920, 3840, 7680, 15360, 21600, 21600]
    assert mail.next_try_at is None


def test_what_could_not_be_sent_is_sent_when_the_server_is_back(
    write, no_server, settings, mailoutbox
):
    mail = write()
    mails.send_due()
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    due(mail)

    assert mails.send_due() == 1
    mail.refresh_from_db()
    assert (len(mailoutbox), mail.attempts, mail.error) == (1, 2, "")


def test_a_mail_is_one_senders_while_it_is_being_sent(write, mailoutbox):
    mail = write()
    Mail.objects.filter(pk=mail.pk).update(next_try_at=timezone.now() + timedelta(seconds=119))

    assert mails.send_due() == 0


def test_two_senders_send_once(committed, at_once, no_server):
    """Each try fails here, so that tries can be counted."""
    mails.write("twice", to="a@example.org", subject="x", text="")

    at_once(lambda _: mails.send_due(), range(6))

    assert Mail.objects.get(key="twice").attempts == 1
    Mail.objects.filter(key="twice").delete()


@pytest.mark.parametrize(
    "evil", ["x\nBcc: all@example.org", "x\r\nBcc: all@example.org", "x\rY: z"]
)
def test_a_subject_is_one_line(write, mailoutbox, evil):
    write(subject=evil)
    mails.send_due()

    (sent,) = mailoutbox
    assert sent.subject == " ".join(evil.split())
    assert not {"Bcc", "Y"} & set(sent.message().keys())


@pytest.mark.parametrize(
    "to", ["a@example.org\nBcc: all@example.org", "a@example.org\r\nX: y", "no address", "@", "ü@ö"]
)
def test_what_is_no_address_is_given_up_and_stops_nobody_elses_mail(
    write, mailoutbox, to, settings
):
    bad = write("bad", to=to)
    Mail.objects.filter(pk=bad.pk).update(next_try_at=timezone.now() - timedelta(hours=1))
    write("good")

    mails.send_due()
    for _ in range(mails.MOST_ATTEMPTS):
        Mail.objects.filter(pk=bad.pk, next_try_at__isnull=False).update(next_try_at=timezone.now())
        mails.send_due()

    assert "anna@example.org" in [sent.to[0] for sent in mailoutbox]
    assert not [sent for sent in mailoutbox if "Bcc" in sent.message() or "X" in sent.message()]
    bad.refresh_from_db()
    assert bad.next_try_at is None


def test_a_long_subject_is_cut_and_a_long_key_too(write):
    mail = write("k" * 200, subject="s" * 500)

    assert len(mail.subject) == 200
    mails.write("k" * 300, to="a@example.org", subject="x", text="")
    assert Mail.objects.count() == 1


@pytest.mark.parametrize(
    ("rule", "change"),
    [
        ("mail_key_not_empty", {"key": ""}),
        ("mail_sent_is_not_tried_again", {"sent_at": timezone.now()}),
    ],
)
def test_the_database_refuses(write, rule, change):
    write()

    with pytest.raises(IntegrityError, match=rule), transaction.atomic():
        Mail.objects.update(**change)


def test_no_mail_is_written_twice_by_hand(write):
    write()

    with pytest.raises(IntegrityError, match="key"), transaction.atomic():
        Mail.objects.create(key="k", to="b@example.org", subject="x", text="")


def test_a_mail_server_that_hangs_holds_one_thread(committed, monkeypatch, at_once):
    entered, over = threading.Event(), threading.Event()

    def hang():
        assert not entered.is_set()
        entered.set()
        assert over.wait(10)

    monkeypatch.setattr(mails, "send_due", hang)

    def run(second):
        if second:
            assert entered.wait(10)
        try:
            tasks.send_mails()
        finally:
            if second:
                over.set()

    at_once(run, [False, True])
