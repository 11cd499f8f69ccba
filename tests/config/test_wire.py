"""What the frontend meets (contract 2.6, 3.1, 4): through Django, as over HTTP."""

import json

import pytest
from config import health, preflight
from django.db import connection
from django.test import Client
from drf_spectacular.validation import validate_schema
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apikeys.models import ApiKey
from common import metrics  # noqa: F401 - as the web process has loaded it
from common.money import Micros
from credits.books import holds
from credits.gifts import grants
from tests.plugin import examples

READS = ["/customers/me", "/customers/balance", "/customers/events"]


def with_key(member):
    return {"X-API-KEY": member.key}


@pytest.mark.parametrize(
    "body", [None, "", "{}", '{"signup_source": "localhost"}', "rubbish", "[1", "\xff\x00", "null"]
)
@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "nonsense"])
def test_signing_in_with_a_key_is_always_200(client, alice, body, content_type):
    answer = client.post(
        "/customers", body or "", content_type=content_type, headers=with_key(alice)
    )

    assert answer.status_code == 200
    assert answer.json()["id"] == str(alice.user.pk)


def test_a_customer_has_the_contracts_fields(client, alice):
    body = client.get("/customers/me", headers=with_key(alice)).json()

    assert body.pop("createdAt")
    assert body.pop("updatedAt")
    assert body == {
        "id": str(alice.user.pk),
        "email": alice.user.email,
        "name": alice.user.name,
        "is_admin": False,
        "has_fund": True,
    }


def test_a_balance_is_in_cents(client, make_member):
    member = make_member("23.505")
    holds.place(member.workspace_id, amount=Micros(60_000), ttl_seconds=60)

    body = client.get("/customers/balance", headers=with_key(member)).json()

    assert body == {
        "amount_micros": 2350.5,
        "prepaid_balance_micros": 2350.5,
        "cloud_credit_balance_micros": 0,
        "pending_charges_micros": 6,
        "effective_balance_micros": 2344.5,
        "currency": "usd",
    }


def test_a_key_with_blanks_around_it_is_taken(client, alice):
    assert client.get("/customers/me", headers={"X-API-KEY": f" {alice.key} "}).status_code == 200


@pytest.mark.parametrize("nothing", ["", " "])
def test_an_empty_authorization_is_no_credential(client, alice, nothing):
    headers = {**with_key(alice), "Authorization": nothing}

    assert client.get("/customers/me", headers=headers).status_code == 200


@pytest.mark.parametrize(("method", "path"), [("post", "/customers"), *(("get", p) for p in READS)])
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-API-KEY": ""},
        {"X-API-KEY": "comfyui-" + "0" * 64},
        {"X-API-KEY": "schlüssel"},
        {"Authorization": "Bearer abc.def.ghi"},
        {"Authorization": "nonsense"},
    ],
)
def test_without_a_usable_credential_it_is_a_flat_401(client, db, method, path, headers):
    answer = getattr(client, method)(path, headers=headers)

    assert answer.status_code == 401
    assert set(answer.json()) == {"error", "message"}
    assert answer.json()["error"] == "unauthorized"


def test_a_bearer_token_wins_over_a_key(client, alice):
    headers = {**with_key(alice), "Authorization": "Bearer abc"}

    assert client.get("/customers/me", headers=headers).status_code == 401


def test_a_key_without_the_scope_reads_nothing(client, alice):
    ApiKey.objects.filter(pk=alice.api_key_record.pk).update(scopes=["proxy"])

    answer = client.get("/customers/balance", headers=with_key(alice))

    assert (answer.status_code, answer.json()["error"]) == (403, "access_disabled")


@pytest.mark.parametrize(
    ("method", "path", "queries"),
    [
        ("post", "/customers", 2),
        ("get", "/customers/me", 2),
        ("get", "/customers/balance", 3),
        ("get", "/customers/events", 4),
    ],
)
def test_each_endpoint_has_its_number_of_queries(
    client, alice, django_assert_num_queries, method, path, queries
):
    for n in range(15):
        grants.grant(wallet=alice.wallet, amount=Micros(1), key=f"{alice.user.pk}-{n}", reason="x")

    with django_assert_num_queries(queries):
        getattr(client, method)(path, headers=with_key(alice))


