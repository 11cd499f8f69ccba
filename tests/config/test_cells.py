"""A wallet moves between two databases, once, whoever dies on the way; both books stay proved."""

import io
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import psycopg
import pytest
from config.cells import moving, naming
from config.cells.copying import NotMoved
from config.cells.tables import MOVED, POSITIONS, TABLES, Goes, Stays
from django.apps import apps
from django.core.management import call_command
from django.db import connection, connections, transaction
from django.db.models import F
from django.test import Client
from django.utils import timezone
from psycopg.conninfo import make_conninfo

from accounts import teams
from accounts.models import Membership, User
from apikeys import keys
from apikeys.models import ApiKey
from common.errors import Moved, Moving
from common.money import usd
from credits.books import expiry, freezes, holds, ledger, lots
from credits.gifts import grants
from credits.models import (
    HOUSE,
    Account,
    Allowance,
    Billing,
    Budget,
    Entry,
    Freeze,
    Lot,
    Move,
    Refund,
    Seal,
    StripeEvent,
    TopUp,
)
from credits.payments import stripe_api, topups, webhooks
from credits.payments.stripe_objects import RefundSeen
from credits.statements import sealing
from desk import roles
from proxy.models import Answer, Job
from staff import proving
from tests import databases
from tests.call_rows import call_of
from tests.conftest import make_member
from tests.proved_calls import call, tend
from usage.models import Call

STAFF = uuid.UUID(int=1)
KILLED = -signal.SIGKILL
ROOT = Path(__file__).resolve().parents[2]
ADDRESSES = ("https://one.example.org", "https://two.example.org")
PLACES = (
    "cell.frozen", "cell.before_close", "cell.closed", "cell.copied", "cell.before_arrival",
    "cell.arrived", "cell.before_flip",
)  # fmt: skip


# --- Two cells --------------------------------------------------------------------------------


class Cells:
    """Two databases of the whole platform; `one` is where this process is, unless told."""

    def __init__(self, names):
        self.one, self.two = names

    def url(self, name):
        given = connection.get_connection_params()
        for each in ("cursor_factory", "context", "prepare_threshold"):
            given.pop(each, None)
        return make_conninfo(**{**given, "dbname": name})

    def move(self, member, *, wait=0, to=None):
        return moving.move(
            member.workspace_id, to or self.url(self.two), by=STAFF, reason="room",
            wait_seconds=wait,
        )  # fmt: skip

    def abort(self, member):
        return moving.abort(member.workspace_id, self.url(self.two), by=STAFF, reason="back")

    def money(self):
        """What the wallets of each cell have, its account `moved`, and what stands for wallets."""
        sums = []
        for name in (self.one, self.two):
            with databases.inside(name):
                wallets = Account.objects.filter(kind="wallet").values_list("balance_micros")
                stands = sum(map(stands_in, POSITIONS))
                sums.append((sum(each for (each,) in wallets), stands_in(MOVED), stands))
        return sums

    def prove(self, ways=(True,)):
        """Both books, in whole; or also from the last proof on."""
        for name in (self.one, self.two):
            with databases.inside(name):
                for deep in ways:
                    found = [d for proof in proving.run(deep=deep) for d in proof.differences]
                    assert found == [], name


def stands_in(house):
    came = Entry.objects.filter(credit=house).values_list("amount_micros", flat=True)
    went = Entry.objects.filter(debit=house).values_list("amount_micros", flat=True)
    return sum(came) - sum(went)


@pytest.fixture(scope="module")
def both(migrated, django_db_blocker):
    names = [f"{connection.settings_dict['NAME']}_cell_{n}" for n in ("one", "two")]
    with django_db_blocker.unblock():
        for number, name in enumerate(names):
            databases.sql(
                f"DROP DATABASE IF EXISTS {name} WITH (FORCE)",
                f"CREATE DATABASE {name} TEMPLATE {migrated}",
            )
            with databases.inside(name):
                naming.name(number, ADDRESSES[number], by=STAFF, reason="two of them")
        yield names
        for name in names:
            databases.sql(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def cells(both, django_db_blocker):
    with django_db_blocker.unblock(), databases.inside(both[0]):
        yield Cells(both)
        connections.close_all()


@pytest.fixture(scope="module")
def server(both):
    own = ("PYTEST", "COV_", "FAIL_POINT")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(own)}
    environment = {**kept, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'platform'}"}
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("cell_process.py"))], cwd=ROOT,
        env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    with process:
        yield process
        process.stdin.close()


