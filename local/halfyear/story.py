"""What happens in the half year, day by day: the same each time, as the seed has it.

    a day        people call at their hours, some are refused or fail, and the worker does its round
    an event     something that happens once, on a day of the half year (`EVENTS`)

Who reads it from top to bottom knows what there is to see.
"""

from __future__ import annotations

import contextlib
import io
import random
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from local.halfyear import buying, calling, cast, nights, running
from local.halfyear.calling import Press
from local.halfyear.cast import LUMEN, SCHOOL
from local.halfyear.clock import Clock
from local.halfyear.programs import Programs

DAYS = 182
PICTURES = ("bfl", "ideogram", "recraft", "stability", "openai", "krea", "reve", "bria")
FILMS = ("kling", "luma", "runway", "minimax", "pixverse", "vidu", "wan", "pika", "xai")
SOLIDS = ("tripo", "meshy", "tencent", "rodin")
SOUNDS = ("elevenlabs", "fishaudio", "stability", "sonilo")
OTHERS = ("vertexai", "anthropic", "qwen", "wavespeed", "topaz", "magnific", "byteplus", "quiver")
FAILURES = ("moderated", "failed", "status=500", "status=429", "drop_after", "nonjson")
VIDEO = "/proxy/veo/{model}/generate"
PICTURE = "/proxy/bfl/flux-2-pro/generate"


@dataclass
class Play:
    """Everything that a scene needs."""

    programs: Programs
    clock: Clock
    cast: cast.Cast
    callers: calling.Callers
    dice: random.Random
    hooks: str
    receiver: Any
    few: bool
    say: Callable[[str], None]
    things: dict[str, Any] = field(default_factory=dict)
    """What a later scene comes back to."""

    def by(self, role: str) -> Any:
        """Return who of staff has that role."""
        return self.cast.staff[role].pk

    def wallet(self, team: str) -> Any:
        """Return the wallet of a team."""
        return self.cast.teams[team].pk


def play(made: Play, begins: datetime) -> None:
    """Live through all days, the last of which is today."""
    due = sorted(EVENTS, key=lambda each: each[0])
    for day in range(DAYS):
        midnight = begins + timedelta(days=day)
        while due and due[0][0] <= day:
            made.clock.set(midnight + timedelta(hours=9))
            scene = due.pop(0)[1]
            began = time.monotonic()
            scene(made)
            made.say(f"day {day}: {scene.__name__} ({time.monotonic() - began:.1f} s)")
        if not made.few or day % 14 == 0 or day > DAYS - 4:
            _day(made, midnight, day)
    made.clock.set(begins + timedelta(days=DAYS))
    nights.night(made)


def _day(made: Play, midnight: datetime, day: int) -> None:
    is_free = midnight.weekday() >= 5
    for hour in (15,) if is_free else (10, 14, 17):
        made.clock.set(midnight + timedelta(hours=hour, minutes=made.dice.randrange(50)))
        presses = _presses(made, day, few=is_free)
        if presses:
            made.callers.press(presses, seconds=made.dice.uniform(12, 80))
        nights.round_of_worker(made)
    made.clock.set(midnight + timedelta(hours=23))
    if day % 3 == 0:
        nights.night(made)


def _presses(made: Play, day: int, *, few: bool) -> list[Press]:
    """Return who presses Run at one hour of a day: a studio's more with each month."""
    busy = 1 if few else 2 + day // 60
    found = []
    for name, key, vendors in PALETTES:
        person = made.cast.people.get(name)
        whole = person.keys.get(key) if person else None
        if whole is None or made.dice.random() > (0.35 if few else 0.6):
            continue
        for _ in range(made.dice.randint(1, busy)):
            count = made.dice.choice((1, 1, 2, 2, 3, 4))
            failure = made.dice.choice(FAILURES) if made.dice.random() < 0.06 else ""
            samples = calling.chosen(made.dice, vendors, count)
            found.append(Press(whole, samples, failure))
    return found


