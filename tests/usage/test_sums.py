"""Sums of calls: always those of all calls, whoever made them when, and whoever adds them."""

import random
import uuid
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from common.money import Micros
from credits.models import Account
from credits.proofs import reconciliation
from usage import depth, history, runs, spend, sums
from usage.history import Wanted
from usage.models import NOBODY, Call, CallBlock, CallSum, RunSum, Summed
from usage.reconciliation import CHECKS
from usage.sums import BLOCK

NAMES = {
    "the sums of hours are those of their calls", "the sums of days are those of their calls",
    "the sums of months are those of their calls", "each block of numbers counts its calls",
    "each run is the sum of its calls",
}  # fmt: skip
PEOPLE = [uuid.UUID(int=n) for n in (11, 12, 13)]
KEYS = [None, uuid.UUID(int=21), uuid.UUID(int=22)]


def many(member, n, month, *, seed=1):
    """Add so many calls of all kinds, half an hour apart, to whoever's they are."""
    chance = random.Random(seed)
    first = Account.objects.values_list("events", flat=True).get(pk=member.workspace_id)
    made = []
    for number in range(first + 1, first + n + 1):
        delivered = chance.random() < 0.7
        at = month + timedelta(minutes=30 * (number % 1400))
        held = chance.choice([60_000, 40_000])
        made.append(Call(
            id=uuid.UUID(int=chance.getrandbits(128)), workspace_id=member.workspace_id,
            number=number, user_id=chance.choice([*PEOPLE, None]), key_id=chance.choice(KEYS),
            vendor=chance.choice(["bfl", "kling", "luma"]), operation=chance.choice(["a", "b"]),
            run_id=chance.choice(["", f"run-{number // 4}"]),
            project=chance.choice(["", "film"]), reason="", status=200,
            outcome="delivered" if delivered else chance.choice(["failed", "moderated"]),
            quoted_micros=held, held_micros=held, charged_micros=held if delivered else 0,
            price_version="1", attempts=1, facts={"title": chance.choice(["", "Flux", "Kling"])},
            started_at=at, settled_at=at,
        ))  # fmt: skip
    Call.objects.bulk_create(made)
    Account.objects.filter(pk=member.workspace_id).update(events=first + n)
    return made


def differences(member):
    """What the checks find of one workspace: others' tests leave calls that are nobody's sum."""
    found = []
    for check in CHECKS:
        if check.name in NAMES:
            with connection.cursor() as cursor:
                cursor.execute(check.differences)
                found += [said for (said,) in cursor if str(member.workspace_id) in said]
    return found


def test_the_checks_are_among_those_of_reconciliation():
    assert {each.name for each in CHECKS} >= NAMES
    assert reconciliation.CHECKS is not CHECKS


def test_sums_are_those_of_the_calls_in_parts_and_at_once(alice, bob, month, monkeypatch):
    many(alice, 700, month)
    many(bob, 700, month)
    monkeypatch.setattr(sums, "AT_ONCE", 97)
    sums.catch_up(alice.workspace_id)
    monkeypatch.undo()
    sums.catch_up(bob.workspace_id)

    def told(member, model, *but):
        names = [each.name for each in model._meta.fields if each.name not in ("id", *but)]
        rows = model.objects.filter(workspace_id=member.workspace_id).values_list(
            *[name for name in names if name != "workspace_id"]
        )
        return sorted(map(repr, rows))

    assert differences(alice) == differences(bob) == []
    assert told(alice, CallSum) == told(bob, CallSum)
    assert told(alice, CallBlock) == told(bob, CallBlock)
    few = ("vendors", "operations", "nodes")  # In the order in which they came.
    assert told(alice, RunSum, *few) == told(bob, RunSum, *few)


def test_what_comes_later_is_added_and_nothing_twice(alice, month):
    many(alice, 50, month)
    sums.catch_up(alice.workspace_id)
    many(alice, 50, month, seed=2)  # In the same hours: they were settled late.
    for _ in range(3):
        sums.catch_up(alice.workspace_id)

    hours = CallSum.objects.filter(workspace_id=alice.workspace_id, span="hour")
    assert sum(hours.values_list("calls", flat=True)) == 100
    assert differences(alice) == []


