"""A quote is what is then held, and never charged outside its range; asking costs nothing."""

from __future__ import annotations

import asyncio
import base64
import functools
import json
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import orjson
import pytest
from django.core.cache import cache
from hypothesis import HealthCheck, given
from hypothesis import settings as rules
from hypothesis import strategies as st
from priced import an_empty_book, publish
from proxy_stage import ULTRA, ULTRA_MICROS, in_thread
from sample_calls import SAMPLES, file_of
from test_any_words import answers
from test_samples import asked_of, mutated
from vendor_calls import RICH

from common.errors import InvalidRequest, PlatformError, UnknownRoute
from prices import terms
from prices.terms import PUBLISHED
from proxy.asked import Evidence
from proxy.catalogue import Kind
from proxy.pricing import ranges
from proxy.quoting import facts, listing, nodes, requests, workflows
from proxy.quoting.estimates import estimate
from proxy.vendors import VENDORS, catalogue
from tests.plugin import examples

ALL = [(v, o) for v in VENDORS for o in v.operations if o.kind in (Kind.SYNC, Kind.SUBMIT)]


def told_of(sample):
    """Return a sample's request as it is told to a quote."""
    entry = sample.entry
    path = entry["path"]
    for name, value in entry.get("path_params", {}).items():
        path = path.replace(f"{{{name}}}", value)
    files = [
        {"field": field, "filename": filename, "content_type": kind,
         "data": base64.b64encode(file_of(kind, *seconds)).decode()}
        for field, filename, kind, *seconds in entry.get("files", ())
    ]  # fmt: skip
    asked = {"method": entry["method"], "path": path, "body": entry["body"], "files": files}
    return {**asked, "headers": entry.get("headers", {}), "query": entry.get("query", {})}


@pytest.fixture
def moved(settings):
    """Vendors that the operator put elsewhere: nothing is withdrawn then."""
    settings.VENDOR_BASE_URL = "http://127.0.0.1:9/{vendor}"
    settings.VENDOR_SETTINGS = {
        **settings.VENDOR_SETTINGS,
        **{f"VENDOR_{v.name}_BASE_URL".upper(): "http://127.0.0.1:9" for v in VENDORS},
    }


MARKED_UP = terms.book(1, [{"about": "*", "kind": "markup", "amount": 123_456}])


@pytest.mark.parametrize("book", [PUBLISHED, MARKED_UP], ids=["published", "marked-up"])
def test_every_sample_is_quoted_at_what_is_held_and_charged_within_its_range(moved, book):
    """What is held and charged for each: test_samples.py."""
    term = book.terms.get("*")
    for sample in SAMPLES:
        if sample.operation.names is not None:  # Only the vendor knows, of a job made before.
            with pytest.raises(InvalidRequest):
                asyncio.run(estimate(requests.read(told_of(sample)), book))
            continue
        found = asyncio.run(estimate(requests.read(told_of(sample)), book))
        most, charged = sample.most, sample.micros
        if term is not None:
            most, charged = term.of(most), term.of(charged)
        assert found.most == most, sample.entry
        assert found.least <= charged <= found.most, sample.entry
        assert found.least <= found.likely <= found.most


async def test_a_quote_sets_nothing_aside_and_tells_how_often_it_can_be_run(
    stage, nobody_asked_before
):
    member = await stage.member(micros=10 * ULTRA_MICROS)
    ultra = {"path": ULTRA, "body": {"prompt": "fox"}}
    workflow = {
        "1": {"class_type": "FluxProUltraImageNode", "inputs": {"prompt": "a fox"}},
        "2": {"class_type": "FluxProUltraImageNode", "inputs": {"prompt": ["7", 0]}},
        "3": {"class_type": "KSampler", "inputs": {"steps": 20}},
    }

    one = await stage.post("/v1/quote", member, json={"operation": ultra})
    whole = await stage.post("/v1/quote", member, json={"prompt": workflow})
    strange = await stage.post("/v1/quote", json={"prompt": workflow})

    assert one.status == 200, one.body
    assert one.json()["total"]["most"] == {"micros": "60000", "usd": "0.06", "credits": "12.66"}
    assert one.json()["runs"] == {"at_least": 10, "likely": 10}
    assert [each["node"] for each in whole.json()["nodes"]] == ["1", "2"]
    assert whole.json()["total"]["most"]["micros"] == f"{2 * ULTRA_MICROS}"
    assert whole.json()["runs"] == {"at_least": 5, "likely": 5}
    assert whole.json()["is_complete"] is True
    assert whole.json()["refused_by"] is None
    assert (strange.json()["available"], strange.json()["runs"]) == (None, None)
    assert stage.wallet(member) == (10 * ULTRA_MICROS, 0)
    assert stage.calls(member) == []


