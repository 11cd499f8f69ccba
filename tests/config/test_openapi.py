"""The OpenAPI documents are right: named, whole, and what the program does."""

from __future__ import annotations

import functools
import json
import re
from collections import Counter

import jsonschema
import pytest
import schemathesis
from django.core.cache import cache
from django.test import Client
from drf_spectacular.drainage import GENERATOR_STATS
from drf_spectacular.generators import SchemaGenerator
from hypothesis import HealthCheck, Phase, given, settings

from apikeys.models import SCOPES, ApiKey
from proxy.openapi import document
from proxy.vendors import catalogue

METHODS = ("get", "post", "put", "patch", "delete")
WITHOUT = {
    # What is not tried at random, and why.
    ("post", "/v1/keys/revoke-all"): "the key that asks would end",
    ("delete", "/v1/sign-ins"): "it ends what the test asks by",
    ("delete", "/v1/keys/{key_id}"): "the same",
    ("delete", "/customers/api-keys/{key_id}"): "the same",
    ("post", "/v1/workspaces/{id}/switch"): "it would ask of another workspace from then on",
    ("post", "/customers/storage"): "the store is tried in tests/proxy/test_storage_door.py",
}
TRIES = 8


@functools.lru_cache(maxsize=1)
def platform():
    """The document, as `/openapi.json` gives it."""
    found = SchemaGenerator().get_schema(request=None, public=True)
    return json.loads(json.dumps(found, default=str))


def operations(of):
    return [
        (method, path, each)
        for path, methods in sorted(of["paths"].items())
        for method, each in methods.items()
        if method in METHODS
    ]


def test_nothing_is_guessed_and_nothing_collides():
    GENERATOR_STATS.reset()
    with GENERATOR_STATS.silence():
        SchemaGenerator().get_schema(request=None, public=True)

    said = [*GENERATOR_STATS._warn_cache, *GENERATOR_STATS._error_cache]
    assert "\n".join(said) == "", "drf-spectacular warns of what it could not tell"


@pytest.mark.parametrize("of", [platform, document])
def test_each_operation_has_a_name_of_its_own_and_all_that_it_refers_to_is_there(of):
    found = of()
    names = Counter(each["operationId"] for _, _, each in operations(found))

    assert [name for name, n in names.items() if n > 1] == []
    assert len(names) > 80
    text = json.dumps(found)
    for reference in sorted(set(re.findall(r'"#/components/(\w+)/([^"]+)"', text))):
        assert reference[1] in found["components"][reference[0]]


@pytest.mark.parametrize("of", [platform, document])
def test_it_is_openapi_by_who_reads_it(of):
    schema = schemathesis.openapi.from_dict(of())

    assert len(list(schema.get_all_operations())) == len(operations(of()))
    assert all(hasattr(each, "ok") for each in schema.get_all_operations())


def test_each_operation_says_how_it_refuses_and_by_whom_it_is_asked():
    found = platform()

    assert set(found["components"]["securitySchemes"]) == {"ApiKey", "Token", "Session"}
    for method, path, each in operations(found):
        assert {"400", "403", "404", "429", "503"} <= set(each["responses"]), (method, path)
        assert ("401" in each["responses"]) >= bool(each.get("security")), (method, path)


def test_examples_fit_what_they_are_examples_of():
    found, seen = platform(), 0
    for method, path, each in operations(found):
        contents = [answer.get("content", {}) for answer in each["responses"].values()]
        for content in [*contents, each.get("requestBody", {}).get("content", {})]:
            told = content.get("application/json")
            if told is None:
                continue
            assert "example" in told or "examples" in told, (method, path)
            seen += 1
            schema = {**as_json_schema(told["schema"]), "components": components()}
            for one in [told["example"]] if "example" in told else []:
                jsonschema.validate(one, schema)
    assert seen > 200


@functools.lru_cache(maxsize=1)
def components():
    """What the document's schemas refer to, as JSON Schema: it is large, and asked for often."""
    return as_json_schema(platform()["components"])


