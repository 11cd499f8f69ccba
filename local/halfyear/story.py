"""What happens in the half year, day by day: the same each time, as the seed has it.

    a day        people call at their hours, some are refused or fail, and the worker does its round
    an event     something that happens once, on a day of the half year (`EVENTS`)

Who reads it from top to bottom knows what there is to see.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta

from local.halfyear import calling, house, members, money, nights
from local.halfyear.calling import Press
from local.halfyear.stage import Play

PICTURES = ("bfl", "ideogram", "recraft", "stability", "openai", "krea", "reve", "bria")
FILMS = ("kling", "luma", "runway", "minimax", "pixverse", "vidu", "wan", "pika", "xai")
SOLIDS = ("tripo", "meshy", "tencent", "rodin")
SOUNDS = ("elevenlabs", "fishaudio", "stability", "sonilo")
OTHERS = ("vertexai", "anthropic", "qwen", "wavespeed", "topaz", "freepik", "byteplus", "quiver")
MONDAY = 0
LITTLE, TRIES_ANYWAY = "0.5", 0.1
"""Who has less than that rarely presses Run: they have read why it is refused."""
FAILURES = ("moderated", "failed", "status=500", "status=429", "drop_after", "nonjson")

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

EVENTS: list[tuple[int, Callable[[Play], None]]] = [
    (0, house.house_opens),
    (0, members.studio_comes),
    (6, members.others_come),
    (12, members.school_comes),
    (25, members.limits_are_set),
    (26, members.limits_are_met),
    (33, members.studio_grows),
    (40, members.runs_begin),
    (47, money.money_comes_back),
    (58, house.prices_change),
    (61, money.payment_is_disputed),
    (62, money.studio_buys),
    (70, members.somebody_left),
    (84, house.vendor_is_off),
    (90, money.dispute_is_won),
    (95, members.runs_go_on),
    (99, money.school_is_given),
    (108, money.spent_money_is_taken_back),
    (117, house.house_pauses),
    (124, money.card_is_declined),
    (52, money.studio_buys),
    (133, house.prices_change_again),
    (160, house.bill_comes),
    (177, house.bills_come),
    (171, members.receiver_breaks),
    (176, members.limits_are_met),
    (181, members.last_days),
    (181, members.runs_go_on),
]
"""On which day what happens."""
AGAIN: list[tuple[int, Callable[[Play], None]]] = [
    *((day, members.runs_go_on) for day in (103, 111, 119, 126, 134, 142, 150, 158, 166, 174, 180)),
    *((day, money.studio_buys) for day in (80, 110, 140, 165)),
]
"""What happens again, where there is time to show more of it."""


def play(made: Play, begins: datetime, *, days: int, ends: datetime) -> None:
    """Live through all days, the last of which is yesterday, until the end."""
    due = sorted([*EVENTS, *([] if made.few else AGAIN)], key=lambda each: each[0])
    for day in range(days):
        midnight = begins + timedelta(days=day)
        if midnight.weekday() == MONDAY:
            made.clock.set(midnight + timedelta(hours=8))
            members.purses_are_filled(made)
        while due and due[0][0] <= day:
            made.clock.set(midnight + timedelta(hours=9))
            scene = due.pop(0)[1]
            began = time.monotonic()
            scene(made)
            made.say(f"day {day}: {scene.__name__} ({time.monotonic() - began:.1f} s)")
        if not made.few or day % 26 == 8 or day == days - 1:
            _day(made, midnight, day)
    made.clock.set(ends)
    nights.night(made)


def _day(made: Play, midnight: datetime, day: int) -> None:
    is_free = midnight.weekday() >= 5
    for hour in (15,) if is_free or made.few else (10, 14, 17):
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
        if person is None or whole is None or made.dice.random() > (0.35 if few else 0.6):
            continue
        if made.dice.random() > TRIES_ANYWAY and not made.has(person.pays[key], LITTLE):
            continue
        for _ in range(made.dice.randint(1, busy)):
            count = made.dice.choice((1, 1, 2, 2, 3, 4))
            failure = made.dice.choice(FAILURES) if made.dice.random() < 0.06 else ""
            samples = calling.chosen(made.dice, vendors, count)
            found.append(Press(whole, samples, failure))
    return found