@pytest.mark.parametrize(
    ("options", "micros", "code"),
    [
        ({}, ULTRA_MICROS - 1, "insufficient_credits"),
        ({"call_limit_micros": ULTRA_MICROS - 1}, RICH, "budget_exceeded"),
        ({"allowed_vendors": ["kling"]}, RICH, "access_disabled"),
        ({"scopes": ["usage:read"]}, RICH, "access_disabled"),
        ({}, ULTRA_MICROS, None),
    ],
)
async def test_a_quote_says_what_would_refuse_the_call(stage, options, micros, code):
    member = await stage.member(micros=micros, **options)
    ultra = {"path": ULTRA, "body": {"prompt": "fox"}}

    quoted = await stage.post("/v1/quote", member, json={"operation": ultra})
    called = await stage.post(ULTRA, member, json={"prompt": "fox"})

    refusal = quoted.json()["refused_by"]
    assert (refusal and refusal["code"]) == code
    assert (called.status == 200) == (code is None)
    if code is not None:
        assert called.type == code


async def test_a_vendor_without_an_account_is_told(stage, configure):
    member = await stage.member()
    configure(VENDOR_BFL_KEY=None)

    quoted = await stage.post("/v1/quote", member, json={"operation": {"path": ULTRA, "body": {}}})

    assert quoted.json()["refused_by"]["code"] == "provider_disabled"


async def test_a_key_that_may_neither_call_nor_read_asks_for_no_prices(stage):
    member = await stage.member(scopes=["keys:manage"])
    refused = await stage.post("/v1/quote", member, json={"operation": {"path": ULTRA}})
    assert refused.status == 403


async def test_a_quote_is_under_the_version_that_holds(stage):
    member = await stage.member()
    asked = {"operation": {"path": ULTRA, "body": {"prompt": "fox"}}}
    with an_empty_book(stage.db):
        publish(stage.db, {"about": "bfl", "kind": "markup", "amount": 500_000})
        marked_up = (await stage.post("/v1/quote", member, json=asked)).json()
        price_list = (await stage.get("/prices")).json()

    assert (marked_up["version"], marked_up["total"]["most"]["micros"]) == (1, "90000")
    (listed,) = [o for o in price_list["operations"] if o["route"] == f"POST {ULTRA}"]
    assert price_list["version"] == 1
    assert listed["term"] == "50 % more than the published price"
    assert listed["prices"][0]["retail"]["most"]["usd"] == "0.06"
    assert listed["prices"][0]["most"]["usd"] == "0.09"


@pytest.fixture
async def nobody_asked_before(stage):
    """Strangers are counted by their address, and here all have one."""
    await in_thread(cache.clear)
    yield
    await in_thread(cache.clear)


async def test_strangers_ask_for_so_many_quotes_a_minute(stage, nobody_asked_before):
    asked = {"operation": {"path": ULTRA, "body": {"prompt": "fox"}}}
    found = [(await stage.post("/v1/quote", json=asked)).status for _ in range(80)]
    assert set(found) == {200, 429}


# --- The price list ---------------------------------------------------------------------------


async def test_the_price_list_is_anybodys_and_is_not_sent_twice(stage):
    first = await stage.get("/prices")
    again = await stage.get("/prices", headers={"If-None-Match": first.headers["etag"]})

    routes = {each["route"] for each in first.json()["operations"]}
    assert routes >= {f"{o.method} /proxy/{o.path}" for _, o in ALL}
    assert (again.status, again.body) == (304, b"")


def test_every_operation_says_its_rule_and_its_price(moved):
    rows = {each.operation.path: each for each in listing.listed(PUBLISHED)}
    for _, operation in ALL:
        words = ranges.words(operation.price)
        assert 12 < len(words) < 200, operation.path
        assert words.endswith("."), operation.path
        assert rows[operation.path].rows or operation.names is not None, operation.path
        assert rows[operation.path].nodes, operation.path


def test_every_example_is_of_an_operation_that_is_here():
    here = {operation.path for operation in _all_of_catalogue()}
    assert set(facts.examples()) <= here
    missing = {o.path for _, o in ALL} - set(facts.examples())
    lines = {s.operation.path: json.dumps(told_of(s)) for s in SAMPLES}
    # Each may be the line as it stands here, with what its price varies by (docs/prices.md).
    assert not missing, "\n".join(f'"{name}": {lines[name]},' for name in sorted(missing))


def _all_of_catalogue():
    return [o for vendor in catalogue().vendors.values() for o in vendor.operations]


# --- Workflows --------------------------------------------------------------------------------


def quoted(name, **inputs):
    workflow = {"1": {"class_type": name, "inputs": inputs}}
    (row,) = asyncio.run(workflows.quote(workflow, PUBLISHED))
    return row


RECORDED = json.loads((Path(__file__).parent / "recorded_nodes.json").read_text())
"""What nodes sent that were run with these inputs, of all that can be told: one each."""


