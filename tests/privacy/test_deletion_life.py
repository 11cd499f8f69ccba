"""A deletion's life: links, twins, what is in the way, crashes between steps, the thirty days."""

from __future__ import annotations

import io
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connections, transaction
from django.db.models import F
from django.test import Client
from django.utils import timezone
from privacy_cast import buy, hear_all

from accounts import status, teams
from accounts.models import Membership, User
from apikeys import states
from apikeys.models import ApiKey
from common import failpoints
from common.errors import InvalidRequest, NotFound, RateLimited
from common.money import usd
from credits.books import holds
from credits.models import Adjustment, Billing, Dispute, Finding, Refund, TopUp
from credits.payments import stripe_api
from desk import roles
from outbox.models import Mail
from privacy import deletion, obstacles, steps, tokens, watch
from privacy.models import Deletion

HERE = "http://localhost"


class Died(BaseException):
    """The process is gone."""


def asked(member, **more) -> Deletion:
    return deletion.ask(member.user, base_url=HERE, gives_up=True, **more)


def due(member) -> Deletion:
    """Confirmed, and its time to think is over."""
    made = asked(member)
    deletion.confirm(made.pk)
    return now_due(made)


def now_due(made: Deletion) -> Deletion:
    Mail.objects.filter(next_try_at__isnull=False).update(sent_at=timezone.now(), next_try_at=None)
    Deletion.objects.filter(pk=made.pk, next_try_at__isnull=False).update(
        next_try_at=timezone.now(), due_at=timezone.now()
    )
    made.refresh_from_db()
    return made


def done(made: Deletion) -> Deletion:
    for _ in range(3):
        steps.go_on(made.pk)
        now_due(made)
    return made


# --- Links ------------------------------------------------------------------------------------


def test_a_link_is_for_one_purpose_and_one_wish(ilse):
    made = asked(ilse)
    mine = tokens.token(made.pk, tokens.CONFIRM)

    assert tokens.read(mine, tokens.CONFIRM) == made.pk
    for wrong in (tokens.token(made.pk, tokens.STATUS), mine + "x", mine[1:], "", ".", "a.b", "é"):
        with pytest.raises(NotFound):
            tokens.read(wrong, tokens.CONFIRM)


@pytest.mark.parametrize("path", ["", "/certificate", "/certificate.json"])
def test_a_link_that_is_not_ours_leads_to_nothing(db, path):
    answer = Client(SERVER_NAME="localhost").get(f"/privacy/nonsense.x{path}")

    assert answer.status_code == 404


def test_the_certificate_is_there_when_it_is_done_and_not_before(ilse):
    made = due(ilse)
    path = f"/privacy/{tokens.token(made.pk, tokens.STATUS)}/certificate"
    assert Client(SERVER_NAME="localhost").get(path).status_code == 404

    done(made)

    assert Client(SERVER_NAME="localhost").get(path).status_code == 200


def test_the_status_page_has_buttons_for_what_can_be_done_and_no_other(ilse):
    path = f"/privacy/{tokens.token(asked(ilse).pk, tokens.STATUS)}"

    answer = Client(SERVER_NAME="localhost").post(path, {"action": "explode"})

    assert answer.status_code == 400


# --- Asking, confirming, staying --------------------------------------------------------------


def test_asking_again_is_the_same_wish_with_another_mail_and_not_for_ever(ilse):
    first = asked(ilse)

    assert asked(ilse).pk == first.pk
    assert Mail.objects.filter(key__startswith=f"deletion:{first.pk}:confirm").count() == 2
    for _ in range(3):
        asked(ilse)
    with pytest.raises(RateLimited):
        asked(ilse)


def test_confirming_stops_keys_and_ends_sessions_and_twice_is_once(ilse, browser_of):
    browser = browser_of(ilse)
    made = asked(ilse)

    deletion.confirm(made.pk)
    deletion.confirm(made.pk)

    assert states.told(ApiKey.objects.get(pk=ilse.api_key_record.pk)) == "disabled"
    assert browser.get("/account/privacy/").status_code == 302
    assert Mail.objects.filter(key=f"deletion:{made.pk}:confirmed").count() == 1
    assert browser_of(ilse).get("/account/privacy/").status_code == 200, "she may sign in again"


