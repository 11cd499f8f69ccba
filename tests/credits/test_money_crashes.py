"""A process dies at each named place: what is left is taken up, and nothing is done twice.

The places are those of common/failpoints.py. The process is a real one, killed by SIGKILL with
its transaction open; then production goes on: events are listed, sweeps run, time passes. In the
end the books are what Stripe remembers.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import uuid
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone
from money_world import (
    PLACES,
    ROOT,
    agree,
    customer_desk,
    deliver,
    pass_time,
    recover,
    told,
)

from common import failpoints
from common.money import usd
from credits.books import holds, ledger, lots
from credits.gifts import grants, vouchers
from credits.models import Adjustment, AutoTopUp, Dispute, Receivable, Refund, RefundAsk, TopUp
from credits.payments import automatic, customers, following, methods, refunds, topups, webhooks
from outbox.models import Mail

pytestmark = pytest.mark.system
KILLED = -signal.SIGKILL
SCRIPT = Path(__file__).with_name("money_process.py")


@dataclass
class World:
    """One member with a wallet of one dollar, a Stripe, and processes that may die."""

    fake: Any
    settings: Any
    server: Any
    wallet: uuid.UUID

    def run(self, work: str, *, place: str = "", **named: Any) -> int:
        """Do a piece of work in a process of its own; return how that ended."""
        asked = {**self.asked(work, **named), "place": place}
        self.server.stdin.write(json.dumps(asked) + "\n")
        self.server.stdin.flush()
        return int(self.server.stdout.readline())

    def asked(self, work: str, **named: Any) -> dict[str, Any]:
        return {
            "work": work,
            "with": {key: str(value) for key, value in named.items()},
            "database": connection.settings_dict["NAME"],
            "stripe": self.fake.url,
            "tax": self.settings.STRIPE_AUTOMATIC_TAX,
        }

    def buy(self, *, pay: bool = True, learn: bool = True) -> TopUp:
        top_up = topups.start(
            self.wallet, amount=usd("25"), email="a@example.org", user_id=None, base_url=""
        )
        if pay:
            self.fake.post(f"sessions/{top_up.session_id}/pay")
        return topups.refresh(top_up.pk) if learn else top_up

    def spend(self, dollars: str) -> None:
        hold = holds.place(self.wallet, amount=usd(dollars), ttl_seconds=60)
        assert holds.capture(hold, usd(dollars))

    def save_card(self, card: str) -> None:
        page = methods.start_setup(self.wallet, email="a@b.example", user_id=None, base_url="")
        self.fake.post(f"sessions/{page.id}/save", card=card)
        methods.refresh_setup(self.wallet)
        automatic.configure(
            self.wallet, enabled=True, threshold=usd("5"), amount=usd("7"), monthly_cap=usd("7")
        )

    def balance(self) -> int:
        return lots.contents(self.wallet).balance

    def at_stripe(self, kind: str) -> list[dict[str, Any]]:
        return self.fake.get("state").get(kind, [])


class Scene:
    """What is done, by whom again after a death, and what there is in the end."""

    work = ""
    patience = timedelta(days=1)
    """How long nobody takes it up, the second time: Stripe has forgotten our keys by then."""

    def prepare(self, world: World) -> dict[str, Any]:
        raise NotImplementedError

    def again(self, world: World) -> None:
        """Do what a person does who got no answer: nothing, unless told."""

    def prove(self, world: World) -> None:
        raise NotImplementedError


class Beginning(Scene):
    """Somebody wants to buy, gets no page, wants it again, and pays."""

    work = "begin"
    patience = timedelta(minutes=3)  # After a day it is another customer, and no page is open.

    def prepare(self, world):
        return {"wallet": world.wallet}

    def again(self, world):
        world.buy(learn=False)

    def prove(self, world):
        assert world.balance() == usd("26")
        assert [each.state for each in TopUp.objects.filter(state="credited")] == ["credited"]
        assert len(world.at_stripe("payment_intent")) == 1
        assert len(world.at_stripe("customer")) == 1


class LostPage(Beginning):
    """The page is opened, nobody hears of it, and somehow it is paid all the same: with tax.

    The first that we hear is of the payment, which says nothing of the tax.
    """

    def prepare(self, world):
        world.settings.STRIPE_AUTOMATIC_TAX = True
        return super().prepare(world)

    def again(self, world):
        (page,) = world.at_stripe("checkout.session")
        world.fake.post(f"sessions/{page['id']}/pay")
        for event in told(world.fake):
            if event["type"] == "payment_intent.succeeded":
                deliver(event)
                webhooks.process(event["id"])


class ComingBack(Scene):
    """Somebody has paid, and comes back from the page."""

    work = "come_back"

    def prepare(self, world):
        return {"purchase": world.buy(learn=False).pk}

    def prove(self, world):
        assert world.balance() == usd("26")
        assert TopUp.objects.get().state == "credited"


class Hearing(ComingBack):
    """Somebody has paid, and only events tell us."""

    work = "sweep"

    def prepare(self, world):
        super().prepare(world)
        TopUp.objects.update(next_check_at=None)
        return {}


class GivingBack(Scene):
    """Staff give five dollars of a purchase back."""

    work = "give_back"

    def prepare(self, world):
        return {"purchase": world.buy().pk}

    def again(self, world):
        if not Refund.objects.exists():  # Staff look first: it is in the purchase's list.
            assert world.run("give_back", purchase=TopUp.objects.get().pk) == 0

    def prove(self, world):
        assert world.balance() == usd("21")
        assert Refund.objects.get().state == "succeeded"
        assert [each["amount"] for each in world.at_stripe("refund")] == [500]


class Deciding(GivingBack):
    """A second person lets a refund be, sees that it did not come about, and does it again."""

    work = "decide"

    def prepare(self, world):
        made = RefundAsk.objects.create(
            top_up=world.buy(), amount_micros=usd("5"), reason="x", requested_by=uuid.UUID(int=1)
        )
        return {"ask": str(made.pk)}

    def again(self, world):
        assert world.run("decide", ask=str(RefundAsk.objects.get().pk)) == 0

    def prove(self, world):
        super().prove(world)
        assert RefundAsk.objects.get().refund == Refund.objects.get()


class WantingBack(GivingBack):
    """A member wants five dollars back; the page did not answer, and they press it again."""

    work = "want_back"

    def prepare(self, world):
        return {"purchase": world.buy().pk, "wallet": world.wallet, "key": str(uuid.UUID(int=9))}

    def again(self, world):
        purchase = TopUp.objects.get().pk
        asked = {"wallet": world.wallet, "key": str(uuid.UUID(int=9))}
        assert world.run("want_back", purchase=purchase, **asked) == 0

    def prove(self, world):
        super().prove(world)
        assert RefundAsk.objects.get().refund == Refund.objects.get()


class GivingBackThere(GivingBack):
    """Five dollars are given back in Stripe's dashboard, where nobody looks at our list."""

    work = "sweep"

    def prepare(self, world):
        payment = world.buy().payment_intent_id
        asked = {"payment_intent": payment, "amount": 500}
        customer_desk(world.fake).v1.refunds.create(asked)
        return {}

    def again(self, world):
        pass