@pytest.fixture
def dies(cells, server):
    """Do it in a process that is killed at a place; return how that ended."""

    def run(work, member, place=""):
        asked = {
            "work": work, "wallet": str(member.workspace_id), "url": cells.url(cells.two),
            "database": cells.one, "place": place, "wait": 0,
        }  # fmt: skip
        server.stdin.write(json.dumps(asked) + "\n")
        server.stdin.flush()
        return int(server.stdout.readline())

    return run


def buy(member, cents=2500, tax=475):
    """A purchase with tax, credited as by Stripe's word."""
    intent = f"pi_{uuid.uuid4().hex}"
    top_up = TopUp.objects.create(
        wallet_id=member.workspace_id, source="checkout", state="paid", tax_cents=tax,
        amount_micros=cents * 10_000, payment_intent_id=intent,
    )  # fmt: skip
    paid = SimpleNamespace(id=intent, received_cents=cents + tax, currency="usd")
    topups.credit(top_up, paid)


@pytest.fixture
def alice(cells):
    """Alice bought, was given, lost some to time, called, and may spend so much in a day."""
    member = make_member("1.00")
    soon = timezone.now() + timedelta(milliseconds=200)
    grants.grant(
        wallet=member.wallet, amount=usd("0.50"), key=uuid.uuid4().hex, reason="x", expires_at=soon
    )
    call(member, 30_000, run_id="press-1")
    time.sleep(0.25)
    expiry.expire_due()
    buy(member)
    grants.grant(
        wallet=member.wallet, amount=usd("2"), key=uuid.uuid4().hex, reason="x",
        expires_at=timezone.now() + timedelta(days=30),
    )  # fmt: skip
    for n in range(4):
        made = call(member, 40_000 + n, run_id="press-2", key_id=member.api_key_record.pk)
    Answer.objects.create(
        intent=made.pk, day=1, call_id=made.pk, fingerprint="f" * 64, status=200, body=b"{}",
        once=False, kept_until=timezone.now() + timedelta(hours=3),
    )  # fmt: skip
    now = timezone.now()
    Job.objects.create(
        id=made.pk, workspace_id=member.workspace_id, vendor="bfl", operation="flux-pro",
        vendor_job_id=uuid.uuid4().hex, poll_url="https://x", deadline_at=now, next_poll_at=now,
        ended_at=now, outcome="delivered",
    )  # fmt: skip
    owner = {"owner_kind": "workspace", "owner": str(member.workspace_id), "period": "day"}
    Allowance.objects.create(**owner, limit_micros=5_000_000, set_by=member.user.pk)
    Budget.objects.create(**owner, starts_at=now, limit_micros=5_000_000, taken_micros=70_000)
    tend()
    return member


@transaction.atomic
def give_up(member, hold):
    """End a call that came to nothing, with its row."""
    assert holds.void(hold)
    Account.objects.filter(pk=member.workspace_id).update(events=F("events") - 1)
    made = call_of(member, charged_micros=0, outcome="refused")
    Call.objects.filter(pk=made.pk).update(id=hold.id)


def takes_calls(member):
    with transaction.atomic():
        holds.place(member.workspace_id, amount=usd("0.01"), ttl_seconds=60)
        transaction.set_rollback(True)


def of(member):
    """What a member has in the cell where this process is."""
    return {
        "balance": lots.contents(member.workspace_id).balance,
        "lots": [(each.kind, each.left) for each in lots.contents(member.workspace_id).lots],
        "calls": list(Call.objects.filter(workspace_id=member.workspace_id).order_by(
            "number").values_list("id", "number", "charged_micros")),
        "seals": [(each.position, bytes(each.hash)) for each in Seal.objects.filter(
            wallet=member.workspace_id).order_by("position")],
        "events": Account.objects.get(pk=member.workspace_id).events,
        "paid": Account.objects.get(pk=member.workspace_id).paid_micros,
    }  # fmt: skip


# --- Decided for every table ------------------------------------------------------------------


def test_of_every_table_it_is_decided_whether_its_rows_go_along():
    models = {each._meta.label for each in apps.get_models(include_auto_created=True)}

    assert set(TABLES) == models, "say in config/cells/tables.py what becomes of it in a move"
    assert all(isinstance(each, Goes | Stays) for each in TABLES.values())