def as_json_schema(told):
    """Turn OpenAPI 3.0's `nullable` into what JSON Schema has for it."""
    if isinstance(told, list):
        return [as_json_schema(each) for each in told]
    if not isinstance(told, dict):
        return told
    found = {name: as_json_schema(each) for name, each in told.items() if name != "nullable"}
    return {"anyOf": [found, {"type": "null"}]} if told.get("nullable") is True else found


def test_the_proxys_document_has_each_route_of_the_catalogue_and_no_other():
    routes = {
        (each.method.lower(), f"/proxy/{each.path}")
        for vendor in catalogue().vendors.values()
        for each in vendor.operations
    }

    assert {(method, path) for method, path, _ in operations(document())} == routes
    assert len(routes) > 150


def test_both_are_public_and_shown_on_one_page(client, db):
    assert client.get("/openapi.json").status_code == 200
    assert client.get("/openapi-proxy.json").json() == json.loads(json.dumps(document()))
    for query, document_of in (("", "/openapi.json"), ("?of=proxy", "/openapi-proxy.json")):
        page = client.get(f"/reference{query}")
        assert f'data-document="{document_of}"' in page.content.decode()
    assert client.post("/reference").status_code == 405


# --- What is asked at random is answered as the document says ------------------------------------


def by_key(member):
    ApiKey.objects.filter(pk=member.api_key_record.pk).update(scopes=list(SCOPES))
    return {"X-API-KEY": member.key}, Client(raise_request_exception=True)


def by_session(member):
    browser = Client(raise_request_exception=True)
    browser.force_login(member.user)
    return {}, browser


def test_what_is_not_tried_is_there():
    assert set(WITHOUT) <= {(method, path) for method, path, _ in operations(platform())}


@pytest.mark.parametrize("way", [by_key, by_session])
def test_whatever_is_sent_the_answer_is_one_of_the_documents(alice, settings_of_tests, way):
    """No 500, no status that is not told, no body of another shape than is told."""
    headers, browser = way(alice)
    wrong = []
    for found in schemathesis.openapi.from_dict(platform()).get_all_operations():
        operation = found.ok()
        if (operation.method, operation.path) not in WITHOUT:
            wrong += tried(operation, browser, headers)

    assert not wrong, "\n".join(sorted(set(wrong)))


def tried(operation, browser, headers):
    """Send some requests that fit an operation; return what was wrong about the answers."""
    wrong = []

    @settings(
        max_examples=TRIES, derandomize=True, database=None, deadline=None,
        suppress_health_check=list(HealthCheck), phases=[Phase.generate],
    )  # fmt: skip
    @given(case=operation.as_strategy())
    def once(case):
        cache.clear()
        answer = ask(browser, case, headers)
        said = problem(operation.definition.raw["responses"], answer)
        if said:
            wrong.append(f"{operation.method} {operation.path}: {said}")

    once()
    return wrong


@pytest.fixture
def settings_of_tests(settings):
    """Stripe is not there: what would ask it says so."""
    settings.STRIPE_API_KEY = ""
    return settings


def ask(browser, case, headers):
    sent = case.as_transport_kwargs(base_url="http://testserver")
    url = sent["url"].removeprefix("http://testserver")
    body = sent.get("json", sent.get("data"))
    content = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body)
    given_headers = {
        name: str(value)
        for name, value in {**(case.headers or {}), **headers}.items()
        if name.lower() not in ("cookie", "authorization", "user-agent") and printable(str(value))
    }
    return browser.generic(
        case.method, url, content, content_type="application/json",
        query_params=sent.get("params") or {}, headers=given_headers,
    )  # fmt: skip


def printable(text):
    return re.fullmatch(r"[ -~]*", text) is not None


def problem(told, answer):
    """Return what an answer has that the document does not tell; empty if nothing."""
    status = str(answer.status_code)
    if (answer.status_code >= 500 and status != "503") or status not in told:
        return f"{status} {'' if answer.streaming else answer.content[:200]}"
    shape = told[status].get("content", {}).get("application/json")
    is_json = answer.get("Content-Type", "").startswith("application/json")
    if shape is None or answer.streaming or not is_json:
        return ""
    schema = {**as_json_schema(shape["schema"]), "components": components()}
    errors = jsonschema.Draft202012Validator(schema).iter_errors(answer.json())
    return "; ".join(f"{each.json_path}: {each.message[:120]}" for each in errors)
