"""What is older than its time goes, in bounded steps, and what is younger stays."""

from __future__ import annotations

import tracemalloc
import uuid
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone
from privacy_cast import call_of

from accounts import leaving
from accounts.models import Invitation, SignIn
from audit.models import Event
from credits.models import Finding, StripeEvent
from credits.payments import stripe_objects
from outbox.models import Mail
from privacy import archive, retention
from privacy.models import Deletion
from usage.models import Call


def at(days):
    return timezone.now() - timedelta(days=days)


def mail(days, ilse):
    Mail.objects.create(key=uuid.uuid4().hex, to="x@example.org", subject="x", text="x",
                        sent_at=at(days), next_try_at=None, created_at=at(days))  # fmt: skip
    return Mail


def address(days, ilse):
    Event.objects.create(action="x", source="web", address="203.0.113.77", at=at(days))
    return Event.objects.exclude(address="").model


def audit(days, ilse):
    Event.objects.create(action="y", source="web", at=at(days))
    return Event


def payment_event(days, ilse):
    StripeEvent.objects.create(id=uuid.uuid4().hex, type="x", object_id="x", payload={},
                               happened_at=at(days), received_at=at(days), processed_at=at(days),
                               next_try_at=None)  # fmt: skip
    return StripeEvent


def invitation(days, ilse):
    Invitation.objects.create(
        workspace_id=ilse.workspace_id, email=f"x{uuid.uuid4().hex}@example.org", role="member",
        token_digest=uuid.uuid4().bytes * 2, invited_by=ilse.user, created_at=at(days + 7),
        expires_at=at(days),
    )  # fmt: skip
    return Invitation


def sign_in(days, ilse):
    SignIn.objects.create(
        user=ilse.user, workspace_id=ilse.workspace_id, client_id="x", redirect_uri="x",
        challenge="x", code_digest=b"x", code_expires_at=at(days), expires_at=at(days),
    )  # fmt: skip
    return SignIn


def finding(days, ilse):
    Finding.objects.create(key=uuid.uuid4().hex, kind="fraud", sentence="x", resolved_at=at(days))
    return Finding


def certificate(days, ilse):
    Deletion.objects.create(base_url="x", state="cancelled", ended_at=at(days),
                            deadline_at=at(days))  # fmt: skip
    return Deletion


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("mails", mail), ("audit", audit), ("payment_events", payment_event),
        ("invitations", invitation), ("sign_ins", sign_in), ("findings", finding),
        ("certificates", certificate),
    ],
)  # fmt: skip
def test_what_is_too_old_goes_step_by_step_and_what_is_younger_stays(ilse, settings, name, make):
    days = settings.RETENTION_DAYS[name]
    before = make(days - 1, ilse).objects.count()
    for _ in range(5):
        make(days + 1, ilse)

    assert retention.sweep(at_once=2, most_rounds=2)[name] == 4
    assert retention.sweep(at_once=2, most_rounds=2)[name] == 1
    assert make(days - 1, ilse).objects.count() == before + 1


def test_from_where_somebody_acted_is_blanked_and_what_they_did_stays(ilse, settings):
    days = settings.RETENTION_DAYS["addresses"]
    address(days + 1, ilse)
    address(days - 1, ilse)

    retention.sweep()

    found = Event.objects.filter(action="x").order_by("at").values_list("address", flat=True)
    assert list(found) == ["", "203.0.113.77"]


def test_a_mail_that_waits_and_an_event_that_was_not_acted_upon_are_kept(ilse):
    Mail.objects.create(key="waits", to="x@example.org", subject="x", text="x", created_at=at(999))
    StripeEvent.objects.create(id="evt_waits", type="x", object_id="x", payload={},
                               happened_at=at(999), received_at=at(999))  # fmt: skip

    retention.sweep()

    assert Mail.objects.filter(key="waits").exists()
    assert StripeEvent.objects.filter(pk="evt_waits").exists()


def test_of_an_event_stays_what_refers_and_goes_what_names():
    event = {
        "id": "evt_1", "type": "charge.updated", "data": {"object": {
            "id": "ch_1", "payment_intent": "pi_1", "receipt_email": "a@example.org",
            "billing_details": {"name": "Ilse"}, "payment_method": {"id": "pm_1", "owner": "Ilse"},
            "customer": "cus_1", "description": "for Ilse",
        }},
    }  # fmt: skip

    assert stripe_objects.essence(event) == {
        "id": "evt_1", "type": "charge.updated", "data": {"object": {
            "id": "ch_1", "payment_intent": "pi_1", "payment_method": {"id": "pm_1"},
            "customer": "cus_1",
        }},
    }  # fmt: skip


@pytest.mark.slow
def test_an_archive_takes_no_more_memory_for_many_calls_than_for_few(ilse, tmp_path):
    call = call_of(ilse)
    columns = [field.column for field in Call._meta.get_fields() if field.concrete]
    taken = {"id": "gen_random_uuid()", "number": "n"}
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO usage_call ({', '.join(columns)})"
            f" SELECT {', '.join(taken.get(name, f'c.{name}') for name in columns)}"
            " FROM usage_call c, generate_series(100, 30100) AS n WHERE c.id = %s",
            [call.pk],
        )
    person = leaving.gather(ilse.user)

    def peak(name):
        tracemalloc.start()
        with (tmp_path / name).open("wb") as file:
            archive.write(person, file)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    many = peak("many.zip")

    assert (tmp_path / "many.zip").stat().st_size > 500_000
    assert many < 12 << 20, "30,000 calls are some 20 MB as objects"