def test_who_stays_has_the_same_keys_and_none_that_was_disabled_before(ilse):
    other = ApiKey.objects.create(
        workspace_id=ilse.workspace_id, user=ilse.user, name="x", prefix="x", digest=b"1",
        pepper_version=1, family=ilse.api_key_record.pk, replaces=ilse.api_key_record,
    )  # fmt: skip
    states.disable(other, by=ilse.user.pk, reason="lost")
    made = asked(ilse)
    deletion.confirm(made.pk)

    deletion.cancel(made.pk)
    deletion.cancel(made.pk)

    told = {key.pk: states.told(key) for key in ApiKey.objects.filter(user=ilse.user)}
    assert told == {ilse.api_key_record.pk: "living", other.pk: "disabled"}
    with pytest.raises(InvalidRequest, match="not asked for any more"):
        deletion.confirm(made.pk)


def test_whom_staff_deactivated_does_not_come_back_by_staying(ilse, bob):
    made = asked(ilse)
    deletion.confirm(made.pk)
    status.deactivate(ilse.user, by=bob.user.pk, reason="fraud")

    deletion.cancel(made.pk)

    assert not User.objects.get(pk=ilse.user.pk).is_active


def test_what_nobody_confirms_in_a_week_lapses(ilse):
    made = asked(ilse)
    Deletion.objects.update(asked_at=timezone.now() - timedelta(days=8))
    with pytest.raises(InvalidRequest):
        deletion.confirm(made.pk)

    assert deletion.lapse() == 1
    assert deletion.of(ilse.user.pk) is None


def test_once_the_steps_run_nobody_stays(ilse):
    made = due(ilse)
    steps.go_on(made.pk)

    with pytest.raises(InvalidRequest, match="cannot be had back"):
        deletion.cancel(made.pk)


def test_by_hand_the_database_refuses_what_cannot_be(ilse):
    asked(ilse)
    wrong = [
        ("deletion_open_once", {}),
        ("deletion_state_known", {"state": "gone"}),
        ("deletion_confirmed_has_its_day", {"state": "waiting", "user_id": None}),
        ("deletion_knows_who_while_it_runs", {"state": "cancelled", "sealed": "x"}),
        ("deletion_of_staff_has_a_reason", {"state": "lapsed", "asked_by": ilse.user.pk}),
    ]
    for name, fields in wrong:
        about = {"user_id": ilse.user.pk, "base_url": HERE, "deadline_at": timezone.now()}
        with pytest.raises(IntegrityError, match=name), transaction.atomic():
            Deletion.objects.create(**(about | fields))


def test_of_many_at_once_one_asks_and_one_confirms(committed, make_member):
    member = make_member("0")

    def at_once(work):
        with ThreadPoolExecutor(6) as pool:
            return list(pool.map(lambda _: _closing(work), range(6)))

    found = {made for made in at_once(lambda: _wish(member)) if made}
    assert len(found) == 1
    at_once(lambda: deletion.confirm(*found).pk)

    assert (
        Mail.objects.filter(key__startswith=f"deletion:{next(iter(found))}:confirmed").count() == 1
    )
    assert Deletion.objects.filter(user_id=member.user.pk).count() == 1
    Deletion.objects.filter(user_id=member.user.pk).delete()  # Others count what is open.


def _wish(member):
    try:
        return deletion.ask(member.user, base_url=HERE).pk
    except RateLimited:
        return None


def _closing(work):
    try:
        return work()
    finally:
        connections.close_all()


# --- What is in the way -----------------------------------------------------------------------


def _bought(ilse):
    now = timezone.now()
    return TopUp.objects.create(
        wallet=ilse.wallet, source="checkout", amount_micros=usd("5"), state="failed",
        created_at=now, next_check_at=None,
    )  # fmt: skip