PALETTES = (
    ("mina", "Laptop", PICTURES),
    ("jonas", "Workstation", PICTURES + FILMS),
    ("priya", "Render farm, night", FILMS),
    ("tomasz", "Storyboards", PICTURES + OTHERS),
    ("aiko", "Sound", SOUNDS + FILMS[:3]),
    ("prof", "Seminar", PICTURES[:4]),
    ("emre", "Class room 2.14", PICTURES + SOLIDS),
    ("student", "Diploma film", PICTURES + SOLIDS + SOUNDS),
    ("nadia", "Home", PICTURES[:3]),
    ("otto", "Home", OTHERS),
)
"""Who calls with which key, and what their workflows are made of."""


# --- What happens once ---------------------------------------------------------------------------


def house_opens(made: Play) -> None:
    """Staff are there, an origin is allowed, and somebody tried from elsewhere."""
    from accounts import origins
    from desk import banners
    from runs import workers

    cast.employ(made.cast)
    origins.allow("https://*.lumen-yard.example", by=made.by("support"), reason="their own page")
    with contextlib.suppress(Exception):
        origins.check("https://comfy.free-credits.example")
    terms = workers.Terms(
        base_url=f"http://127.0.0.1:{made.programs.machine}",
        accelerator="demo",
        micros_per_second=400,
        micros_per_output=2000,
        slots=2,
    )
    workers.add("demo", terms, by=made.by("operations"), reason="the first machine")
    other = workers.Terms(
        base_url="http://rack-2.machines.example:8188", accelerator="A100_80GB",
        micros_per_second=900, minimum_micros=5000, micros_per_output=2000, slots=4,
    )  # fmt: skip
    workers.add("rack-2-a100", other, by=made.by("operations"), reason="rented for the summer")
    workers.drain("rack-2-a100", by=made.by("operations"), reason="it is returned in autumn")
    made.programs.start_runner()
    banners.put_up(
        "Welcome: these are the first weeks. Tell us what you miss.", level="info",
        begins_at=made.clock.now(), ends_at=made.clock.now() + timedelta(days=21),
        for_staff=False, by=made.by("operations"),
    )  # fmt: skip


def studio_comes(made: Play) -> None:
    """Mina makes a team, asks her people in, and pays for the first credits."""
    cast.come(made.cast, "mina", "jonas", "priya", "tomasz")
    team = cast.found(made.cast, LUMEN, owner="mina")
    cast.join(made.cast, LUMEN, "jonas", role="billing", by="mina")
    cast.join(made.cast, LUMEN, "priya", "tomasz", by="mina")
    mina = made.cast["mina"].user
    made.things["first purchase"] = buying.buy(made.programs, team.pk, mina, "250")
    cast.key(made.cast, "mina", "Laptop", at=team.pk, project="Kite film")
    cast.key(made.cast, "jonas", "Workstation", at=team.pk, project="Kite film")
    cast.key(
        made.cast, "priya", "Render farm, night", at=team.pk, project="Harbour, season 2",
        amounts={"day": 60_000_000, "month": 900_000_000},
    )  # fmt: skip
    cast.key(made.cast, "tomasz", "Storyboards", at=team.pk, project="Kite film")


def school_comes(made: Play) -> None:
    """A class with a long name comes, on vouchers and a grant instead of a card."""
    from credits.gifts import vouchers

    cast.come(made.cast, "prof", "emre", "student")
    team = cast.found(made.cast, SCHOOL, owner="prof")
    cast.join(made.cast, SCHOOL, "emre", "student", by="prof")
    code, voucher = vouchers.make(
        name="Autumn school 2026", amount=_usd("40"), uses=25, credits_last_days=150,
        redeem_until=made.clock.now() + timedelta(days=200), made_by=made.by("finance"),
        reason="the ministry pays",
    )  # fmt: skip
    vouchers.approve(voucher.pk, by=made.by("all"))  # It is more than one person may give.
    made.things["code"] = code
    vouchers.redeem(team.pk, code)
    for name, called in (("prof", "Seminar"), ("emre", "Class room 2.14")):
        cast.key(made.cast, name, called, at=team.pk, project="Seminar", pace=60)
    cast.key(
        made.cast, "student", "Diploma film", at=team.pk,
        project="Diplomfilm: Die Vermessung des Nebels (Arbeitstitel)",
        amounts={"week": 8_000_000},
    )  # fmt: skip