def test_whatever_points_at_a_number_of_a_sequence_is_told_the_new_one():
    numbered = {
        label for label, what in TABLES.items()
        if isinstance(what, Goes) and "Auto" in type(apps.get_model(label)._meta.pk).__name__
    }  # fmt: skip
    for label, what in TABLES.items():
        if isinstance(what, Goes):
            for field in apps.get_model(label)._meta.local_concrete_fields:
                target = field.remote_field and field.remote_field.model._meta.label
                if target in numbered:
                    assert field.column in what.as_, f"{label}.{field.column}"


def test_whatever_points_at_a_row_that_stays_is_emptied():
    for label, what in TABLES.items():
        if isinstance(what, Goes):
            for field in apps.get_model(label)._meta.local_concrete_fields:
                target = field.remote_field and field.remote_field.model._meta.label
                if target and isinstance(TABLES[target], Stays):
                    assert what.as_.get(field.column) == "NULL", f"{label}.{field.column}"


# --- Moved whole ------------------------------------------------------------------------------


def test_a_wallet_moves_with_all_that_it_is(cells, alice):
    before, sums = of(alice), cells.money()
    assert before["lots"]
    assert before["balance"] > usd("26")

    row = cells.move(alice)

    assert (row.state, row.balance_micros) == ("gone", before["balance"])
    assert of(alice)["balance"] == 0
    with databases.inside(cells.two):
        assert of(alice) == before
        assert Answer.objects.filter(call_id__in=[each[0] for each in before["calls"]]).exists()
        assert Job.objects.filter(workspace_id=alice.workspace_id).count() == 1
        assert Budget.objects.get(owner=str(alice.workspace_id)).taken_micros == 70_000
        assert User.objects.get(pk=alice.user.pk).email == alice.user.email
        assert keys.authenticate(alice.key).workspace_id == alice.workspace_id
        assert list(sealing.broken(alice.workspace_id, after=0)) == []
    after = cells.money()
    for what in range(3):  # Wallets, `moved`, and what is with the processor: each over both cells.
        assert sum(cell[what] for cell in after) == sum(cell[what] for cell in sums)
    assert sum(moved for _, moved, _ in after) == 0
    cells.prove((False, True))


def test_it_lives_on_in_the_new_cell_as_if_it_had_always_been_there(cells, alice):
    before = of(alice)
    cells.move(alice)

    with databases.inside(cells.two):
        call(alice, 50_000)
        buy(alice, cents=1000, tax=190)
        (granted,) = Lot.objects.filter(
            wallet=alice.workspace_id, expires_at__gt=timezone.now(), left_micros__gt=0
        )
        Lot.objects.filter(pk=granted.pk).update(expires_at=timezone.now())
        assert expiry.expire_due() == 1
        tend()
        assert of(alice)["balance"] < before["balance"] + usd("10") - 50_000
        assert list(sealing.broken(alice.workspace_id, after=0)) == []
    cells.prove((False, True))


def test_calls_of_months_that_the_new_cell_never_had_come_along(cells, alice):
    at = timezone.now() - timedelta(days=150)
    month = at.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    after = (month + timedelta(days=32)).replace(day=1)
    databases.sql(
        f"CREATE TABLE IF NOT EXISTS usage_call_{month:%Y_%m} PARTITION OF usage_call"
        f" FOR VALUES FROM ('{month.isoformat()}') TO ('{after.isoformat()}')"
    )
    call(alice, 20_000, started_at=at, settled_at=at)
    tend()
    before = of(alice)

    cells.move(alice)

    with databases.inside(cells.two):
        assert of(alice) == before
        assert Call.objects.filter(workspace_id=alice.workspace_id, settled_at=at).count() == 1
        found = [d for proof in proving.run() for d in proof.differences]
        assert found == [], "what came since, though it is long ago"
    cells.prove()


def test_nothing_of_what_is_left_can_be_spent(cells, alice):
    cells.move(alice)

    with pytest.raises(Moved, match=r"two\.example\.org") as told:
        holds.place(alice.workspace_id, amount=usd("0.01"), ttl_seconds=60)
    assert told.value.status == 421
    assert told.value.headers["Link"] == f'<{ADDRESSES[1]}>; rel="canonical"'
    with pytest.raises(Moved):
        grants.grant(wallet=alice.wallet, amount=usd("1"), key=uuid.uuid4().hex, reason="too late")
    with pytest.raises(Moved), transaction.atomic():
        ledger.lock(alice.workspace_id)
    with pytest.raises(Moved):
        topups.start(
            alice.workspace_id, amount=usd("5"), email="a@b.example", user_id=None, base_url=""
        )
    assert expiry.expire_due() == 0
    told = Client().get("/customers/balance", headers={"X-API-KEY": alice.key})
    assert (told.status_code, told.json()["error"]) == (421, "workspace_moved")
    freezes.freeze(alice.workspace_id, Freeze.Cause.STAFF, "Something else.", by=alice.user.pk)
    with pytest.raises(Moved):
        holds.place(alice.workspace_id, amount=usd("0.01"), ttl_seconds=60)
    freezes.lift(alice.workspace_id, Freeze.Cause.STAFF, by=alice.user.pk, reason="done")


