"""What members do in the half year beside calling: they come, meet limits, run workflows, leave."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from local.halfyear import buying, calling, cast, nights, running
from local.halfyear.calling import Press
from local.halfyear.cast import LUMEN, SCHOOL
from local.halfyear.stage import PICTURE, VIDEO, Play, networks, usd


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


def purses_are_filled(made: Play) -> None:
    """Have whoever runs low get more, each by their own way: a card, a voucher, by hand."""
    cast_, programs = made.cast, made.programs
    if LUMEN in cast_.teams and not made.has(made.wallet(LUMEN), "40"):
        buying.buy(programs, made.wallet(LUMEN), cast_["jonas"].user, "200")
    if SCHOOL in cast_.teams and not made.has(made.wallet(SCHOOL), "15"):
        month = made.clock.now()
        _redeemed(made, name=f"Seminar, {month:%B %Y}", dollars="60", uses=1)
    if "nadia" in cast_.people and not made.has(cast_["nadia"].home, "1"):
        buying.buy(programs, cast_["nadia"].home, cast_["nadia"].user, "10")


def _redeemed(made: Play, *, name: str, dollars: str, uses: int) -> str:
    """Have the class redeem a voucher that two of staff agreed to; return its code."""
    from credits.gifts import vouchers

    code, voucher = vouchers.make(
        name=name, amount=usd(dollars), uses=uses, credits_last_days=150,
        redeem_until=made.clock.now() + timedelta(days=200), made_by=made.by("finance"),
        reason="the ministry pays",
    )  # fmt: skip
    if voucher.needs_second:
        vouchers.approve(voucher.pk, by=made.by("all"))
    vouchers.redeem(made.wallet(SCHOOL), code)
    return code


def school_comes(made: Play) -> None:
    """Have a class with a long name come, on vouchers instead of a card."""
    from credits.books import limits

    cast.come(made.cast, "prof", "emre", "student")
    team = cast.found(made.cast, SCHOOL, owner="prof")
    cast.join(made.cast, SCHOOL, "emre", "student", by="prof")
    made.things["code"] = _redeemed(made, name="Autumn school 2026", dollars="40", uses=25)
    limits.set_concurrency(
        team.pk, 6, by=made.by("operations"), reason="a class of twelve, until the term ends"
    )
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
        otto.home, amount=usd("5"), reason="found a fault in the sign-up page", is_gift=True,
        requested_by=made.by("support"),
    )  # fmt: skip
    cast.key(made.cast, "nadia", "Home", at=nadia.home)
    cast.key(made.cast, "otto", "Home", at=otto.home)
    cast.key(made.cast, "rosa", "Only looking", at=made.cast["rosa"].home)


STRICT: dict[str, dict[str, Any]] = {
    "Cheap calls only": {"call_limit": 20_000},
    "Ideogram only": {"vendors": frozenset({"ideogram"})},
    "At the office only": {"networks": networks("192.0.2.0/24", "2001:db8:17::/48")},
    "Reads the bill": {"scopes": ("usage:read",)},
    "Three a minute": {"pace": 3},
    "Ten cents a day": {"amounts": {"day": 100_000}},
}
"""Keys of Tomasz's, each with a limit that refuses him."""


def limits_are_set(made: Play) -> None:
    """Have the owner say who may spend how much, and Tomasz make himself strict keys."""
    from apikeys import allowances

    wallet, by = made.wallet(LUMEN), made.cast["mina"].user.pk
    tomasz = str(made.cast["tomasz"].user.pk)
    for kind, of, period, most in (
        ("member", tomasz, "month", "120"),
        ("project", "Kite film", "total", "2400"),
        ("workspace", "", "month", "1500"),
    ):
        allowances.set_rule(wallet, kind, of, period, usd(most), by=by)
    for called, rights in STRICT.items():
        cast.key(made.cast, "tomasz", called, at=wallet, **rights)


def limits_are_met(made: Play) -> None:
    """Have each limit refuse somebody: what is asked for is the same, and the answers differ."""
    for called, rights in STRICT.items():
        again = 6 if "pace" in rights or "amounts" in rights else 1
        key = made.cast["tomasz"].keys[called]
        made.callers.press([Press(key, [calling.one(PICTURE)] * again)])
    poor = made.cast["rosa"].keys["Only looking"]
    made.callers.press([Press(poor, [calling.one(VIDEO)]), Press(poor, [calling.one(PICTURE)])])
    alone = made.cast["nadia"].keys["Home"]
    made.callers.press([Press(alone, [calling.one(PICTURE)]) for _ in range(9)])


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
    customers.warn_below(team, usd("50"))
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
    made.things["kept"] = {name: each.pk for name, each in kept.items()}
    _run(made, (key, running.workflow(made.dice, fails=True)))
    _run(made, (key, running.workflow(made.dice)), cancels=True)
    _run(made, (key, running.workflow(made.dice, paid=True)), (key, running.workflow(made.dice)))


def runs_go_on(made: Play) -> None:
    """Have workflows of the studio and of the class run."""
    farm = made.cast["priya"].keys["Render farm, night"]
    room = made.cast["emre"].keys["Class room 2.14"]
    kept = made.things["kept"]
    _run(
        made,
        (farm, kept[made.dice.choice(("Kite film, backgrounds", "Contact sheet (48 frames)"))]),
        (farm, kept["Turntable of a prop"]),
        (farm, running.workflow(made.dice, of=4)),
        (room, running.workflow(made.dice, fails=made.dice.random() < 0.3)),
    )


def _run(made: Play, *given: tuple[str, running.Graph | UUID], cancels: bool = False) -> None:
    base_url = made.programs.base_url
    running.run(base_url, made.clock, given, dice=made.dice, cancels=cancels)


def somebody_left(made: Play) -> None:
    """Bo tried it, took his data along, and is deleted after the days of grace."""
    from privacy import deletion, exports

    user = made.cast["bo"].user
    exports.ask(user.pk, base_url=made.programs.base_url)
    nights.night(made)
    asked = deletion.ask(user, base_url=made.programs.base_url, gives_up=True)
    deletion.confirm(asked.pk)
    for days in (3, 5, 1, 1, 1):  # The last steps wait for one another: mails must be sent.
        made.clock.set(made.clock.now() + timedelta(days=days))
        nights.night(made)
    del made.cast.people["bo"]


def receiver_breaks(made: Play) -> None:
    """Have the studio's program be broken while a run ends; a later try works."""
    made.receiver.broken = True
    _run(made, (made.cast["mina"].keys["Laptop"], running.workflow(made.dice)))
    nights.round_of_worker(made)
    made.receiver.broken = False
    made.clock.set(made.clock.now() + timedelta(hours=2))
    nights.round_of_worker(made)


def last_days(made: Play) -> None:
    """Leave open what is open now: asks, invitations, payments, decisions, a farewell."""
    from accounts import invitations, teams
    from apikeys import asks
    from credits.gifts import adjustments, vouchers
    from desk import banners
    from privacy import deletion, exports

    team, mina = made.wallet(LUMEN), made.cast["mina"].user
    asks.ask(team, period="month", limit=usd("250"), by=made.cast["tomasz"].user.pk,
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
        team, amount=usd("250"), requested_by=made.by("support"),
        reason="A render farm ran on our mistake for a night, and they ask for all of it back.",
    )  # fmt: skip
    vouchers.make(
        name="Winter festival", amount=usd("100"), uses=500, made_by=made.by("finance"),
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