def others_come(made: Play) -> None:
    """People alone: one buys, one lives on a gift, one only looks."""
    from credits.gifts import adjustments

    cast.come(made.cast, "nadia", "otto", "rosa")
    nadia, otto = made.cast["nadia"], made.cast["otto"]
    buying.buy(made.programs, nadia.home, nadia.user, "10", ends="decline")
    made.things["nadia's"] = buying.buy(made.programs, nadia.home, nadia.user, "25")
    adjustments.request(
        otto.home, amount=_usd("15"), reason="found a fault in the sign-up page", is_gift=True,
        requested_by=made.by("support"),
    )  # fmt: skip
    cast.key(made.cast, "nadia", "Home", at=nadia.home)
    cast.key(made.cast, "otto", "Home", at=otto.home)
    cast.key(made.cast, "rosa", "Only looking", at=made.cast["rosa"].home)


def limits_are_met(made: Play) -> None:
    """Each limit refuses somebody once: what is asked for is the same, and the answers differ."""
    from apikeys import allowances

    wallet = made.wallet(LUMEN)
    allowances.set_rule(
        wallet, "member", str(made.cast["tomasz"].user.pk), "month", _usd("120"),
        by=made.cast["mina"].user.pk,
    )  # fmt: skip
    allowances.set_rule(wallet, "project", "Kite film", "total", _usd("2400"),
                        by=made.cast["mina"].user.pk)  # fmt: skip
    allowances.set_rule(wallet, "workspace", "", "month", _usd("1500"),
                        by=made.cast["mina"].user.pk)  # fmt: skip
    keys = {
        "Cheap calls only": {"call_limit": 20_000},
        "Ideogram only": {"vendors": frozenset({"ideogram"})},
        "At the office only": {"networks": _networks("192.0.2.0/24", "2001:db8:17::/48")},
        "Reads the bill": {"scopes": ("usage:read",)},
        "Three a minute": {"pace": 3},
        "Ten cents a day": {"amounts": {"day": 100_000}},
    }
    for called, rights in keys.items():
        key = cast.key(made.cast, "tomasz", called, at=wallet, **rights)
        again = 6 if "pace" in rights or "amounts" in rights else 1
        made.callers.press([Press(key, [calling.one(PICTURE)] * again)])
    poor = made.cast["rosa"].keys["Only looking"]
    made.callers.press([Press(poor, [calling.one(VIDEO)]), Press(poor, [calling.one(PICTURE)])])
    slow = made.cast["nadia"].keys["Home"]
    made.callers.press([Press(slow, [calling.one(PICTURE)]) for _ in range(9)])


def studio_grows(made: Play) -> None:
    """More people, a saved card, credits bought by themselves, more calls at once, and webhooks."""
    from credits.books import limits
    from credits.payments import customers
    from webhooks import endpoints
    from webhooks.models import TYPES

    cast.come(made.cast, "aiko", "bo")
    cast.join(made.cast, LUMEN, "aiko", by="mina")
    team, mina = made.wallet(LUMEN), made.cast["mina"].user
    cast.key(made.cast, "aiko", "Sound", at=team, project="Harbour, season 2", pace=120)
    buying.automatic(made.programs, team, mina, threshold="60", amount="150", cap="1200")
    customers.warn_below(team, _usd("50"))
    limits.set_concurrency(team, 40, by=made.by("operations"), reason="they deliver on Friday")
    made.things["webhook"], _ = endpoints.make(
        team, url=f"{made.hooks}/comfy", types=TYPES, name="Production desk", by=mina.pk
    )
    endpoints.make(
        team, url=f"{made.hooks}/archive/with/a/rather/long/path/that/somebody/once/chose",
        types=["run.succeeded"], name="", by=mina.pk,
    )  # fmt: skip


def runs_begin(made: Play) -> None:
    """Workflows are kept under names, run on the machine, fail there, and are called off."""
    from runs import workflows

    team, mina = made.wallet(LUMEN), made.cast["mina"].user.pk
    key = made.cast["mina"].keys["Laptop"]
    kept = {}
    for name in ("Kite film, backgrounds", "Turntable of a prop", "Contact sheet (48 frames)"):
        graph = running.workflow(made.dice, paid="Turntable" in name)
        kept[name] = workflows.make(team, name=name, graph=graph, by=mina)
    workflows.give_version(
        kept["Turntable of a prop"], running.workflow(made.dice, paid=True, of=2), by=mina
    )
    _run(made, (key, running.workflow(made.dice, fails=True)))
    _run(made, (key, running.workflow(made.dice)), cancels=True)
    _run(made, (key, running.workflow(made.dice, paid=True)), (key, running.workflow(made.dice)))