@pytest.mark.parametrize("path", ["/customers", *READS, "/health"])
@pytest.mark.parametrize("origin", ["http://127.0.0.1:8188", "https://comfy.example.org"])
def test_a_browser_may_ask_from_anywhere(client, path, origin):
    answer = client.options(
        path,
        headers={
            "Origin": origin,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "x-api-key,authorization,content-type,comfy-env",
        },
    )

    assert answer.status_code == 200
    assert answer["Access-Control-Allow-Origin"] in ("*", origin)
    allowed = {name.strip() for name in answer["Access-Control-Allow-Headers"].lower().split(",")}
    assert allowed >= {"authorization", "x-api-key", "content-type", "comfy-env"}
    methods = {name.strip() for name in answer["Access-Control-Allow-Methods"].split(",")}
    assert methods >= {"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
    assert "Access-Control-Allow-Credentials" not in answer


def test_a_refusal_can_be_read_by_the_browser_too(client, db):
    answer = client.get("/customers/me", headers={"Origin": "http://127.0.0.1:8188"})

    assert answer.status_code == 401
    assert answer["Access-Control-Allow-Origin"] in ("*", "http://127.0.0.1:8188")
    assert "Retry-After" in answer["Access-Control-Expose-Headers"]
    assert "X-Capability-Revision" in answer["Access-Control-Expose-Headers"]


def test_health_needs_no_database(client, django_assert_num_queries):
    answer = client.get("/health")

    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


def beat(seconds_ago):
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO proxy_heartbeat (name, seen_at)"
            " VALUES ('worker', now() - %s * interval '1 second')"
            " ON CONFLICT (name) DO UPDATE SET seen_at = excluded.seen_at",
            [seconds_ago],
        )


@pytest.mark.parametrize(("seconds_ago", "lives"), [(0, True), (25, True), (31, False)])
def test_ready_tells_of_the_worker_and_does_not_depend_on_it(client, db, seconds_ago, lives):
    beat(seconds_ago)

    answer = client.get("/ready")

    assert answer.status_code == 200
    assert answer.json() == {
        "ready": True,
        "database": True,
        "migrations": True,
        "encoding": True,
        "worker": lives,
        "jobs": False,
        "public_url": "fine",
    }


def test_without_any_worker_it_can_serve(client, db):
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM proxy_heartbeat")

    answer = client.get("/ready")

    assert (answer.status_code, answer.json()["worker"]) == (200, False)


@pytest.mark.parametrize(
    ("problem", "field"),
    [("unmigrated", "migrations"), ("encoding_of", "encoding")],
)
def test_a_database_that_does_not_fit_is_not_served(client, db, monkeypatch, problem, field):
    monkeypatch.setattr(health, "_done", {})
    wrong = {"unmigrated": lambda: True, "encoding_of": lambda _: "SQL_ASCII"}
    monkeypatch.setattr(preflight, problem, wrong[problem])

    answer = client.get("/ready")

    assert (answer.status_code, answer.json()["ready"], answer.json()[field]) == (503, False, False)


HTTPS = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "credits.example.org"}


@pytest.mark.parametrize(
    ("public_url", "host", "headers", "fits"),
    [
        ("", "credits.example.org", {}, True),
        ("", "credits.example.org:8000", {}, True),
        ("", "credits.example.org", {"X-Forwarded-Proto": "http"}, True),
        ("", "credits.example.org", {"X-Forwarded-Proto": "https"}, False),
        ("", "10.0.0.7:8000", HTTPS, False),
        ("", "credits.example.org:443", {}, False),
        ("", "credits.example.org", {"X-Forwarded-Proto": "gopher, http"}, False),
        ("", "credits.example.org:99999", {"X-Forwarded-Host": "[::1"}, False),
        ("https://credits.example.org", "10.0.0.7:8000", {}, True),
        ("https://credits.example.org", "10.0.0.7:8000", HTTPS, True),
        ("https://credits.example.org:443", "10.0.0.7:8000", HTTPS, True),
        ("https://credits.example.org", "10.0.0.7", {"X-Forwarded-Proto": "HTTPS, http"}, True),
        ("http://credits.example.org", "10.0.0.7:8000", HTTPS, False),
        ("https://other.example.org", "10.0.0.7:8000", HTTPS, False),
    ],
)
def test_ready_tells_whether_the_address_we_hand_out_leads_back(
    client, db, settings, public_url, host, headers, fits
):
    settings.PUBLIC_URL = public_url

    answer = client.get("/ready", headers={"Host": host, **headers})

    assert answer.status_code == 200
    assert (answer.json()["public_url"] == "fine") is fits


def test_metrics_count_open_holds(client, alice, settings):
    settings.METRICS_TOKEN = "t"
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM credits_hold")
        (before,) = cursor.fetchone()
    holds.place(alice.workspace_id, amount=Micros(60_000), ttl_seconds=60)

    answer = client.get("/metrics", headers={"Authorization": "Bearer t"})

    assert answer.status_code == 200
    assert f"platform_open_holds {before + 1}.0" in answer.content.decode()
    assert "platform_batch_size" in answer.content.decode()