def _purchase(ilse):
    TopUp.objects.create(wallet=ilse.wallet, source="checkout", amount_micros=usd("5"))


def _refund(ilse):
    Refund.objects.create(top_up=_bought(ilse), source="stripe", cents=100, taken_micros=1_000_000)


def _dispute(ilse):
    Dispute.objects.create(id="dp_1", top_up=_bought(ilse), status="x", cents=100)


def _receivable(ilse):
    from credits.models import Receivable

    Receivable.objects.create(
        wallet=ilse.wallet, top_up=_bought(ilse), cause="refund:x", amount_micros=5
    )


def _adjustment(ilse):
    Adjustment.objects.create(
        wallet=ilse.wallet, amount_micros=5, reason="x", requested_by=ilse.user.pk,
        needs_second=True,
    )  # fmt: skip


def _running(ilse):
    holds.place(ilse.workspace_id, amount=usd("0.10"), ttl_seconds=60)


def _owner(ilse):
    team = teams.create(owner=ilse.user, name="Studio")
    other = User.objects.create(email=f"x{ilse.user.pk}@example.org")
    Membership.objects.create(workspace=team, user=other, role="member")


@pytest.mark.parametrize(
    ("code", "happens"),
    [
        ("purchase", _purchase), ("refund", _refund), ("dispute", _dispute),
        ("receivable", _receivable), ("adjustment", _adjustment), ("running", _running),
        ("owner", _owner),
    ],
)  # fmt: skip
def test_what_is_in_the_way_is_said_and_nothing_is_touched(ilse, code, happens):
    happens(ilse)
    made = due(ilse)

    steps.go_on(made.pk)

    made.refresh_from_db()
    assert (made.state, set(made.blocked)) == ("waiting", {code})
    assert made.blocked[code].endswith(".")
    assert User.objects.get(pk=ilse.user.pk).email == ilse.user.email
    assert made.next_try_at > timezone.now()
    said = Client(SERVER_NAME="localhost").get(
        f"/privacy/{tokens.token(made.pk, tokens.STATUS)}"
    )  # fmt: skip
    assert "In the way" in said.content.decode()


def test_a_call_that_runs_in_a_team_is_in_the_way_of_who_makes_it_alone(ilse, bob):
    from accounts import leaving
    from credits.models import Hold

    hold = holds.place(bob.workspace_id, amount=usd("0.10"), ttl_seconds=60)
    Hold.objects.filter(pk=hold.id).update(memo={"user": str(ilse.user.pk)})

    assert set(obstacles.of(leaving.gather(ilse.user), gives_up=True)) == {"running"}


# --- The steps --------------------------------------------------------------------------------

NAMES = ["claimed", *(step.name for step in steps.STEPS)]


@pytest.mark.parametrize("name", NAMES)
def test_a_process_may_die_after_any_step_and_the_next_goes_on(ilse, stripe, monkeypatch, name):
    buy(stripe, ilse)
    hear_all()
    made = due(ilse)

    def reached(place):
        if place == f"deletion.{name}":
            raise Died(place)

    died = 0
    with monkeypatch.context() as patch:
        patch.setattr(failpoints, "reached", reached)
        for _ in range(2):
            try:
                steps.go_on(made.pk)
            except Died:
                died += 1
                break
            now_due(made)
    assert died == 1
    assert not steps.go_on(made.pk), "it is somebody's until its time is over"
    now_due(made)

    done(made)

    assert (made.state, made.done) == ("done", [step.name for step in steps.STEPS])
    assert made.report["payments"] == {"customers": 1}
    assert made.report["keys"]["keys"] == 1
    assert not Mail.objects.filter(to=ilse.user.email).exists()


@pytest.mark.parametrize("statement", range(1, 120, 7))
def test_a_process_may_die_within_any_step(ilse, statement):
    from django.db import connection

    made, count = due(ilse), 0

    def dying(execute, sql, parameters, many, context):
        nonlocal count
        count += 1
        if count == statement:
            raise Died(sql)
        return execute(sql, parameters, many, context)

    try:
        with connection.execute_wrapper(dying):
            steps.go_on(made.pk)
    except Died:
        connection.set_rollback(False)  # The statement never came there: our transaction is whole.
        now_due(made)

    done(made)

    assert (made.state, made.done) == ("done", [step.name for step in steps.STEPS])
    assert User.objects.get(pk=ilse.user.pk).name == ""