def runs_go_on(made: Play) -> None:
    """The studio and the class have workflows run."""
    farm = made.cast["priya"].keys["Render farm, night"]
    room = made.cast["emre"].keys["Class room 2.14"]
    _run(
        made,
        (farm, running.workflow(made.dice, of=4)),
        (farm, running.workflow(made.dice, paid=True)),
        (room, running.workflow(made.dice, fails=made.dice.random() < 0.3)),
    )


def _run(made: Play, *given: tuple[str, running.Graph], cancels: bool = False) -> None:
    base_url = made.programs.base_url
    running.run(base_url, made.clock, given, dice=made.dice, cancels=cancels)


def prices_change(made: Play) -> None:
    """The house asks more than is published, after it has looked what that would have come to."""
    from prices import comparing, drafts
    from prices.terms import Term
    from proxy import price_book

    changes = [Term("*", "markup", 80_000), Term("kling", "markup", 120_000)]
    draft = drafts.draft(
        changes=changes, known=price_book.names(), by=made.by("finance"),
        reason="the machines and the people who look after them",
    )  # fmt: skip
    comparing.compare(draft.pk)
    at = made.clock.now() + timedelta(minutes=5)
    drafts.publish(draft.pk, at=at, by=made.by("finance"), reason="agreed with the owners")
    made.clock.set(at + timedelta(minutes=1))


def prices_change_again(made: Play) -> None:
    """A class has its discount at one vendor, and another draft lies on the desk."""
    from prices import comparing, drafts
    from prices.terms import Term
    from proxy import price_book

    by, known = made.by("finance"), price_book.names()
    draft = drafts.draft(
        changes=[Term("bfl", "markup", 30_000), Term("*", "markup", 60_000)], known=known, by=by,
        reason="what was bought in advance is cheaper",
    )  # fmt: skip
    comparing.compare(draft.pk)
    at = made.clock.now() + timedelta(minutes=5)
    drafts.publish(draft.pk, at=at, by=by, reason="from the new contract on")
    made.clock.set(at + timedelta(minutes=1))
    waiting = drafts.draft(
        changes=[Term("runway", "markup", 150_000)], known=known, by=by, reason="their new list"
    )
    comparing.compare(waiting.pk)


def vendor_is_off(made: Play) -> None:
    """A vendor is switched off for an hour; who calls it meanwhile reads why."""
    from proxy import switches

    by = made.by("operations")
    switches.switch_off("kling", "", "Kling does not answer. What fails costs nothing.", by=by)
    made.clock.set(made.clock.now() + timedelta(minutes=2))
    key = made.cast["jonas"].keys["Workstation"]
    sample = next(iter(calling.affordable()["kling"]))
    made.callers.press([Press(key, [sample, sample, sample])])
    made.clock.set(made.clock.now() + timedelta(hours=1))
    switches.switch_on("kling", "", by=by, reason="it answers again")


def house_pauses(made: Play) -> None:
    """A quarter of an hour of maintenance, announced by a banner."""
    from desk import banners, maintenance

    by, now = made.by("operations"), made.clock.now()
    banners.put_up(
        "On Sunday from 9:00 to 9:15 UTC no new calls begin: the database moves to a new disk.",
        level="warning", begins_at=now, ends_at=now + timedelta(hours=1), for_staff=False, by=by,
    )  # fmt: skip
    maintenance.begin(
        "The database moves to a new disk.", until=now + timedelta(minutes=15), by=by
    )
    made.callers.press([Press(made.cast["mina"].keys["Laptop"], [calling.one(PICTURE)])])
    made.clock.set(now + timedelta(minutes=15))
    maintenance.end(by=by, reason="it moved")