def test_a_node_is_quoted_at_what_its_own_request_costs(moved):
    compared = 0
    for case in RECORDED:
        try:
            own = asyncio.run(estimate(requests.read(case["request"]), PUBLISHED))
        except UnknownRoute:
            continue  # Its vendor is not in the catalogue yet.
        row = quoted(case["node"], **case["inputs"])
        assert row.is_exact
        assert row.estimate is not None, case
        compared += 1
        slack = 0 if own.least == own.most else own.most // 500
        assert abs(row.estimate.most - own.most) <= slack, case
        assert row.estimate.least == own.least, case
    assert compared > 150


def test_a_long_prompt_costs_more_also_beside_a_picture(moved):
    image = {"images.image_1": ["9", 0]}
    short = quoted("ClaudeNode", prompt="hello", **image)
    long = quoted("ClaudeNode", prompt="hello " * 5_000, **image)

    assert long.estimate.most > short.estimate.most + 10_000


@pytest.mark.parametrize(
    ("node", "name"), [("ElevenLabsTextToSpeech", "text"), ("ClaudeNode", "prompt")]
)
def test_a_text_that_another_node_makes_is_told_from_the_shortest_to_the_longest(moved, node, name):
    short, usual = quoted(node, **{name: "a"}), quoted(node, **{name: "a word " * 150})
    linked = quoted(node, **{name: ["4", 0]})

    assert linked.estimate.least <= short.estimate.least
    assert linked.estimate.most > usual.estimate.most > short.estimate.most
    assert linked.is_exact is False


def test_a_text_that_changes_no_price_is_told_exactly(moved):
    linked = quoted("FluxProUltraImageNode", prompt=["4", 0])

    assert (linked.estimate.least, linked.estimate.most) == (60_000, 60_000)
    assert linked.is_exact


def test_a_link_is_asked_for_in_all_its_choices(moved):
    """Kling's node has two modes: of five seconds, and of ten."""
    five = quoted("KlingTextToVideoNode", mode="pro mode / 5s duration / kling-v2-5-turbo")
    linked = quoted("KlingTextToVideoNode", mode=["4", 0])

    assert (five.estimate.least, five.estimate.most) == (350_000, 350_000)
    assert (linked.estimate.least, linked.estimate.most) == (350_000, 700_000)


def test_a_value_that_no_node_offers_is_told_by_the_range_of_its_operations(moved):
    row = quoted("KlingTextToVideoNode", mode="kling-v99")
    assert row.is_exact is False
    assert row.estimate.least < row.estimate.most


@functools.cache
def most_of(name):
    """Return the most that is told of an operation by itself, whatever its request."""
    node = facts.Node("any", "", "", (name,))
    return asyncio.run(workflows._by_operations("1", node, PUBLISHED)).estimate.most


@pytest.mark.slow
def test_the_range_of_an_operation_holds_all_that_was_ever_recorded_of_it(moved):
    """Samples, recordings of nodes, and every choice of each input of every node."""
    most, higher = {name: most_of(name) for _, o in ALL if (name := o.path) != ESTIMATED}, {}
    told = [told_of(each) for each in SAMPLES] + [case["request"] for case in RECORDED]
    told += [made for node in facts.nodes().values() for made in _each_choice(node, node.calls)]
    for each in told:
        try:
            wanted = requests.read(each)
            held = asyncio.run(estimate(wanted, PUBLISHED)).most
        except PlatformError:
            continue
        if held > most[wanted.route.name]:
            higher[wanted.route.name] = (most[wanted.route.name], held)
    assert higher == {}


ESTIMATED = "topaz/video/{request_id}/accept"
"""What it costs only the vendor can tell, of a film that it knows."""


def _each_choice(node, calls):
    """Yield the requests of a node with each of its inputs at each of its choices, one by one."""
    for variant in calls.get("variants", {}):
        yield from _each_choice(node, nodes._alike(calls["variants"], variant))
    alone = replace(node, calls=calls)
    for name, told in calls.get("inputs", {}).items() if "by" not in calls else ():
        for choice in nodes._choices(told):
            yield from nodes.requests_of(alone, {name: choice})