def test_every_step_may_be_done_twice(ilse, stripe):
    buy(stripe, ilse)
    hear_all()
    made = due(ilse)
    done(made)
    Deletion.objects.filter(pk=made.pk).update(
        state="running", done=[], sealed=steps.seal(_who(ilse)), next_try_at=timezone.now()
    )
    first = made.report

    done(made)

    assert made.state == "done"
    assert first["payments"] == {"customers": 1}
    assert made.report["payments"] == {}


def _who(ilse):
    from common.personal import Person

    return Person(ilse.user.pk, ilse.user.name, (ilse.user.email,), (ilse.workspace_id,), (),
                  ("cus_gone",))  # fmt: skip


def test_stripe_that_is_away_is_asked_again_and_nothing_is_done_before(ilse, stripe, monkeypatch):
    buy(stripe, ilse)
    hear_all()
    made = due(ilse)

    def away(_):
        raise stripe_api.PaymentsUnavailable("It did not answer.")

    with monkeypatch.context() as patch:
        patch.setattr(stripe_api, "delete_customer", away)
        steps.go_on(made.pk)

    made.refresh_from_db()
    assert (made.state, made.done) == ("running", ["shut", "calm"])
    assert "PaymentsUnavailable" in made.error
    assert User.objects.get(pk=ilse.user.pk).email == ilse.user.email
    assert done(now_due(made)).state == "done"


def test_mails_about_a_teams_money_go_to_its_owner_afterwards(ilse, bob):
    team = teams.create(owner=ilse.user, name="Studio")
    teams.join(team, bob.user, role="member", by=ilse.user.pk)
    teams.transfer(team.pk, to=bob.user.pk, by=ilse.user.pk)
    assert Billing.objects.get(pk=team.pk).email == ilse.user.email

    done(due(ilse))

    assert Billing.objects.get(pk=team.pk).email == bob.user.email
    assert not Membership.objects.filter(user=ilse.user).exists()


def test_when_the_books_are_over_nothing_says_whose_they_were(ilse, stripe, settings):
    top_up = buy(stripe, ilse)
    hear_all()
    made = done(due(ilse))
    assert made.books_until == date(timezone.now().year + settings.BOOKS_YEARS, 12, 31)
    assert steps.end_pseudonyms() == 0
    Deletion.objects.filter(pk=made.pk).update(books_until=date(2020, 12, 31))

    assert steps.end_pseudonyms() == 1

    made.refresh_from_db()
    top_up.refresh_from_db()
    assert (made.user_id, made.workspaces, made.books_until) == (None, [], None)
    assert (top_up.user_id, top_up.session_id) == (None, None)


# --- The thirty days --------------------------------------------------------------------------


def test_who_waits_for_too_long_is_a_finding_until_it_is_done(ilse):
    _running(ilse)
    made = due(ilse)
    steps.go_on(made.pk)
    assert watch.look() == 0
    Deletion.objects.update(deadline_at=timezone.now() - timedelta(hours=1))

    assert watch.look() == 1

    finding = Finding.objects.get(key=f"deletion:{made.pk}")
    assert (finding.kind, finding.resolved_at) == ("privacy", None)
    assert "Calls are running" in finding.sentence
    assert watch.gauges()["platform_deletions_late"][1] == 1
    assert watch.gauges()["platform_deletion_seconds_left"][1] < 0
    deletion.cancel(made.pk)
    watch.look()
    finding.refresh_from_db()
    assert finding.resolved_at is not None


def test_the_metrics_have_it(client, ilse, settings):
    settings.METRICS_TOKEN = "t" * 20
    due(ilse)

    said = client.get("/metrics", headers={"Authorization": f"Bearer {'t' * 20}"}).content.decode()

    assert "platform_deletions_open 1.0" in said