def test_the_command_again_moves_nothing_again(cells, alice):
    first = cells.move(alice)
    sums = cells.money()

    again = cells.move(alice)

    assert (again.pk, again.state) == (first.pk, "gone")
    assert cells.money() == sums
    with pytest.raises(NotMoved, match="No move"):
        cells.abort(alice)


# --- Whoever dies -----------------------------------------------------------------------------


@pytest.mark.parametrize("place", PLACES)
def test_whoever_dies_in_a_move_it_is_gone_on_with(cells, alice, dies, place):
    before, sums = of(alice), cells.money()

    assert dies("move", alice, place) == KILLED

    # Between two steps it is in one wallet, or in the account that says it is on its way.
    found = cells.money()
    assert sum(map(sum, found)) == sum(map(sum, sums))
    with pytest.raises((Moving, Moved)):
        holds.place(alice.workspace_id, amount=usd("0.01"), ttl_seconds=60)
    assert dies("move", alice) == 0
    assert of(alice)["balance"] == 0
    with databases.inside(cells.two):
        assert of(alice) == before
        assert Entry.objects.filter(key__contains=str(before["calls"][0][0])).count() == 1
    assert Move.objects.get(wallet_id=alice.workspace_id, direction="out").state == "gone"
    cells.prove()


@pytest.mark.parametrize(
    ("place", "again"),
    [
        ("cell.frozen", ""),
        ("cell.frozen", "cell.refused"),
        ("cell.closed", "cell.before_reopen"),
        ("cell.before_arrival", "cell.refused"),
        ("cell.copied", ""),
    ],
)
def test_what_has_not_arrived_is_called_back(cells, alice, dies, place, again):
    before, sums = of(alice), cells.money()
    assert dies("move", alice, place) == KILLED

    if again:
        assert dies("abort", alice, again) == KILLED
        with pytest.raises(NotMoved, match="called back"):
            cells.move(alice)
    cells.abort(alice)
    assert cells.abort(alice).state == "aborted"

    after = of(alice)
    assert (after["balance"], after["paid"]) == (before["balance"], before["paid"])
    assert sorted(after["lots"]) == sorted(before["lots"])
    assert cells.money() == sums
    takes_calls(alice)
    with databases.inside(cells.two):
        assert not Account.objects.filter(pk=alice.workspace_id).exists()
    tend()
    cells.prove()

    cells.move(alice)  # And later it moves all the same.
    with databases.inside(cells.two):
        assert of(alice)["balance"] == before["balance"]
    cells.prove()


def test_what_arrived_is_not_called_back(cells, alice, dies):
    assert dies("move", alice, "cell.arrived") == KILLED

    with pytest.raises(NotMoved, match="arrived"):
        cells.abort(alice)

    assert cells.move(alice).state == "gone"


def test_a_key_that_is_ended_meanwhile_is_ended_there_too(cells, alice, dies):
    assert dies("move", alice, "cell.arrived") == KILLED
    ApiKey.objects.filter(pk=alice.api_key_record.pk).update(revoked_at=timezone.now())

    cells.move(alice)

    with databases.inside(cells.two):
        assert ApiKey.objects.get(pk=alice.api_key_record.pk).revoked_at is not None


def test_who_is_removed_meanwhile_is_removed_there_too(cells, alice, dies):
    team = teams.create(owner=alice.user, name="Studio")
    bob, carol = make_member("0"), make_member("0")
    for each in (bob, carol):
        Membership.objects.create(workspace=team, user=each.user, role="member")
    for each in (alice, bob, carol):
        cells.move(each)
    theirs = SimpleNamespace(workspace_id=team.pk)
    assert dies("move", theirs, "cell.arrived") == KILLED
    with pytest.raises(Moving):
        keys.issue(workspace_id=team.pk, user_id=bob.user.pk, name="lost on the way")
    Membership.objects.filter(workspace=team, user=bob.user).delete()
    User.objects.filter(pk=carol.user.pk).update(is_active=False)

    cells.move(theirs)

    with databases.inside(cells.two):
        left = Membership.objects.filter(workspace_id=team.pk).values_list("user_id", flat=True)
        assert set(left) == {alice.user.pk, carol.user.pk}
        assert not User.objects.get(pk=carol.user.pk).is_active


