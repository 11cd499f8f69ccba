import pytest

from usage.reports import Kind
from usage.views import EVENTS, KINDS


@pytest.fixture
def get(client, alice):
    def ask(**query):
        return client.get("/customers/events", query, headers={"X-API-KEY": alice.key})

    return ask


def test_events_have_the_contracts_shape(get, alice, history):
    history(alice, "c")

    answer = get(page=1, limit=7)

    assert answer.status_code == 200
    body = answer.json()
    assert {key: body[key] for key in ("total", "page", "limit", "totalPages")} == {
        "total": 2,
        "page": 1,
        "limit": 7,
        "totalPages": 1,
    }
    call, grant = body["events"]
    assert set(call) == set(grant) == {"event_type", "event_id", "createdAt", "params"}
    assert call["event_type"] == "api_usage_completed"
    assert call["params"] == {
        "api_name": "BFL Flux 1.1 [pro] Ultra",
        "model": "flux-pro-1.1-ultra",
        "charge_micro_usd": 0,
        "outcome": "moderated",
        "job_id": "run-1",
        "reason": "The vendor's moderation refused it.",
    }
    assert grant["event_type"] == "credit_added"
    assert grant["params"]["amount"] == 100
    assert grant["createdAt"].endswith("Z")


def test_pages_are_counted(get, alice, history):
    history(alice, "ccggr")

    assert get(limit=4).json()["totalPages"] == 2
    assert len(get(limit=4, page=2).json()["events"]) == 2
    assert get(limit=4, page=3).json()["events"] == []
    assert get(filter="credit_refunded").json()["total"] == 1
    assert get(start_date="2099-01-01T00:00:00Z").json()["total"] == 0
    assert get(end_date="2000-01-01T00:00:00Z").json()["events"] == []


@pytest.mark.parametrize("kind", list(Kind))
def test_every_kind_of_row_has_its_name_on_the_wire(get, kind):
    """And a client may ask for it by that name."""
    assert KINDS[EVENTS[kind]] is kind
    assert get(filter=EVENTS[kind]).json()["total"] == (1 if kind is Kind.ADDED else 0)


def test_a_type_that_no_event_has_finds_none(get):
    body = get(filter="no_such_event").json()

    assert (body["events"], body["total"], body["totalPages"]) == ([], 0, 0)


@pytest.mark.parametrize(
    "query",
    [
        {"limit": "0"},
        {"limit": "101"},
        {"limit": "abc"},
        {"page": "0"},
        {"page": "-1"},
        {"page": "9" * 30},
        {"start_date": "yesterday"},
        {"filter": "x" * 51},
        {"filter": "a\x00b"},
    ],
)
def test_a_query_that_makes_no_sense_is_a_flat_400_that_names_it(get, query):
    answer = get(**query)

    assert answer.status_code == 400
    body = answer.json()
    assert set(body) == {"error", "message"}
    assert body["error"] == "invalid_request"
    assert next(iter(query)) in body["message"]


@pytest.mark.parametrize("page", [1, 2, 3, 50])
def test_every_page_costs_the_same_queries(
    get, alice, history, django_assert_max_num_queries, page
):
    history(alice, "cgcgcgcgc")
    get()

    with django_assert_max_num_queries(4):
        get(limit=3, page=page)