class RefundFailing(Scene):
    """A refund that was made fails at the bank."""

    work = "sweep"

    def prepare(self, world):
        world.run("give_back", purchase=world.buy().pk)
        world.fake.post(f"refunds/{Refund.objects.get().stripe_id}/fail")
        return {}

    def prove(self, world):
        assert world.balance() == usd("26")
        assert Refund.objects.get().state == "failed"
        assert lots.contents(world.wallet).left("paid") == usd("25"), "it may be refunded again"


class BuyingAutomatically(Scene):
    """A saved card is charged, as it was wished."""

    work = "buy_automatically"

    def prepare(self, world):
        world.save_card("visa")
        return {"wallet": world.wallet}

    def prove(self, world):
        assert world.balance() == usd("8")
        assert TopUp.objects.get().state == "credited"
        (payment,) = world.at_stripe("payment_intent")
        assert payment["amount_received"] == 700


class Declined(Scene):
    """A saved card is charged and declined: counted once, and its owner told once."""

    work = "buy_automatically"
    patience = timedelta(minutes=3)  # After an hour it is charged again, as it should be.

    def prepare(self, world):
        world.save_card("chargeCustomerFail")
        return {"wallet": world.wallet}

    def prove(self, world):
        assert world.balance() == usd("1")
        assert TopUp.objects.get().state == "failed"
        assert [each["status"] for each in world.at_stripe("payment_intent")] == ["canceled"]
        assert AutoTopUp.objects.get().failures == 1
        assert Mail.objects.filter(key__startswith="automatic:").count() == 1


