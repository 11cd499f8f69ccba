"""Vendors' exports: read line by line, matched with our calls, told where they differ."""

import contextlib
import hashlib
import io
import uuid
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from call_rows import call_of
from django.db import connection
from django.utils import timezone

from common.errors import InvalidRequest
from credits.models import Finding
from prices import bills, exports, margins
from prices.exports import Form
from prices.models import Bill, BilledCall
from usage import sums
from usage.models import Call

STAFF, PLAIN = uuid.uuid4(), Form()


def lines(text, form=PLAIN):
    data = text if isinstance(text, bytes) else text.encode()
    return list(exports.read(io.BytesIO(data), form))


def bring_in(text, vendor="bfl", form=PLAIN):
    return bills.bring_in(
        io.BytesIO(text.encode()), vendor=vendor, filename="costs.csv", form=form, by=STAFF,
        reason="of November",
    )  # fmt: skip


def verdicts(bill):
    return {
        each.request: each.verdict
        for each in BilledCall.objects.filter(bill=bill).exclude(verdict="unbilled")
    }


@pytest.fixture
def called(alice):
    """Write calls of Alice's, each with an id of the vendor's."""

    def make(request, **fields):
        return call_of(alice, vendor_request_id=request, **fields)

    return make


# --- Reading ------------------------------------------------------------------------------------


def test_columns_are_found_by_what_they_are_often_called():
    (one,) = lines("Timestamp;Request_ID;Cost\n2026-11-01T00:00:00Z;req-1;0.04\n")

    assert (one.request, one.micros, one.at) == ("req-1", 40_000, datetime(2026, 11, 1, tzinfo=UTC))


def test_columns_can_be_named_and_costs_can_be_in_cents():
    form = Form(request="task", cost="units", dollars=Decimal("0.01"))

    (one,) = lines('\ufefftask,units,cost\n"req, 1",4.5,9\n', form)

    assert (one.request, one.micros) == ("req, 1", 45_000)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "no column request_id"),
        ("a,b\n1,2\n", "The first line names: a, b"),
        ("id,cost\nx,abc\n", "Line 2: the cost 'abc'"),
        ("id,cost\nx,NaN\n", "Line 2: the cost"),
        ("id,cost\nx,1e999999999\n", "Line 2: the cost"),
        ("id,cost\nx,\n", "Line 2: the cost"),
        ("id,cost\nx,99999999\n", "Is it in cents"),
        ("id,cost\nx,1,2\n", "Line 2 has 3 columns"),
        ("id,cost\nx\n", "Line 2 has 1 columns"),
        ("id,cost,date\nx,1,yesterday\n", "is no time like"),
        ("id,cost,date\nx,1,99999999999999999999\n", "is no time like"),
        ("id,cost\n" + "x" * 300 + ",1\n", "request id is not one"),
        ('id,cost\n"x,1\n', "is no line of a CSV file"),
        ("id,cost\n" + "x" * 200_000, "longer than"),
        ("id,cost\nx\0,1\n", "is not text"),
        ("id,cost,id\nx,1,y\n", "several columns id"),
        (b"id,cost\n\xff\xfe,1\n", "not text in UTF-8"),
        ("id,cost\nx,1\n".encode("utf-16"), "not text"),
    ],
)
def test_an_odd_file_is_refused_with_its_line(text, sentence):
    with pytest.raises(InvalidRequest, match=sentence):
        lines(text)


@pytest.mark.parametrize("chance", range(20))
def test_whatever_bytes_a_file_has_it_is_read_or_refused(chance):
    data = b"id,cost\n" + b"".join(hashlib.sha256(bytes([chance, n])).digest() for n in range(60))

    with contextlib.suppress(InvalidRequest):
        lines(data)


# --- Matching -----------------------------------------------------------------------------------


def test_each_request_has_a_verdict_and_each_kind_of_difference_a_finding(called):
    tag = uuid.uuid4().hex[:8]
    called(f"{tag}-same", charged_micros=40_000)
    called(f"{tag}-twice", charged_micros=40_000)
    called(f"{tag}-dear", charged_micros=40_000)
    called(f"{tag}-failed", outcome="failed", charged_micros=0)
    called(f"{tag}-marked", charged_micros=50_000, facts={"retail": 40_000})
    called("", vendor_job_id=f"{tag}-job", charged_micros=40_000)

    bill = bring_in(
        "id,cost\n"
        f"{tag}-same,0.04\n{tag}-twice,0.04\n{tag}-twice,0.04\n{tag}-dear,0.05\n"
        f"{tag}-failed,0.04\n{tag}-marked,0.045\n{tag}-job,0.03\n{tag}-nobody,0.01\n,9.99\n"
    )

    assert verdicts(bill) == {
        f"{tag}-same": "matched", f"{tag}-twice": "double", f"{tag}-dear": "different",
        f"{tag}-failed": "different", f"{tag}-marked": "different", f"{tag}-job": "matched",
        f"{tag}-nobody": "missing",
    }  # fmt: skip
    assert (bill.lines, bill.unnamed_lines, bill.unnamed_micros) == (9, 1, 9_990_000)
    found = Finding.objects.filter(key__startswith=f"bill:{bill.pk}:", resolved_at=None)
    told = {each.key.rpartition(":")[2]: each.sentence for each in found}
    assert {"missing", "double", "different"} <= set(told)
    assert "1 requests that are not among our calls, $0.01" in told["missing"]