def money_comes_back(made: Play) -> None:
    """What Nadia has not spent is given back; an adjustment, and a note of why."""
    from credits.gifts import adjustments
    from desk import notes

    made.things["nadia's"].refresh_from_db()
    buying.refund(
        made.programs, made.things["nadia's"], by=made.cast.staff["support"], amount="5",
        reason="bought one package too many",
    )  # fmt: skip
    notes.write(
        made.wallet(LUMEN),
        "Talks to Fay about an invoice with the number of their order on it. Reads mail in the "
        "evening only; the phone is faster.",
        by=made.by("support"),
    )
    adjustments.request(
        made.wallet(LUMEN), amount=_usd("12.5"), requested_by=made.by("support"),
        reason="frames that came out black; the vendor confirms it",
    )  # fmt: skip


def payment_is_disputed(made: Play) -> None:
    """A bank takes Lumen Yard's first payment back, and loses a month later."""
    made.things["dispute"] = buying.dispute(made.programs, made.things["first purchase"])


def dispute_is_won(made: Play) -> None:
    """The credits are there again."""
    buying.dispute_ends(made.programs, made.things["dispute"], "won")


def spent_money_is_taken_back(made: Play) -> None:
    """Otto pays, spends it, and has it taken back: it is owed, and new calls wait for it."""
    otto = made.cast["otto"]
    bought = buying.buy(made.programs, otto.home, otto.user, "10", card="mastercard")
    sample = calling.one("/proxy/recraft/images/creativeUpscale")
    for _ in range(9):
        made.callers.press([Press(otto.keys["Home"], [sample] * 6)])
    name = buying.dispute(made.programs, bought)
    buying.dispute_ends(made.programs, name, "lost")
    made.callers.press([Press(otto.keys["Home"], [sample])])


def card_is_declined(made: Play) -> None:
    """The saved card is declined for a while; then it is good again."""
    team = made.wallet(LUMEN)
    buying.card_declines(made.programs, team, declines=True)
    made.callers.press(_spree(made, 12))
    nights.round_of_worker(made)
    made.clock.set(made.clock.now() + timedelta(hours=5))
    buying.card_declines(made.programs, team, declines=False)
    made.callers.press(_spree(made, 3))


def _spree(made: Play, presses: int) -> list[Press]:
    key = made.cast["jonas"].keys["Workstation"]
    return [Press(key, [calling.one(VIDEO)] * 4) for _ in range(presses)]


def studio_buys(made: Play) -> None:
    """Lumen Yard buys what the saved card's cap does not allow."""
    buying.buy(made.programs, made.wallet(LUMEN), made.cast["jonas"].user, "400")


def school_is_given(made: Play) -> None:
    """The class redeems again, and is given what a second person agreed to."""
    from credits.gifts import adjustments, vouchers

    team = made.wallet(SCHOOL)
    with contextlib.suppress(Exception):  # A code is good once for each workspace.
        vouchers.redeem(team, made.things["code"])
    asked = adjustments.request(
        team, amount=_usd("300"), requested_by=made.by("support"), is_gift=True,
        reason="a grant for the diploma films, by the owners' letter of the third",
    )  # fmt: skip
    adjustments.decide(asked.pk, accept=True, decided_by=made.by("finance"))


def bill_comes(made: Play) -> None:
    """BFL's export of a month is matched with our calls: some lines fit, and some do not."""
    from prices import bills
    from prices.exports import Form
    from usage.models import Call

    found = Call.objects.filter(vendor="bfl", outcome="delivered").order_by("-settled_at")[:120]
    lines = ["request_id,cost,created_at"]
    for number, call in enumerate(found):
        if number % 17 == 0:
            continue
        cost = call.charged_micros / 1_100_000 * (3 if number % 23 == 0 else 1)
        request = call.vendor_request_id or call.vendor_job_id
        line = f"{request},{cost:.6f},{call.settled_at.isoformat()}"
        lines += [line] * (2 if number % 29 == 1 else 1)
    lines.append(f"{uuid.UUID(int=made.dice.getrandbits(128))},0.06,{made.clock.now().isoformat()}")
    bills.bring_in(
        io.BytesIO("\n".join(lines).encode()), vendor="bfl", filename="bfl-usage-october.csv",
        form=Form(), by=made.by("finance"), reason="the bill of October",
    )  # fmt: skip