@rules(max_examples=examples(1000), deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_no_request_is_held_for_more_than_the_most_of_its_operation(data):
    sample = data.draw(st.sampled_from([s for s in SAMPLES if s.operation.path != ESTIMATED]))
    asked = {**told_of(sample), "body": data.draw(mutated(sample))}
    with suppress(PlatformError):
        held = asyncio.run(estimate(requests.read(asked), PUBLISHED)).most
        assert held <= most_of(sample.operation.path), asked


@pytest.mark.parametrize(
    ("name", "least", "most"),
    [
        ("ByteDance2ReferenceNode", 0, 40_223_828),
        ("TripoConversionNode", 50_000, 100_000),
        ("FluxEraseNode", 30_000, 60_000),
    ],
)
def test_a_node_whose_inputs_nobody_knows_is_told_up_to_the_most_that_it_can_cost(
    moved, name, least, most
):
    row = quoted(name)
    assert row.is_exact is False
    assert (row.estimate.least, row.estimate.most) == (least, most)


def test_a_node_with_more_choices_than_are_asked_for_is_told_to_the_most(moved):
    """What was not asked for may be the dearest."""
    node = facts.nodes()["OpenAIGPTImage1"]
    row = quoted(node.name, **{name: ["9", 0] for name in _inputs(node.calls)})
    assert row.is_exact is False
    assert row.estimate.most == most_of(node.routes[0])


def test_no_node_is_forgotten(moved):
    """Each has a price of its own, a range, or a sentence."""
    for node in facts.nodes().values():
        if not node.routes:
            continue
        row = quoted(node.name)
        assert (row.estimate is None) == bool(row.problem), node.name


JSON = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(-(2**53), 2**53), st.floats(allow_nan=False),
        st.text(max_size=5), st.sampled_from(["", "x", "pro", "1080p", "5", 5, 10**9]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=10,
)  # fmt: skip


@st.composite
def inputs_of(draw, node):
    made = {}
    for name in _inputs(node.calls):
        if draw(st.integers(0, 2)):
            made[name] = draw(st.one_of(JSON, st.just(["9", 0])))
    return made


def _inputs(calls):
    if "by" in calls:
        return {calls["by"], *(n for each in calls["variants"].values() for n in _inputs(each))}
    return {rule["input"] for rule in calls.get("set", ())}


@rules(max_examples=examples(300), deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_whatever_a_workflow_holds_is_quoted_or_has_a_sentence(data):
    node = data.draw(st.sampled_from(sorted(facts.nodes().values(), key=lambda n: n.name)))
    inputs = data.draw(st.one_of(inputs_of(node), JSON))
    workflow = data.draw(
        st.one_of(
            st.just({"1": {"class_type": node.name, "inputs": inputs}}),
            st.dictionaries(st.text(max_size=3), JSON, max_size=3),
        )
    )
    with suppress(PlatformError):
        _check(asyncio.run(workflows.quote(workflow, PUBLISHED)))


def _check(rows):
    for row in rows:
        assert (row.estimate is None) == bool(row.problem)
        if row.estimate is not None:
            assert 0 <= row.estimate.least <= row.estimate.likely <= row.estimate.most
            orjson.dumps(row.estimate.inputs)


@rules(max_examples=examples(300), deadline=None, suppress_health_check=list(HealthCheck))
@given(told=st.dictionaries(
    st.sampled_from(["path", "method", "body", "headers", "query", "files"]), JSON),
    path=st.sampled_from([f"/proxy/{operation.path}" for _, operation in ALL]))  # fmt: skip
def test_whatever_a_request_is_told_as_it_has_a_price_or_a_sentence(told, path):
    for made in (told, {**told, "path": path}):
        with suppress(PlatformError):
            found = asyncio.run(estimate(requests.read(made), PUBLISHED))
            assert 0 <= found.least <= found.likely <= found.most


@rules(max_examples=examples(1000), deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data(), end=answers, share=st.fractions(0, 1))
def test_nothing_is_settled_below_the_least(data, end, share):
    """Whatever the vendor says of it."""
    sample = data.draw(st.sampled_from(SAMPLES))
    asked = asked_of(sample, data.draw(mutated(sample)))
    try:
        quote = asyncio.run(sample.operation.price.quote(asked))
    except InvalidRequest:
        return
    finally:
        if asked.form is not None:
            asked.form.close()
    price, measured = sample.operation.price, {"seconds": 100 * share, "frames": 100 * share}
    least = ranges.least(price, quote.inputs, most=quote.most)
    settled = price.settle(quote.inputs, Evidence(submit=end, end=end, measured=measured))
    assert settled is None or settled >= least  # None: that is not the end yet.


async def test_what_is_no_workflow_is_refused(stage):
    member = await stage.member()
    for body in ({}, {"prompt": {}}, {"prompt": {"1": 5}}, {"operation": {}}, {"prompt": [1]}):
        refused = await stage.post("/v1/quote", member, json=body)
        assert refused.status in (400, 404), refused.body
        assert json.loads(refused.body)["message"]


@pytest.mark.parametrize("data", ["\u00e9", "===", "a", "\u732b" * 9], ids=ascii)
def test_data_that_is_no_base64_is_refused(data):
    form = requests.Form(requests.MULTIPART)

    with pytest.raises(InvalidRequest, match="must be base64"):
        requests._add(form, {"field": "image", "data": data})
    form.close()
