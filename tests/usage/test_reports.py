from datetime import timedelta

import pytest
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.plugin import examples
from usage import partitions, reports
from usage.models import Call
from usage.reports import Filter, Kind

KINDS = "ccgcrcccgccccrccgcc"
KIND = {"c": Kind.CALLED, "g": Kind.ADDED, "r": Kind.REFUNDED}


@pytest.fixture
def dora(make_member, history):
    """Dora has a history of calls, grants and refunds, mixed, and nothing before it."""
    member = make_member("0")
    history(member, KINDS)
    return member


def numbers(page):
    return [row.number for row in page.rows]


def wanted_numbers(kind=None, first=0, last=99):
    return [
        n + 1
        for n, letter in reversed(list(enumerate(KINDS)))
        if kind in (None, KIND[letter]) and first <= n < last
    ]


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 19, 20, 100])
@pytest.mark.parametrize("kind", [None, *KIND.values()])
def test_the_pages_are_the_history_newest_first_whatever_their_size(dora, kind, limit):
    expected = wanted_numbers(kind)
    seen = []
    for number in range(1, len(expected) // limit + 3):
        page = reports.events(dora.workspace_id, page=number, limit=limit, wanted=Filter(kind))
        assert page.total == len(expected)
        assert len(page.rows) == max(0, min(limit, len(expected) - (number - 1) * limit))
        seen += numbers(page)

    assert seen == expected


@settings(
    max_examples=examples(60),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_a_range_of_time_gives_exactly_what_is_in_it(dora, month, data):
    kind = data.draw(st.sampled_from([None, *KIND.values()]))
    first, last = (data.draw(st.integers(-2, len(KINDS) + 2)) for _ in range(2))
    limit, number = data.draw(st.integers(1, 8)), data.draw(st.integers(1, 6))
    expected = wanted_numbers(kind, first, last)

    page = reports.events(
        dora.workspace_id,
        page=number,
        limit=limit,
        wanted=Filter(kind, month + timedelta(minutes=first), month + timedelta(minutes=last)),
    )

    assert page.total == len(expected)
    assert numbers(page) == expected[(number - 1) * limit : number * limit]


def test_another_workspaces_history_is_not_seen(dora, alice):
    page = reports.events(alice.workspace_id, page=1, limit=100, wanted=Filter())

    assert (page.total, numbers(page)) == (1, [1])


@pytest.mark.parametrize(("kind", "queries"), [(None, 3), (Kind.ADDED, 3), (Kind.CALLED, 3)])
def test_every_page_costs_the_same_queries(dora, django_assert_num_queries, kind, queries):
    for number in (1, 2, 3):
        with django_assert_num_queries(queries):
            reports.events(dora.workspace_id, page=number, limit=3, wanted=Filter(kind))


def partitions_now():
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT inhrelid::regclass::text FROM pg_inherits"
            " WHERE inhparent = 'usage_call'::regclass ORDER BY 1"
        )
        return [row[0] for row in cursor]


@pytest.mark.django_db
def test_this_month_and_the_next_three_have_their_partitions_and_making_is_repeatable():
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT 'usage_call_' || to_char(date_trunc('month', now())"
            " + n * interval '1 month', 'YYYY_MM') FROM generate_series(0, 3) n"
        )
        expected = [row[0] for row in cursor]
        cursor.execute(f"DROP TABLE {expected[-1]}")

    for _ in range(2):
        partitions.make()
        assert partitions_now() == expected


@pytest.mark.django_db
def test_a_month_is_a_month_of_utc_whatever_the_session_says():
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL TIME ZONE 'Pacific/Auckland'")
        for name in partitions_now():
            cursor.execute(f"DROP TABLE {name}")
        partitions.make()
        cursor.execute("SET LOCAL TIME ZONE 'UTC'")
        cursor.execute(
            "SELECT pg_get_expr(relpartbound, oid) FROM pg_class WHERE relname = ANY (%s)",
            [partitions_now()],
        )
        bounds = [row[0] for row in cursor]

    assert bounds
    assert all(bound.count("-01 00:00:00+00'") == 2 for bound in bounds)


def test_a_call_lands_in_the_partition_of_its_month(dora, month):
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT tableoid::regclass::text FROM usage_call WHERE workspace_id = %s",
            [dora.workspace_id],
        )
        names = [row[0] for row in cursor]

    assert names == [f"usage_call_{month:%Y_%m}"]
    assert Call.objects.filter(workspace_id=dora.workspace_id).count() == KINDS.count("c")
