"""Statements over HTTP and from the command line."""

import asyncio
import csv
import io
import json
from datetime import UTC, datetime, timedelta

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.core.asgi import get_asgi_application
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection
from django.utils import timezone

from apikeys import keys
from credits.gifts import grants
from credits.models import HOUSE
from credits.statements import chain, sealing

YESTERDAY = f"{timezone.now() - timedelta(days=1):%Y-%m-%d}"
TODAY = f"{timezone.now():%Y-%m-%d}"
TOMORROW = f"{timezone.now() + timedelta(days=1):%Y-%m-%d}"


@pytest.fixture
def get(client, alice):
    def get(key=alice.key, **asked):
        asked = {name.strip("_"): value for name, value in asked.items()}
        return client.get("/v1/statement", asked, headers={"X-API-KEY": key})

    return get


def text_of(answer):
    """Take a stream as the server does."""

    async def gather():
        return b"".join([page async for page in answer.streaming_content])

    return async_to_sync(gather)().decode()


def verify(text):
    return chain.verify(io.StringIO(text, newline=""))


def test_a_statement_is_downloaded_as_json(get, alice):
    answer = get(from_=YESTERDAY)

    text = text_of(answer)
    assert answer.status_code == 200
    assert answer["Content-Type"] == "application/json"
    name = f"statement-{YESTERDAY}-{TODAY}.json"
    assert answer["Content-Disposition"] == f'attachment; filename="{name}"'
    body = json.loads(text)
    assert body["statement"]["workspace"] == str(alice.workspace_id)
    assert body["closing"]["closing_balance_micros"] == 1_000_000
    assert [line["kind"] for line in body["lines"]] == ["grant"]
    assert verify(text).is_good


def test_a_statement_is_downloaded_as_csv(get):
    answer = get(from_=YESTERDAY, format="csv")

    text = text_of(answer)
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    assert answer["Cache-Control"] == "no-store"
    rows = list(csv.reader(io.StringIO(text)))
    assert ["closing_balance_micros", "1000000"] in rows
    assert verify(text).is_good


def test_a_past_period_ends_before_the_day_that_is_named(get, alice):
    text = text_of(get(from_=YESTERDAY, to=TODAY))

    assert json.loads(text)["lines"] == []
    assert verify(text).is_good


@pytest.mark.parametrize("accepted", ["text/csv", "application/json", "image/png", "*/*"])
def test_whatever_is_accepted_the_format_is_what_was_asked_for(client, alice, accepted):
    headers = {"X-API-KEY": alice.key, "Accept": accepted}

    good = client.get("/v1/statement", {"from": YESTERDAY, "format": "csv"}, headers=headers)
    bad = client.get("/v1/statement", {"format": "csv"}, headers=headers)

    assert good["Content-Type"].startswith("text/csv")
    assert verify(text_of(good)).is_good
    assert (bad.status_code, bad["Content-Type"]) == (400, "application/json")


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({}, "from: "),
        ({"from_": "yesterday"}, "from: "),
        ({"from_": "2026-02-30"}, "from: "),
        ({"from_": ""}, "from: "),
        ({"from_": "2026-01-01", "to": "32"}, "to: "),
        ({"from_": "2026-01-01", "format": "pdf"}, "format: "),
        ({"from_": "2026-01-02", "to": "2026-01-02"}, "must begin before it ends"),
        ({"from_": "2026-01-02", "to": "2026-01-01"}, "must begin before it ends"),
        ({"from_": "2026-01-01", "to": TOMORROW}, "ends in the future"),
        ({"from_": TOMORROW}, "must begin before it ends"),
        ({"from_": "0001-01-01", "to": "9999-12-31"}, "ends in the future"),
    ],
)
def test_a_bad_period_is_a_400_with_a_sentence(get, asked, words):
    answer = get(**asked)

    assert answer.status_code == 400
    assert answer.json()["error"] == "invalid_request"
    assert words in answer.json()["message"]


def test_the_earliest_day_is_as_good_as_any(get):
    assert verify(text_of(get(from_="0001-01-01", format="csv"))).is_good


def test_only_a_key_that_may_read_the_account_has_statements(get, alice, bob):
    only_calls, _ = keys.issue(
        workspace_id=alice.workspace_id, user_id=alice.user.pk, name="calls", scopes=["proxy"]
    )

    assert get(key=only_calls, from_=YESTERDAY).status_code == 403
    assert get(key="nonsense", from_=YESTERDAY).status_code == 401
    of_bob = json.loads(text_of(get(key=bob.key, from_=YESTERDAY)))
    assert of_bob["statement"]["workspace"] == str(bob.workspace_id)