class Contested(Scene):
    """A bank takes a payment back of which some is spent."""

    work = "sweep"

    def prepare(self, world):
        bought = world.buy()
        world.spend("3")
        world.fake.post("disputes", payment_intent=bought.payment_intent_id)
        return {}

    def prove(self, world):
        dispute = Dispute.objects.get()
        assert (dispute.phase, dispute.taken_micros) == ("withdrawn", usd("23"))
        assert Receivable.objects.get().due_micros == usd("2")
        assert world.balance() == 0


class Redeeming(Scene):
    """Somebody redeems a code, gets no answer, and tries again."""

    work = "redeem"

    def prepare(self, world):
        self.code, self.voucher = vouchers.make(name="x", amount=usd("2"), uses=1)
        return {"wallet": world.wallet, "code": self.code}

    def again(self, world):
        vouchers.redeem(world.wallet, self.code)

    def prove(self, world):
        self.voucher.refresh_from_db()
        assert (world.balance(), self.voucher.used) == (usd("3"), 1)


class Adjusting(Scene):
    """Staff give two dollars, see that they are not there, and do it again."""

    work = "adjust"

    def prepare(self, world):
        return {"wallet": world.wallet}

    def again(self, world):
        if not Adjustment.objects.exists():
            assert world.run("adjust", wallet=world.wallet) == 0

    def prove(self, world):
        assert world.balance() == usd("3")


class Expiring(Scene):
    """Credits whose time is over are ended."""

    work = "expire"

    def prepare(self, world):
        grants.grant(
            wallet=ledger.Account.objects.get(pk=world.wallet), amount=usd("4"), key="short",
            reason="x", expires_at=timezone.now() - timedelta(seconds=1),
        )  # fmt: skip
        return {}

    def prove(self, world):
        assert world.balance() == usd("1")


SCENES = {
    Beginning: ["topup.customer_made", "topup.begun", "topup.page_opened"],
    LostPage: ["topup.page_opened"],
    ComingBack: ["topup.payment_known", "topup.paid", "topup.before_commit"],
    Hearing: [
        "topup.payment_known", "topup.paid", "topup.before_commit",
        "event.listed", "event.claimed", "event.acted",
    ],
    GivingBack: [
        "refund.before_taken", "refund.taken", "refund.sent", "refund.known", "refund.before_moved",
    ],
    Deciding: ["refund_ask.before_decided", "refund.sent"],
    WantingBack: ["wanted_back.before_made", "wanted_back.made", "refund.sent"],
    GivingBackThere: [
        "refund.before_adopted", "refund.known", "refund.before_moved", "event.acted",
    ],
    RefundFailing: ["event.claimed", "refund.known", "refund.before_failed", "event.acted"],
    BuyingAutomatically: [
        "automatic.begun", "automatic.charged", "topup.payment_known", "topup.paid",
        "topup.before_commit",
    ],
    Declined: [
        "automatic.begun", "automatic.declined", "automatic.refused", "automatic.before_commit",
    ],
    Contested: ["dispute.read", "dispute.opened", "dispute.before_commit", "event.acted"],
    Redeeming: ["voucher.counted", "voucher.before_commit"],
    Adjusting: ["adjustment.before_commit"],
    Expiring: ["expiry.before_commit"],
}  # fmt: skip
ONCE = [(scene, place) for scene, places in SCENES.items() for place in places]
AGAIN = [
    (scene, place, places[(at + 1) % len(places)])
    for scene, places in SCENES.items()
    for at, place in enumerate(places)
]
"""Whoever takes it up dies at the same place, and whoever comes after that at the next."""