@pytest.mark.parametrize(
    ("header", "status"), [("", 401), ("Bearer wrong", 401), ("Bearer só", 401), ("Bearer t", 200)]
)
def test_with_a_token_metrics_need_it(client, db, settings, header, status):
    settings.METRICS_TOKEN = "t"

    answer = client.get("/metrics", headers={"Authorization": header} if header else {})

    assert answer.status_code == status


def test_the_openapi_document_is_json_and_valid(client, db):
    answer = client.get("/openapi.json")

    assert answer.status_code == 200
    assert "json" in answer["Content-Type"]
    document = json.loads(answer.content)
    validate_schema(document)
    asked = document["paths"]["/customers/credit"]["post"]["requestBody"]["content"]
    shape = asked["application/json"]["schema"]["$ref"].rpartition("/")[2]
    assert set(document["components"]["schemas"][shape]["properties"]) == {
        "amount_micros", "currency",
    }  # fmt: skip
    assert {"/customers", *READS} <= set(document["paths"])


@pytest.mark.parametrize("path", ["/nothing", "/v1/nothing", "/a/../b"])
def test_an_unknown_path_is_a_404_in_json(client, db, path):
    answer = client.get(path)

    assert answer.status_code == 404
    assert answer.json() == {"error": "not_found", "message": "There is no such path."}


@pytest.mark.parametrize("path", ["/account/nothing", "/privacy/a/b/c"])
def test_where_people_are_an_unknown_path_is_a_page_to_browsers(db, path):
    client = Client(SERVER_NAME="localhost")
    page = client.get(path, headers={"Accept": "text/html"})
    told = client.get(path)

    assert (page.status_code, told.status_code) == (404, 404)
    assert "There is nothing here" in page.content.decode()
    assert told.json()["error"] == "not_found"


def test_a_form_that_is_too_old_is_a_page_too(db):
    browser = Client(enforce_csrf_checks=True, SERVER_NAME="localhost")

    page = browser.post("/account/login/", {}, headers={"Accept": "text/html"})

    assert page.status_code == 403
    assert "Reload the page" in page.content.decode()
    assert browser.post("/account/login/", {}).json()["error"] == "access_disabled"


@pytest.mark.parametrize("path", ["/customers/", "/customers/nothing", "/auth/x", "/proxy"])
def test_where_nodes_ask_an_unknown_path_is_a_404_that_they_show(client, db, path):
    answer = client.post(path)

    sentence = "There is no such path."
    assert answer.status_code == 404
    assert answer.json() == {
        "error": {"message": sentence, "type": "not_found"},
        "message": sentence,
        "detail": {"message": sentence},
    }


@pytest.mark.parametrize("path", READS)
def test_a_wrong_method_is_a_flat_405(client, alice, path):
    answer = client.delete(path, headers=with_key(alice))

    assert answer.status_code == 405
    assert set(answer.json()) == {"error", "message"}


NAMES = st.sampled_from(
    ["page", "limit", "filter", "start_date", "end_date", "format", "_method", "x"]
)
DATES = st.datetimes().map(lambda at: at.isoformat())
OFFSETS = st.sampled_from(["", "Z", "+14:00", "-12:00", "+23:59"])
VALUES = (
    st.text(max_size=20)
    | st.integers().map(str)
    | st.builds(lambda date, offset: date + offset, DATES, OFFSETS)
    | st.sampled_from(["api_usage_completed", "credit_added", "1", "100", "10" * 6, "NaN", "1e3"])
)


@settings(
    max_examples=examples(250),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    method=st.sampled_from(["get", "post", "put", "patch", "head", "options"]),
    path=st.sampled_from(["/customers", *READS, "/health", "/ready", "/metrics", "/openapi.json"]),
    query=st.lists(st.tuples(NAMES, VALUES), max_size=4),
    body=st.binary(max_size=60) | st.sampled_from([b"{}", b'{"a": 1}', b"[]"]),
    content_type=st.sampled_from(
        [
            "application/json",
            "text/plain",
            "multipart/form-data",
            "application/x-www-form-urlencoded",
        ]
    ),
    accept=st.sampled_from(["*/*", "application/json", "text/html", "image/png", ";"]),
)
def test_whatever_is_asked_nothing_breaks(
    client, alice, method, path, query, body, content_type, accept
):
    beat(0)
    answer = client.generic(
        method.upper(),
        path,
        body,
        content_type=content_type,
        query_params=dict(query),
        headers={**with_key(alice), "Accept": accept},
    )

    assert answer.status_code < 500
