import uuid

import pytest
from django.db import IntegrityError, connection, transaction

CALL = """
INSERT INTO usage_call (id, workspace_id, number, vendor, operation, run_id, outcome, reason,
    status, quoted_micros, held_micros, charged_micros, price_version, attempts, vendor_job_id,
    vendor_request_id, facts, started_at, settled_at)
VALUES (%(id)s, %(workspace)s, %(number)s, 'bfl', 'ultra', '', %(outcome)s, '', 200,
    60000, %(held)s, %(charged)s, '1', 1, '', '', '{}', now(), now())
"""
JOB = """
INSERT INTO proxy_job (id, workspace_id, vendor, operation, vendor_job_id, poll_url, price_micros,
    inputs, deadline_at, next_poll_at, ended_at, outcome)
VALUES (gen_random_uuid(), gen_random_uuid(), 'bfl', 'ultra', %(job)s, '', %(price)s, '{}', now(),
    now(), %(ended)s, %(outcome)s)
"""


def insert(sql, **given):
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql, given)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("call_charged_within_its_hold", {"charged": 60001}),
        ("call_charged_within_its_hold", {"charged": -1}),
        ("call_only_delivered_is_charged", {"outcome": "moderated"}),
        ("call_outcome_known", {"outcome": "lost", "charged": 0}),
        ("call_number_positive", {"number": 0}),
    ],
)
def test_a_call_that_cannot_be_is_refused(name, changed):
    call = {
        "id": uuid.uuid4(),
        "workspace": uuid.uuid4(),
        "number": 1,
        "outcome": "delivered",
        "held": 60000,
        "charged": 60000,
    }
    insert(CALL, **call)

    with pytest.raises(IntegrityError, match=name):
        insert(CALL, **{**call, "number": 2, **changed})


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("job_once_per_vendor_id", {"job": "j1"}),
        ("job_price_not_negative", {"price": -1}),
        ("job_ends_with_an_outcome", {"outcome": "delivered"}),
        ("job_ends_with_an_outcome", {"ended": "2026-01-01T00:00Z"}),
    ],
)
def test_a_job_that_cannot_be_is_refused(name, changed):
    job = {"job": "j1", "price": None, "ended": None, "outcome": ""}
    insert(JOB, **job)

    with pytest.raises(IntegrityError, match=name):
        insert(JOB, **{**job, "job": "j2", **changed})