def somebody_left(made: Play) -> None:
    """Bo tried it, took his data along, and is deleted after the days of grace."""
    from privacy import deletion, exports

    user = made.cast["bo"].user
    exports.ask(user.pk, base_url=made.programs.base_url)
    nights.night(made)
    asked = deletion.ask(user, base_url=made.programs.base_url, gives_up=True)
    deletion.confirm(asked.pk)
    for _ in range(4):
        made.clock.set(made.clock.now() + timedelta(days=3))
        nights.night(made)
    del made.cast.people["bo"]


def receiver_breaks(made: Play) -> None:
    """The studio's program is broken while a run ends: it is tried again, and then it works."""
    made.receiver.broken = True
    _run(made, (made.cast["mina"].keys["Laptop"], running.workflow(made.dice)))
    nights.round_of_worker(made)
    made.receiver.broken = False
    made.clock.set(made.clock.now() + timedelta(hours=2))
    nights.round_of_worker(made)


def last_days(made: Play) -> None:
    """What is open now: asks, invitations, what waits for a second person, and a farewell."""
    from accounts import invitations, teams
    from apikeys import asks
    from credits.gifts import adjustments, vouchers
    from desk import banners
    from privacy import deletion, exports

    team, mina = made.wallet(LUMEN), made.cast["mina"].user
    asks.ask(team, period="month", limit=_usd("250"), by=made.cast["tomasz"].user.pk,
             note="The client wants the harbour at night, too: forty shots more.")  # fmt: skip
    invitations.invite(
        team, email="freelancer.with.a.long.name@post-production.example.org",
        role=teams.Role.MEMBER, by=mina, base_url=made.programs.base_url,
    )  # fmt: skip
    teams.join(made.cast.teams[SCHOOL], mina, role=teams.Role.MEMBER, by=made.cast["prof"].user.pk)
    cast.key(made.cast, "mina", "Guest lecture", at=made.wallet(SCHOOL), project="Seminar")
    buying.buy(made.programs, team, mina, "100", ends="walk away")
    buying.buy(made.programs, team, mina, "75", ends="later")
    open_one = buying.buy(made.programs, made.cast["nadia"].home, made.cast["nadia"].user, "50")
    buying.dispute(made.programs, open_one)
    adjustments.request(
        team, amount=_usd("250"), requested_by=made.by("support"),
        reason="A render farm ran on our mistake for a night, and they ask for all of it back.",
    )  # fmt: skip
    vouchers.make(
        name="Winter festival", amount=_usd("100"), uses=500, made_by=made.by("finance"),
        reason="agreed with the festival",
    )  # fmt: skip
    now = made.clock.now()
    banners.put_up(
        "Kling answers slowly today; what fails costs nothing.", level="warning", begins_at=now,
        ends_at=now + timedelta(days=3), for_staff=False, by=made.by("operations"),
    )  # fmt: skip
    exports.ask(mina.pk, base_url=made.programs.base_url)
    leaving = deletion.ask(made.cast["rosa"].user, base_url=made.programs.base_url, gives_up=True)
    deletion.confirm(leaving.pk)


def _usd(dollars: str) -> Any:
    from common.money import usd

    return usd(dollars)


def _networks(*names: str) -> Any:
    from ipaddress import ip_network

    return frozenset(map(ip_network, names))


EVENTS: list[tuple[int, Callable[[Play], None]]] = [
    (0, house_opens),
    (0, studio_comes),
    (6, others_come),
    (12, school_comes),
    (25, limits_are_met),
    (33, studio_grows),
    (40, runs_begin),
    (47, money_comes_back),
    (58, prices_change),
    (61, payment_is_disputed),
    (70, somebody_left),
    (84, vendor_is_off),
    (90, dispute_is_won),
    *((day, runs_go_on) for day in range(95, 182, 10)),
    (99, school_is_given),
    (108, spent_money_is_taken_back),
    (117, house_pauses),
    (124, card_is_declined),
    *((day, studio_buys) for day in (52, 80, 110, 140, 165)),
    (133, prices_change_again),
    (160, bill_comes),
    (171, receiver_breaks),
    (179, last_days),
    (180, runs_go_on),
    (181, runs_go_on),
]
"""On which day what happens."""