def hear(refunded, kind="refund.created"):
    """Stripe's word of a refund, as each cell gets it; whether that cell is done with it."""
    heard = SimpleNamespace(
        id=f"evt_{refunded.id}", type=kind, object_id=refunded.id, payload={},
        happened_at=timezone.now(),
    )  # fmt: skip
    webhooks.store(heard, listed=False)
    return webhooks.process(heard.id)


def test_a_refund_that_stripe_tells_of_on_the_way_is_booked_where_it_arrives(
    cells, alice, dies, monkeypatch
):
    bought = TopUp.objects.get(wallet=alice.workspace_id)
    refunded = RefundSeen(
        id=f"re_{uuid.uuid4().hex}", status="succeeded", cents=1190,
        payment_intent=bought.payment_intent_id, refund="", failure="",
    )  # fmt: skip
    monkeypatch.setattr(stripe_api, "refund", lambda _: refunded)
    monkeypatch.setattr(stripe_api, "payment", lambda _: SimpleNamespace(top_up=str(bought.pk)))
    before = of(alice)["balance"]
    assert dies("move", alice, "cell.closed") == KILLED
    assert not hear(refunded), "put off while it moves"
    with databases.inside(cells.two):
        assert hear(refunded), "of a purchase that nobody knows there"

    cells.move(alice)

    with databases.inside(cells.two):
        assert f"evt_{refunded.id}" in webhooks.due()
        for event in webhooks.due():
            assert webhooks.process(event)
        assert Refund.objects.get(stripe_id=refunded.id).taken_micros == usd("10")
        assert of(alice)["balance"] == before - usd("10")
        assert webhooks.due() == []
    assert not Refund.objects.filter(stripe_id=refunded.id).exists()
    StripeEvent.objects.filter(processed_at=None).update(next_try_at=timezone.now())
    assert webhooks.process(f"evt_{refunded.id}"), "here it is of a wallet that has moved"
    cells.prove()


# --- Races ------------------------------------------------------------------------------------


def test_a_call_that_runs_is_waited_for_and_is_in_what_moves(cells, alice):
    hold = holds.place(alice.workspace_id, amount=usd("0.20"), ttl_seconds=60)
    before = of(alice)["balance"]

    def end():
        with closing(connection):
            while not Move.objects.filter(wallet_id=alice.workspace_id).exists():
                time.sleep(0.05)
            with pytest.raises(Moving) as told:
                holds.place(alice.workspace_id, amount=usd("0.01"), ttl_seconds=60)
            assert (told.value.status, told.value.headers["Retry-After"]) == (503, "10")
            give_up(alice, hold)

    with ThreadPoolExecutor(1) as pool:
        ended = pool.submit(end)
        cells.move(alice, wait=20)
        ended.result()

    with databases.inside(cells.two):
        assert of(alice)["balance"] == before
    cells.prove()


def test_a_call_that_does_not_end_in_time_lets_the_wallet_go_on(cells, alice):
    hold = holds.place(alice.workspace_id, amount=usd("0.20"), ttl_seconds=60)

    with pytest.raises(NotMoved, match="1 open holds"):
        cells.move(alice)

    give_up(alice, hold)
    takes_calls(alice)
    with databases.inside(cells.two):
        assert not Account.objects.filter(pk=alice.workspace_id).exists()


def test_calls_race_the_freeze_and_each_is_counted_once(cells, alice):
    spent = []

    def spend():
        with closing(connection):
            for _ in range(40):
                try:
                    call(alice, 1000)
                    spent.append(1000)
                except (Moving, Moved):
                    return

    before = of(alice)["balance"]
    with ThreadPoolExecutor(2) as pool:
        racing = [pool.submit(spend) for _ in range(2)]
        time.sleep(0.1)
        cells.move(alice, wait=20)
        for each in racing:
            each.result()

    with databases.inside(cells.two):
        assert of(alice)["balance"] == before - sum(spent)
        assert len(of(alice)["calls"]) == 5 + len(spent)
    tend()
    cells.prove()