# --- Staff, and the wire ----------------------------------------------------------------------


def run(*words):
    out = io.StringIO()
    call_command("privacy", *(str(word) for word in words), stdout=out)
    return out.getvalue()


def test_staff_enter_a_mail_and_the_person_confirms_it(ilse, bob, settings):
    settings.PUBLIC_URL = "http://localhost"
    User.objects.filter(pk=bob.user.pk).update(is_staff=True)
    roles.assign(bob.user, ["support"], by=None)
    by = ("--by", bob.user.email, "--reason", "wrote on Monday")

    made = json.loads(run("ask", ilse.user.email, *by, "--json"))
    assert made["state"] == "asked"
    assert made["id"] in run("list")
    assert (
        "http://localhost/privacy/confirm/"
        in Mail.objects.get(to=ilse.user.email, key__startswith="deletion").text
    )
    assert json.loads(run("cancel", made["id"], *by, "--json"))["state"] == "cancelled"
    assert made["id"] not in run("list")
    assert json.loads(run("show", made["id"], "--json"))["done"] == []


def test_without_an_address_of_ours_staff_are_told(ilse, bob):
    User.objects.filter(pk=bob.user.pk).update(is_staff=True)
    roles.assign(bob.user, ["support"], by=None)
    with pytest.raises(CommandError, match="PUBLIC_URL"):
        run("ask", ilse.user.email, "--by", bob.user.email, "--reason", "x")


def test_staff_take_an_archive_for_somebody_and_overwrite_nothing(ilse, tmp_path):
    file = tmp_path / "a.zip"
    run("archive", ilse.user.email, file)

    assert file.read_bytes()[:2] == b"PK"
    with pytest.raises(CommandError, match="exists"):
        run("archive", ilse.user.email, file)


def test_on_the_wire_one_asks_looks_and_stays(ilse, browser_of):
    browser = browser_of(ilse)
    path = "/v1/privacy/deletion"
    assert browser.get(path).status_code == 404

    made = browser.post(path, {"gives_up_credits": True}, "application/json")
    assert (made.status_code, made.json()["state"]) == (202, "asked")
    assert browser.get(path).json()["gives_up_credits"] is True
    assert browser.delete(path).json()["state"] == "cancelled"
    archive = browser.post("/v1/privacy/archives")
    assert (archive.status_code, archive.json()["state"]) == (202, "asked")
    assert len(browser.get("/v1/privacy/archives").json()["archives"]) == 1
    refused = Client().post(path, headers={"X-API-KEY": ilse.key})
    assert refused.status_code == 403


def test_the_page_says_how_it_stands(ilse, browser_of):
    browser = browser_of(ilse)
    before = browser.get("/account/privacy/").content.decode()
    assert "Delete my account" in before

    browser.post("/account/privacy/delete")
    assert "Waits for your confirmation" in browser.get("/account/privacy/").content.decode()
    browser.post("/account/privacy/stay")

    assert "Delete my account" in browser.get("/account/privacy/").content.decode()
    assert Deletion.objects.filter(user_id=ilse.user.pk, asked_at__lte=F("ended_at")).count() == 1


def test_their_programs_are_told_last_and_forgotten_then(ilse, stripe):
    from webhooks import endpoints
    from webhooks.models import Delivery, Endpoint

    endpoints.make(
        ilse.workspace_id, url="https://8.8.8.8/", types=[steps.COMPLETED], name="",
        by=ilse.user.pk,
    )  # fmt: skip
    made = done(due(ilse))

    assert (made.state, made.done[-1]) == ("running", "told")
    (told,) = Delivery.objects.filter(endpoint__workspace_id=ilse.workspace_id)
    assert f'"deletion_id":"{made.pk}"' in told.body
    Delivery.objects.filter(pk=told.pk).update(attempts=1)
    made = done(made)

    assert made.state == "done"
    assert not Endpoint.objects.filter(workspace_id=ilse.workspace_id).exists()