def command(*arguments):
    out, status = io.StringIO(), 0
    try:
        call_command("statement", *arguments, stdout=out)
    except SystemExit as exc:
        status = exc.code
    return status, out.getvalue()


@pytest.mark.parametrize("form", ["csv", "json"])
def test_a_statement_is_made_and_verified(alice, tmp_path, form):
    file = str(tmp_path / "statement")
    make = ("make", str(alice.workspace_id), "--from", YESTERDAY, "--format", form)

    assert command(*make, "--out", file) == (0, f"{file}: written\n")

    status, text = command("verify", file)
    assert (status, text.split(":")[0]) == (0, "INTACT")
    status, text = command("verify", file, "--against-books")
    assert status == 0
    assert text.endswith("The books of this installation say the same.\n")
    assert verify(command(*make)[1]).is_good


def test_a_statement_that_was_changed_is_status_1(alice, tmp_path):
    file = tmp_path / "statement"
    text = command("make", str(alice.workspace_id), "--from", YESTERDAY)[1]
    file.write_text(text.replace("1000000", "2000000"), newline="")

    status, said = command("verify", str(file))
    assert status == 1
    assert said.startswith("ALTERED or damaged:\nline 10: position 1: the content")


def test_a_true_copy_of_other_books_is_status_1_against_ours(alice, tmp_path):
    file = tmp_path / "statement"
    file.write_text(command("make", str(alice.workspace_id), "--from", YESTERDAY)[1], newline="")
    grants.grant(wallet=alice.now(), amount=5, key="earlier", reason="")
    other = f"{datetime.now(UTC) + timedelta(days=1):%Y-%m-%d}"
    longer = file.read_text().replace(f"to,{TODAY}", f"to,{other}")
    file.write_text(longer, newline="")

    assert command("verify", str(file))[0] == 1
    assert command("verify", str(file), "--against-books")[0] == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("make", "carol", "--from", YESTERDAY), "not an id"),
        (("make", "01234567-89ab-cdef-0123-456789abcdef", "--from", "soon"), "not a day"),
        (("make", "01234567-89ab-cdef-0123-456789abcdef", "--from", YESTERDAY), "no such work"),
        (("verify", "/nowhere/at/all"), "No such file"),
    ],
)
@pytest.mark.django_db
def test_a_mistake_is_a_sentence(arguments, words):
    with pytest.raises(CommandError, match=words):
        command(*arguments)


@pytest.mark.slow
def test_the_nightly_task_seals(alice, monkeypatch):
    from credits.statements import tasks

    monkeypatch.setattr(sealing, "AGE", timedelta())
    tasks.seal_books()

    assert sealing.tip(alice.workspace_id).position == 1


async def test_it_leaves_the_server_page_by_page(committed, make_member):
    """Through ASGI, as it is served; with nobody's warning that it was gathered first."""
    member = make_member("1.00")
    await sync_to_async(more_lines)(member, 4500)
    sent = []

    async def receive():
        if asked:
            await asyncio.sleep(3600)  # The client stays.
        asked.append(True)
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(event):
        sent.append(event)

    asked = []
    scope = {
        "type": "http", "method": "GET", "path": "/v1/statement", "http_version": "1.1",
        "query_string": f"from={YESTERDAY}&format=csv".encode(),
        "headers": [(b"x-api-key", member.key.encode()), (b"host", b"localhost")],
    }  # fmt: skip
    await get_asgi_application()(scope, receive, send)

    bodies = [event.get("body", b"") for event in sent]
    assert sent[0]["status"] == 200
    assert len([body for body in bodies if body]) >= 5  # Head, three pages, closing.
    verdict = verify(b"".join(bodies).decode())
    assert verdict.is_good
    assert verdict.lines == 4501


def more_lines(member, count):
    """Have that many calls of one micro, of just now."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO credits_entry (kind, debit_id, credit_id, amount_micros, key)"
            " SELECT 'call', %s, %s, 1, 'call:' || gen_random_uuid()"
            "   FROM generate_series(1, %s)",
            [member.workspace_id, HOUSE["sales"], count],
        )
        cursor.execute(
            "UPDATE credits_account SET balance_micros = balance_micros - %s WHERE id = %s",
            [count, member.workspace_id],
        )
    connection.close()