def test_two_who_move_at_once_move_once(cells, alice):
    before = of(alice)["balance"]

    def go(_):
        with closing(connection):
            try:
                return cells.move(alice).state
            except NotMoved as exc:
                return str(exc)

    url = cells.url(cells.two)
    cells.url = lambda _: url
    with ThreadPoolExecutor(2) as pool:
        said = list(pool.map(go, range(2)))

    assert "gone" in said
    assert set(said) <= {"gone", "Somebody else is moving this wallet just now."}
    with databases.inside(cells.two):
        assert of(alice)["balance"] == before


# --- Refused by name --------------------------------------------------------------------------


def test_what_stands_in_the_way_is_named_and_nothing_is_paused(cells, alice):
    TopUp.objects.create(
        wallet_id=alice.workspace_id, source="checkout", state="open", amount_micros=usd("5")
    )

    with pytest.raises(NotMoved, match="1 purchases that are not over"):
        cells.move(alice)

    assert not Move.objects.filter(wallet_id=alice.workspace_id).exists()
    takes_calls(alice)


def test_an_archive_is_not_come_back_to(cells, alice):
    cells.move(alice)

    with databases.inside(cells.two), pytest.raises(NotMoved, match="an archive of it"):
        cells.move(alice, to=cells.url(cells.one))


def test_a_team_moves_to_where_its_people_are(cells, alice):
    with databases.inside(cells.one):
        team = teams.create(owner=alice.user, name="Studio")
        bob = make_member("1.00")
        Membership.objects.create(workspace=team, user=bob.user, role="member")
        grants.grant(wallet=team.wallet, amount=usd("3"), key=uuid.uuid4().hex, reason="test")
        key, _ = keys.issue(workspace_id=team.pk, user_id=bob.user.pk, name="theirs")
    theirs = SimpleNamespace(workspace_id=team.pk)

    with pytest.raises(NotMoved, match="move their own workspace first"):
        cells.move(theirs)
    cells.move(alice)
    cells.move(bob)
    assert cells.move(theirs).state == "gone"

    with databases.inside(cells.two):
        found = keys.authenticate(key)
        assert (found.workspace_id, found.user_id) == (team.pk, bob.user.pk)
        assert lots.contents(team.pk).balance == usd("3")
    cells.prove()


def test_cells_with_other_secrets_take_no_wallet(cells, alice, settings):
    settings.KEY_PEPPERS = {1: b"another pepper" * 4}

    with pytest.raises(NotMoved, match="other peppers"):
        cells.move(alice)


def test_a_cell_keeps_its_number(cells):
    with pytest.raises(Exception, match="number 0"):
        naming.name(3, "https://x.example", by=STAFF, reason="x")
    with databases.inside(cells.two):
        assert Entry.objects.create(
            kind="adjustment", debit_id=HOUSE["sales"], credit_id=HOUSE["promotion"],
            amount_micros=1, key=uuid.uuid4().hex,
        ).pk > naming.ROOM  # fmt: skip


def test_a_database_that_is_away_is_told(cells, alice):
    with pytest.raises(NotMoved, match="cannot be reached"):
        cells.move(alice, to="postgresql://nobody@127.0.0.1:1/none")


# --- By command -------------------------------------------------------------------------------


@pytest.fixture
def grace(cells):
    user = make_member("0").user
    User.objects.filter(pk=user.pk).update(is_staff=True)
    roles.assign(user, ["finance"], by=None)
    return user


def test_by_command_it_is_planned_moved_and_listed(cells, alice, grace, monkeypatch):
    url = cells.url(cells.two)
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{url}\n"))
    out = io.StringIO()
    who = ("--by", grace.email, "--reason", "room")

    call_command("cell", "plan", alice.user.email, "--to", "-", stdout=out)
    assert "usage_call 5" in out.getvalue()
    assert "In the way" not in out.getvalue()
    call_command("cell", "move", str(alice.workspace_id), "--to", url, *who, stdout=out)

    assert f"{alice.workspace_id} gone with" in out.getvalue()
    listed = io.StringIO()
    call_command("cell", "list", "--json", stdout=listed)
    mine = [r for r in json.loads(listed.getvalue()) if r["workspace"] == str(alice.workspace_id)]
    assert [(each["direction"], each["state"]) for each in mine] == [("out", "gone")]
    with databases.inside(cells.two), psycopg.connect(url) as db:
        assert db.execute(
            "SELECT direction, state FROM credits_move WHERE wallet_id = %s", [alice.workspace_id]
        ).fetchone() == ("in", "arrived")
    assert Billing.objects.get(pk=alice.workspace_id).is_low