@pytest.fixture(scope="module")
def server(migrated):
    """Fork processes that may be killed."""
    own = ("PYTEST", "COV_", "FAIL_POINT")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(own)}
    environment = {
        **kept,
        "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'platform'}",
        "STRIPE_API_KEY": "sk_test_ours",
        "CELERY_BROKER_URL": "memory://",
    }
    process = subprocess.Popen(
        [sys.executable, str(SCRIPT)], cwd=ROOT, env=environment, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    process.environment = environment
    with process:
        yield process
        process.stdin.close()


@pytest.fixture
def world(own_books, fake, settings, server):
    wallet = ledger.open_wallet(uuid.uuid4())
    customers.billing_of(wallet.pk, email="a@example.org")
    grants.grant(wallet=wallet, amount=usd("1"), key=uuid.uuid4().hex, reason="test")
    return World(fake, settings, server, wallet.pk)


def test_every_place_of_the_code_is_tried():
    tried = {place for places in SCENES.values() for place in places}
    assert tried == set(PLACES)


@pytest.mark.parametrize(("scene", "place"), ONCE)
def test_who_dies_once_is_taken_up(world, scene, place):
    story = scene()
    asked = story.prepare(world)

    assert world.run(story.work, place=place, **asked) == KILLED

    end(world, story)


@pytest.mark.parametrize(("scene", "place", "other"), AGAIN)
def test_who_takes_it_up_may_die_there_too_and_elsewhere(world, scene, place, other):
    story = scene()
    asked = story.prepare(world)

    assert world.run(story.work, place=place, **asked) == KILLED
    for deadly, later in ((place, timedelta(minutes=3)), (other, story.patience)):
        pass_time(world.fake, later)
        assert world.run("sweep", place=deadly) in (0, KILLED)

    end(world, story)


def test_what_was_made_is_found_where_no_event_and_no_key_tells_of_it(world):
    """The sweep is there before any event, and Stripe has forgotten the key: it looks first."""
    asked = GivingBack().prepare(world)
    assert world.run("give_back", place="refund.sent", **asked) == KILLED
    world.fake.post("keys/forget")

    refunds.send(Refund.objects.get().pk)

    GivingBack().prove(world)


@pytest.mark.parametrize("later", [timedelta(minutes=3), timedelta(days=1)])
def test_what_was_charged_is_not_charged_again_where_no_event_tells_of_it(world, later):
    """By the same key while Stripe knows it, by looking for it afterwards."""
    asked = BuyingAutomatically().prepare(world)
    assert world.run("buy_automatically", place="automatic.charged", **asked) == KILLED
    pass_time(world.fake, later)

    following.check(TopUp.objects.get())

    BuyingAutomatically().prove(world)


def test_the_environment_names_the_place(world, server):
    top_up = world.buy(learn=False)
    asked = json.dumps(world.asked("come_back", purchase=top_up.pk))

    died = subprocess.run(
        [sys.executable, str(SCRIPT), asked], cwd=ROOT, check=False,
        env={**server.environment, "FAIL_POINT": "topup.before_commit"},
    )  # fmt: skip

    assert died.returncode == KILLED
    assert TopUp.objects.get().state == "paid"


def test_without_the_environment_no_place_is_deadly():
    assert failpoints.armed == ""


def end(world, story):
    """Let production go on, and the member too; then all is as if nobody had died."""
    story.again(world)
    recover(world.fake)
    assert agree(world.fake.get("state")) == []
    story.prove(world)