def test_what_the_vendor_gives_back_is_taken_from_what_it_asked(called):
    called("back-1", outcome="failed", charged_micros=0)

    bill = bring_in("id,cost\nback-1,0.04\nback-1,-0.04\n")

    one = BilledCall.objects.get(bill=bill, request="back-1")
    assert (one.micros, one.lines, one.verdict) == (0, 2, "matched")


def test_delivered_calls_that_an_export_does_not_name_are_told(called):
    tag, now = uuid.uuid4().hex[:8], timezone.now()
    vendor = "kling"
    for n, minutes in (("a", 30), ("b", 20), ("c", 10)):
        called(f"{tag}-{n}", vendor=vendor, settled_at=now - timedelta(minutes=minutes))
    called(f"{tag}-own", vendor=vendor, settled_at=now - timedelta(minutes=15),
           facts={"account": "own"})  # fmt: skip
    called(f"{tag}-after", vendor=vendor, settled_at=now)

    bill = bring_in(f"id,cost\n{tag}-a,0.04\n{tag}-c,0.04\n", vendor=vendor)

    unbilled = BilledCall.objects.filter(bill=bill, verdict="unbilled")
    assert [each.call_id for each in unbilled] == [_call(f"{tag}-b")]
    assert bill.unbilled == 1


def _call(request):
    return Call.objects.get(vendor_request_id=request).pk


def test_the_same_file_is_brought_in_once_and_an_overlapping_one_counts_only_what_is_new(called):
    called("over-1", charged_micros=40_000)
    called("over-2", charged_micros=40_000)
    bring_in("id,cost\nover-1,0.03\n")
    with pytest.raises(InvalidRequest, match="brought in before"):
        bring_in("id,cost\nover-1,0.03\n")

    second = bring_in("id,cost\nover-1,0.03\nover-2,0.03\n")
    third = bring_in("id,cost\nover-1,0.035\nover-2,0.03\n\n")

    assert verdicts(second) == {"over-1": "again", "over-2": "matched"}
    assert verdicts(third) == {"over-1": "different", "over-2": "again"}
    today = timezone.now().date()
    (day,) = margins.by_day(today, today, vendor="bfl")
    assert (day.known, day.cost) == (2, 65_000)


def test_a_file_that_is_odd_at_its_end_leaves_nothing_behind(called):
    before = Bill.objects.count()

    with pytest.raises(InvalidRequest, match="Line 12002"):
        bring_in("id,cost\n" + "x,0.01\n" * 12_000 + "y,?\n")
    with pytest.raises(InvalidRequest, match="names a request"):
        bring_in("id,cost\n,0.01\n")

    assert Bill.objects.count() == before


def test_a_margin_is_of_the_calls_whose_cost_is_known(called, alice):
    called("known-1", vendor="runway", charged_micros=50_000)
    called("known-2", vendor="runway", charged_micros=50_000)
    sums.catch_up(alice.workspace_id)
    bring_in("id,cost\nknown-1,0.04\n", vendor="runway")
    today = timezone.now().date()

    (day,) = margins.by_day(today, today, vendor="runway")

    assert (day.calls, day.charged, day.known, day.cost) == (2, 100_000, 1, 40_000)
    assert (day.margin, day.percent) == (10_000, 20.0)
    assert margins.total([]).margin is None
    with pytest.raises(InvalidRequest):
        margins.by_day(date(2020, 1, 1), today)


def test_calls_are_looked_up_by_their_indexes(called):
    """However many calls there are: each request is a look into an index of each month."""
    called("plan-1")
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        for column in ("vendor_request_id", "vendor_job_id"):
            cursor.execute(
                f"EXPLAIN SELECT id FROM usage_call WHERE {column} = 'x' AND {column} <> ''"
            )
            plan = "\n".join(row[0] for row in cursor.fetchall())
            assert "Seq Scan" not in plan
            assert f"{column}" in plan
        cursor.execute("SET LOCAL enable_seqscan = on")