@pytest.mark.parametrize(
    "spoil",
    [
        lambda w: CallSum.objects.filter(workspace_id=w, span="hour").first(),
        lambda w: CallSum.objects.filter(workspace_id=w, span="month").first(),
        lambda w: CallBlock.objects.filter(workspace_id=w).first(),
        lambda w: RunSum.objects.filter(workspace_id=w).first(),
    ],
    ids=["hour", "month", "block", "run"],
)
def test_a_sum_that_is_wrong_is_found(alice, month, spoil):
    many(alice, 60, month)
    sums.catch_up(alice.workspace_id)
    row = spoil(alice.workspace_id)
    type(row).objects.filter(pk=row.pk).update(calls=row.calls + 1)

    assert differences(alice)


def test_who_races_adds_once(committed, make_member, at_once, month):
    carol = make_member()
    many(carol, 300, month)

    at_once(sums.catch_up, [carol.workspace_id] * 6)

    hours = CallSum.objects.filter(workspace_id=carol.workspace_id, span="hour")
    assert sum(hours.values_list("calls", flat=True)) == 300
    assert differences(carol) == []


def test_the_worker_catches_up_who_is_behind(alice, month):
    many(alice, 5, month)

    assert sums.catch_up_all() >= 1
    assert Summed.objects.get(pk=alice.workspace_id).number == alice.now().events


def test_who_is_not_behind_is_asked_once(alice, month, django_assert_num_queries):
    many(alice, 5, month)
    sums.catch_up(alice.workspace_id)

    with django_assert_num_queries(1):
        sums.catch_up(alice.workspace_id)


# --- What is read of them ---------------------------------------------------------------------

FILTERS = [
    Wanted(user_id=PEOPLE[0]), Wanted(key_id=KEYS[1]), Wanted(vendor="kling"),
    Wanted(operation="b", project="film"), Wanted(outcome="moderated", vendor="bfl"),
    Wanted(vendor="nobody"), Wanted(), Wanted(run="run-30"),
]  # fmt: skip


