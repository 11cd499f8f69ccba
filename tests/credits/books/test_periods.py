"""When a day, a week or a month of an allowance begins and ends, in the operator's time zone."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.db import connection
from hypothesis import HealthCheck, given
from hypothesis import settings as rules
from hypothesis import strategies as st

from credits.books import allowances

ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe"]


def period(name, zone, now):
    began, ends = allowances.period("asked.name", "asked.zone", "asked.at")
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {began}, {ends} FROM (SELECT %s::text AS name, %s::text AS zone,"
            " %s::timestamptz AS at) AS asked",
            [name, zone, now],
        )
        return cursor.fetchone()


def at(text):
    return datetime.fromisoformat(text).astimezone(UTC)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("name", "zone", "now", "began", "ends"),
    [
        ("day", "UTC", "2026-11-27T10:00Z", "2026-11-27T00:00Z", "2026-11-28T00:00Z"),
        # The day on which clocks go back has 25 hours, and the one on which they go on 23.
        ("day", "Europe/Berlin", "2026-10-25T12:00Z", "2026-10-24T22:00Z", "2026-10-25T23:00Z"),
        ("day", "Europe/Berlin", "2026-03-29T12:00Z", "2026-03-28T23:00Z", "2026-03-29T22:00Z"),
        # A Monday is in Kolkata what is Sunday evening in London.
        ("week", "Asia/Kolkata", "2026-11-22T20:00Z", "2026-11-22T18:30Z", "2026-11-29T18:30Z"),
        ("week", "UTC", "2026-11-22T20:00Z", "2026-11-16T00:00Z", "2026-11-23T00:00Z"),
        (
            "month",
            "America/New_York",
            "2026-12-01T04:59Z",
            "2026-11-01T04:00Z",
            "2026-12-01T05:00Z",
        ),
        ("month", "UTC", "2028-02-29T23:59Z", "2028-02-01T00:00Z", "2028-03-01T00:00Z"),
        ("total", "UTC", "2026-11-27T10:00Z", "1970-01-01T00:00Z", None),
    ],
)
def test_when_a_period_begins_and_ends(name, zone, now, began, ends):
    assert period(name, zone, at(now)) == (at(began), at(ends) if ends else None)


@pytest.mark.django_db
@rules(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    name=st.sampled_from(["day", "week", "month"]),
    zone=st.sampled_from(ZONES),
    now=st.integers(1_577_836_800, 2_208_988_800).map(
        lambda each: datetime.fromtimestamp(each, UTC)
    ),
)
def test_each_moment_is_in_one_period_and_the_next_begins_where_it_ends(name, zone, now):
    began, ends = period(name, zone, now)

    assert began <= now < ends
    assert period(name, zone, ends) == (ends, period(name, zone, ends)[1])
    assert period(name, zone, ends - timedelta(microseconds=1)) == (began, ends)
    local = began.astimezone(ZoneInfo(zone))
    assert (local.hour, local.minute) == (0, 0)
    assert name != "week" or local.weekday() == 0
    assert name != "month" or local.day == 1
