"""Owners are told once that a webhook was switched off by us, and not where they did it."""

import pytest

from accounts import broken_webhooks, teams
from outbox.models import Mail
from webhooks import endpoints, sending
from webhooks.models import Endpoint

URL = "https://8.8.8.8/hook"


@pytest.fixture
def studio(alice, bob):
    made = teams.create(owner=alice.user, name="Studio")
    teams.join(made, bob.user, role="member", by=alice.user.pk)
    return made


def hook(workspace_id, by):
    return endpoints.make(workspace_id, url=URL, types=["run.failed"], name="", by=by)[0]


def mails_of(member):
    return list(Mail.objects.filter(to=member.user.email, subject__contains="webhook"))


def test_the_owner_is_mailed_once_with_the_reason_and_where_to_go(studio, alice, bob, settings):
    settings.PUBLIC_URL = "https://credits.example.org"
    one = hook(studio.pk, alice.user.pk)
    sending.switch_off(one, reason=sending.GONE)

    broken_webhooks.tell_owners()
    broken_webhooks.tell_owners()

    (mail,) = mails_of(alice)
    assert mail.subject == "A webhook of Studio is off"
    assert URL in mail.text
    assert sending.GONE in mail.text
    assert f"https://credits.example.org/my/webhooks/{one.pk}" in mail.text
    assert mails_of(bob) == []
    assert Endpoint.objects.get(pk=one.pk).told_at is not None


def test_who_switched_it_off_is_not_told(studio, alice):
    one = hook(studio.pk, alice.user.pk)
    endpoints.change(studio.pk, one.pk, by=alice.user.pk, on=False)

    broken_webhooks.tell_owners()

    assert mails_of(alice) == []


def test_the_next_time_is_told_anew(studio, alice):
    one = hook(studio.pk, alice.user.pk)
    for _ in range(2):
        sending.switch_off(Endpoint.objects.get(pk=one.pk), reason=sending.FAILED_FOR_DAYS)
        broken_webhooks.tell_owners()
        endpoints.change(studio.pk, one.pk, by=alice.user.pk, on=True)

    assert len(mails_of(alice)) == 2