@pytest.mark.parametrize("wanted", FILTERS)
@pytest.mark.parametrize("cut", [False, True])
def test_pages_by_number_are_exact_at_any_depth(alice, month, monkeypatch, wanted, cut):
    monkeypatch.setattr(sums, "BLOCK", 16)
    monkeypatch.setattr(depth, "BLOCK", 16)
    monkeypatch.setattr(sums, "ADD", sums.ADD.replace(f"/ {BLOCK}", "/ 16"))
    many(alice, 500, month)
    for call in Call.objects.filter(workspace_id=alice.workspace_id):
        at = month + timedelta(minutes=call.number)  # Times follow numbers.
        Call.objects.filter(pk=call.pk).update(settled_at=at)
    if cut:
        wanted = Wanted(**{
            **{name: getattr(wanted, name) for name in Wanted.__slots__},
            "since": month + timedelta(minutes=105), "until": month + timedelta(minutes=331),
        })  # fmt: skip
    expected = [
        row.pk
        for row in wanted.rows(alice.workspace_id).order_by("-number")
        if not cut or wanted.since <= row.settled_at < wanted.until
    ]
    for limit in (7, 64):
        pages = -(-len(expected) // limit)
        found = [
            depth.page(alice.workspace_id, wanted, page=n + 1, limit=limit)
            for n in range(pages + 1)
        ]
        assert {each.total for each in found} == {len(expected)}
        assert [row.pk for each in found for row in each.rows] == expected


def test_of_a_whole_history_only_the_newest_block_and_the_page_are_read(alice, month, monkeypatch):
    monkeypatch.setattr(sums, "BLOCK", 16)
    monkeypatch.setattr(depth, "BLOCK", 16)
    monkeypatch.setattr(sums, "ADD", sums.ADD.replace(f"/ {BLOCK}", "/ 16"))
    many(alice, 100, month)
    depth.page(alice.workspace_id, Wanted(vendor="kling"), page=1, limit=5)

    with CaptureQueriesContext(connection) as asked:
        depth.page(alice.workspace_id, Wanted(vendor="kling"), page=1, limit=5)

    read = [each["sql"] for each in asked.captured_queries if "usage_call\n" in each["sql"]]
    assert len(read) == 2
    assert all("LATERAL" in each for each in read), "each range by itself, or months are read whole"


def test_a_page_asks_as_much_at_any_depth(alice, month, django_assert_max_num_queries):
    many(alice, 3 * BLOCK, month)
    sums.catch_up(alice.workspace_id)
    wanted = Wanted(vendor="kling")

    for n in (1, 5, 20):
        with django_assert_max_num_queries(6):
            list(depth.page(alice.workspace_id, wanted, page=n, limit=20).rows)


def test_days_and_months_are_told_apart_by_whatever_is_asked(alice, month):
    made = many(alice, 200, month)
    whole = sum(each.charged_micros for each in made)

    for by in [None, *spend.By]:
        for span in CallSum.Span.values:
            parts = list(spend.by_span(alice.workspace_id, Wanted(), span=span, by=by))
            assert sum(each.charged for each in parts) == whole
            assert sum(each.calls for each in parts) == 200
    by_member = spend.by_span(
        alice.workspace_id, Wanted(vendor="bfl"), span="month", by=spend.By.MEMBER
    )
    own = {each.of: each.calls for each in by_member}
    mine = [each for each in made if each.vendor == "bfl"]
    assert own == {
        "" if person is None else str(person): sum(each.user_id == person for each in mine)
        for person in [*PEOPLE, None]
    }
    assert str(NOBODY) not in own


def test_a_run_is_its_persons_and_says_how_it_went(alice, month):
    made = many(alice, 60, month)
    found = runs.page(alice.workspace_id, runs.Wanted(), page=1, limit=100)

    expected = {(each.run_id, each.user_id) for each in made if each.run_id}
    assert {(each.id, each.user_id) for each in found.runs} == expected
    assert found.total == len(expected)
    for run in found.runs:
        own = [each for each in made if (each.run_id, each.user_id) == (run.id, run.user_id)]
        bad = sum(each.outcome != "delivered" for each in own)
        assert (run.calls, run.failures) == (len(own), bad)
        assert run.charged == Micros(sum(each.charged_micros for each in own))
        assert sorted(run.vendors) == sorted({each.vendor for each in own})
        assert sorted(run.nodes) == sorted({each.facts["title"] or each.operation for each in own})
        state = "failed" if bad == len(own) else "partly" if bad else "delivered"
        assert run.state == state


def test_runs_are_found_by_what_is_in_them_and_on_from_the_last(alice, month):
    many(alice, 120, month)
    wanted = runs.Wanted(vendor="luma", state=runs.State.PARTLY)
    whole = runs.page(alice.workspace_id, wanted, page=1, limit=200)

    found, than = [], None
    while True:
        some, than = runs.older(alice.workspace_id, wanted, than=than, limit=3)
        found += some
        if than is None:
            break

    assert found == whole.runs
    assert found
    assert all("luma" in each.vendors and 0 < each.failures < each.calls for each in found)


def test_a_run_that_goes_on_is_the_newest_again(alice, month):
    made = many(alice, 40, month)
    first = next(each for each in made if each.run_id and each.user_id)
    assert runs.page(alice.workspace_id, runs.Wanted(), page=1, limit=1).runs[0].id != first.run_id
    later = many(alice, 1, month, seed=3)[0]
    Call.objects.filter(pk=later.pk).update(run_id=first.run_id, user_id=first.user_id)

    (newest,) = runs.page(alice.workspace_id, runs.Wanted(), page=1, limit=1).runs

    assert (newest.id, newest.user_id) == (first.run_id, first.user_id)
    assert history.page(alice.workspace_id, Wanted(run=first.run_id), limit=1).calls
