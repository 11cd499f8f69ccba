"""What was done stays as it was written; who acts for the house cannot but be written down."""

import uuid
from io import StringIO

import pytest
from config.whence import Whence
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction
from django.http import HttpResponse
from django.test import RequestFactory

from accounts import status
from apikeys import states
from audit import log
from audit.models import Event
from credits.books import findings, freezes
from credits.gifts import adjustments, vouchers
from credits.models import Finding, Freeze
from desk import roles


def only(**wanted):
    (event,) = Event.objects.filter(**wanted)
    return event


@pytest.fixture
def written(alice):
    log.note("key.revoked", actor=alice.user.pk, subject=alice.user.pk, target="x")
    return only(actor_id=alice.user.pk)


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE audit_event SET action = 'nothing' WHERE id = %s",
        "UPDATE audit_event SET actor_id = NULL WHERE id = %s",
        "UPDATE audit_event SET address = '', agent = '', reason = 'x' WHERE id = %s",
        "UPDATE audit_event SET address = '203.0.113.9' WHERE id = %s",
        "DELETE FROM audit_event WHERE id = %s",
        "TRUNCATE audit_event -- %s",
    ],
)
def test_by_hand_the_database_refuses_to_change_what_was_done(written, sql):
    with (
        pytest.raises(IntegrityError, match="event_append_only"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute(sql, [written.pk])


@pytest.mark.parametrize("wrong", [{"action": ""}, {"source": "elsewhere"}])
def test_an_event_says_what_and_from_where(db, wrong):
    with pytest.raises(IntegrityError, match="event_says_what"), transaction.atomic():
        Event.objects.create(**{"action": "x", "source": "web", **wrong})


def test_what_is_older_than_it_must_be_kept_may_go(db):
    old = Event.objects.create(action="x", source="web")
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE audit_event DISABLE TRIGGER event_append_only")
        cursor.execute("UPDATE audit_event SET at = now() - interval '401 days'")
        cursor.execute("ALTER TABLE audit_event ENABLE ALWAYS TRIGGER event_append_only")

    assert Event.objects.filter(pk=old.pk).delete()[0] == 1


def test_from_where_somebody_acted_can_be_forgotten_and_nothing_else(alice):
    with log.coming_from(log.Source("web", "203.0.113.9", "Firefox\x00" * 100)):
        log.note("key.made", actor=alice.user.pk, target="x")

    assert log.forget_where(alice.user.pk) == 1

    event = only(actor_id=alice.user.pk)
    assert (event.address, event.agent, event.target) == ("", "", "x")
    assert log.forget_where(alice.user.pk) == 0


def test_a_reason_that_named_somebody_may_be_erased_and_become_nothing_else(written):
    found = Event.objects.filter(pk=written.pk)

    assert found.update(reason="(erased)") == 1
    with pytest.raises(IntegrityError, match="event_append_only"), transaction.atomic():
        found.update(reason="another")


def test_who_failed_to_sign_in_is_forgotten_with_whom_they_named(alice, bob):
    with log.coming_from(log.Source("web", "203.0.113.9", "Firefox")):
        log.note("session.refused", subject=alice.user.pk)
        log.note("member.deactivated", actor=bob.user.pk, subject=alice.user.pk)

    log.forget_where(alice.user.pk)

    kept = Event.objects.filter(subject_id=alice.user.pk).order_by("id")
    assert [each.address for each in kept] == ["", "203.0.113.9"], "from where staff acted stays"


def test_a_request_is_written_with_its_address_and_only_while_it_is_answered(db):
    def view(request):
        log.note("seen", target=request.path)
        return HttpResponse()

    request = RequestFactory().get("/here", headers={"User-Agent": "curl/8"})
    Whence(view)(request)
    log.note("later")

    seen = only(action="seen")
    assert (seen.source, seen.address, seen.agent) == ("web", "127.0.0.1", "curl/8")
    assert (only(action="later").source, only(action="later").address) == ("program", "")


def test_what_is_rolled_back_was_not_done(alice):
    with transaction.atomic():
        status.deactivate(alice.user, by=uuid.uuid4(), reason="x")
        transaction.set_rollback(True)

    assert not Event.objects.filter(subject_id=alice.user.pk).exists()


def test_what_staff_do_to_somebody_is_written_once(alice, bob):
    status.appoint(bob.user, by=None)
    for _ in range(2):
        states.disable(alice.api_key_record, by=bob.user.pk, reason="leaked")
        status.deactivate(alice.user, by=bob.user.pk, reason="card was stolen")
        freezes.freeze(alice.workspace_id, Freeze.Cause.STAFF, "we look at it", by=bob.user.pk)
    freezes.lift(alice.workspace_id, Freeze.Cause.STAFF, by=bob.user.pk, reason="fine")
    freezes.freeze(alice.workspace_id, Freeze.Cause.RECEIVABLE, "a bank asks")

    assert [event.action for event in log.of_subject(alice.user.pk)] == [
        "member.deactivated",
        "key.disabled",
    ]
    deactivated = only(action="member.deactivated", subject_id=alice.user.pk)
    assert (deactivated.before, deactivated.after) == ({"is_active": True}, {"is_active": False})
    assert (deactivated.actor_id, deactivated.reason) == (bob.user.pk, "card was stolen")
    disabled = only(action="key.disabled", workspace_id=alice.workspace_id)
    assert (disabled.before, disabled.after) == ({"state": "living"}, {"state": "disabled"})
    assert only(action="wallet.released", workspace_id=alice.workspace_id).reason == "fine"
    paused = Event.objects.filter(action="wallet.paused", workspace_id=alice.workspace_id)
    assert paused.count() == 2, "by staff, and nothing of what came by itself"


def test_what_staff_do_with_money_is_written(alice, bob, settings):
    settings.ADJUSTMENT_LIMIT_MICROS = 1
    by = bob.user.pk
    made = adjustments.request(alice.workspace_id, amount=5, reason="sorry", requested_by=by)
    adjustments.decide(made.pk, accept=True, decided_by=alice.user.pk)
    _, voucher = vouchers.make(name="fair", amount=5, made_by=by, reason="fair")
    vouchers.approve(voucher.pk, by=alice.user.pk)
    vouchers.stop(voucher.pk, by=by, reason="over")
    findings.report("x:1", kind=Finding.Kind.FRAUD, sentence="odd")
    findings.settle("x:1", by=by, reason="seen")

    actions = set(Event.objects.filter(actor_id__in=[by, alice.user.pk]).values_list("action"))
    assert {action for (action,) in actions} == {
        "adjustment.asked",
        "adjustment.posted",
        "voucher.made",
        "voucher.approved",
        "voucher.stopped",
        "finding.settled",
    }
    assert only(action="adjustment.asked", target=str(made.pk)).after["state"] == "waiting"


def test_a_command_says_that_it_was_one(alice, bob):
    status.appoint(bob.user, by=None)
    roles.assign(bob.user, ["support"], by=None)

    call_command("member", "deactivate", alice.user.email, "--by", bob.user.email,
                 "--reason", "asked for", stdout=StringIO())  # fmt: skip

    event = only(action="member.deactivated", subject_id=alice.user.pk)
    assert (event.source, event.actor_id) == ("command", bob.user.pk)
