"""Every route as recorded: what it is, what is held for it, what it costs, how its jobs end.

What is peculiar to a vendor is in a file of its own; what must hold for all stands here, once.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as rules
from hypothesis import strategies as st
from proxy_stage import check_refusal, in_thread
from sample_calls import (
    FOLDER,
    SAMPLES,
    Sample,
    ask,
    entries,
    file_of,
    found,
    job_of,
    polled,
    prepared,
    put,
    send,
    state,
    unnamed,
    words_of,
)
from vendor_calls import RICH, followed

from common.errors import InvalidRequest
from proxy import tasks
from proxy.asked import Asked, Evidence
from proxy.catalogue import Gives, Kind
from proxy.forms import File, Form
from proxy.vendors import VENDORS
from sandbox.vendors import VENDORS as FAR_SIDES
from tests.plugin import examples

FAILURES = {far.name: far.failures for far in FAR_SIDES}
UNKNOWN = "unheard-of-9"


def named(samples: list[Sample]) -> list[Any]:
    return [
        pytest.param(sample, id=f"{number}-{sample.operation.path}")
        for number, sample in enumerate(samples)
    ]


def first_of_each(what: Callable[[Sample], Any], samples: list[Sample]) -> list[Any]:
    """Return one sample of each operation, or whatever `what` says it is of."""
    return named(list({what(sample): sample for sample in reversed(samples)}.values()))


OF_JOBS = [sample for sample in SAMPLES if sample.operation.job is not None]
JOBS = first_of_each(lambda sample: sample.operation.path, OF_JOBS)
SHAPES = first_of_each(lambda sample: (sample.vendor.name, sample.operation.job), OF_JOBS)
"""What a job costs is its operation's; how it fails or expires, that of the shape it shares."""
OF_VENDOR = [
    pytest.param([each for each in SAMPLES if each.vendor is vendor], id=vendor.name)
    for vendor in VENDORS
]


def test_catalogue_and_samples_name_the_same_routes():
    assert {file.stem for file in FOLDER.glob("*.json")} == {vendor.name for vendor in VENDORS}
    for vendor in VENDORS:
        ours = {(o.method, unnamed(f"/proxy/{o.path}"), o.kind.value) for o in vendor.operations}
        theirs = {(e["method"], unnamed(e["path"]), e["kind"]) for e in entries(vendor.name)}
        assert ours == theirs
        costly = {o.path for o in vendor.operations if o.kind in (Kind.SYNC, Kind.SUBMIT)}
        assert costly == {each.operation.path for each in SAMPLES if each.vendor is vendor}


@pytest.mark.parametrize("sample", named(SAMPLES))
async def test_a_sample_is_held_and_charged_as_recorded(stage, sample):
    member = await stage.member(micros=RICH)
    entry = await prepared(stage, member, sample)
    balance, _ = stage.wallet(member)
    stage.vendor.desks[sample.vendor.name].overlay = entry.get("answer", {})

    answer = await send(stage, member, entry)

    assert answer.status < 300, answer.body
    if sample.operation.job is not None:
        assert stage.wallet(member) == (balance, sample.most)
        job = job_of(stage, member)
        if sample.operation.names is None:
            assert json.dumps(job)[1:-1].encode() in answer.body, "a node reads it there"
        end = await polled(stage, member, sample, job)
        assert state(words_of(sample), end) == "done"
        again = await ask(stage, member, sample, job)
        assert again.body == end.body
    else:
        assert answer.body
        if sample.operation.gives is not Gives.LINES:  # Of lines the price is known at their end.
            assert float(answer.headers["x-comfy-credits-used"]) >= 0
    assert stage.wallet(member) == (balance - sample.micros, 0)
    call = stage.calls(member)[-1]
    assert call["outcome"] == "delivered"
    assert (call["held_micros"], call["charged_micros"]) == (sample.most, sample.micros)
    assert call["price_version"]
    assert call["facts"]["title"]


def model_at(entry: dict[str, Any]) -> str:
    """Return where a request names its model; empty if nowhere."""
    given = entry.get("model")
    names = ("model", "model_name", "model_id")
    return given or next((name for name in names if name in entry["body"]), "")


@pytest.mark.parametrize("samples", OF_VENDOR)
async def test_an_unknown_model_is_refused_by_its_name_and_nothing_is_held(stage, samples):
    member = await stage.member()
    for sample in samples:
        entry = sample.entry
        if "model" in entry.get("path_params", {}):
            params = {**entry["path_params"], "model": UNKNOWN}
            refused = await send(stage, member, entry, path_params=params)
        elif "model" in entry.get("headers", {}):
            refused = await send(stage, member, entry, headers={"model": UNKNOWN})
        elif at := model_at(entry):
            refused = await send(stage, member, entry, body=put(entry["body"], at, UNKNOWN))
        else:
            continue
        assert (refused.status, refused.type) == (400, "invalid_request"), refused.body
        assert UNKNOWN in refused.json()["message"]
        check_refusal(refused)
    assert stage.wallet(member) == (5_000_000, 0)
    assert stage.calls(member) == []
    assert stage.vendor.counts(samples[0].vendor.name)["submits"] == 0


# --- Jobs --------------------------------------------------------------------------------------


async def begun(stage: Any, member: Any, sample: Sample, *failures: str) -> str:
    """Submit a job that ends so; return its id."""
    entry = await prepared(stage, member, sample)
    if failures:
        stage.vendor.fail_next(sample.vendor.name, *failures)
    answer = await send(stage, member, entry)
    assert answer.status < 300, answer.body
    return job_of(stage, member)


@pytest.mark.parametrize("sample", SHAPES)
async def test_a_job_that_ends_without_a_result_costs_nothing(stage, sample):
    endings = {"failed", "moderated", "content_moderated"} & FAILURES[sample.vendor.name]
    assert "failed" in endings
    member = await stage.member(micros=RICH)
    for ending in sorted(endings):
        job = await begun(stage, member, sample, ending)
        before = stage.wallet(member)[0], len(stage.calls(member))
        end = await polled(stage, member, sample, job)
        again = await ask(stage, member, sample, job)
        assert {state(words_of(sample), each) for each in (end, again)} == {"failed"}, ending
        assert stage.wallet(member) == (before[0], 0)
        (call,) = stage.calls(member)[before[1] :]
        assert call["outcome"] in ("failed", "moderated")


@pytest.mark.parametrize("sample", JOBS)
async def test_a_job_that_nobody_polls_is_settled_by_the_follower(stage, sample):
    member = await stage.member(micros=RICH)
    stage.vendor.desks[sample.vendor.name].overlay = sample.entry.get("answer", {})
    job = await begun(stage, member, sample)
    balance = stage.wallet(member)[0]

    await followed(stage, member)

    assert stage.wallet(member) == (balance - sample.micros, 0)
    assert stage.calls(member)[-1]["outcome"] == "delivered"
    assert state(words_of(sample), await ask(stage, member, sample, job)) == "done"
    assert stage.wallet(member) == (balance - sample.micros, 0)


@pytest.mark.parametrize("sample", SHAPES)
async def test_two_who_ask_and_the_follower_settle_a_job_once(stage, sample):
    """All of them see its end at once; each is told of it, and it is paid for once."""
    member = await stage.member(micros=RICH)
    stage.vendor.desks[sample.vendor.name].overlay = sample.entry.get("answer", {})
    job = await begun(stage, member, sample)
    balance = stage.wallet(member)[0]
    before = len(stage.calls(member))
    stage.due(member)

    *_, first, second = await asyncio.gather(
        in_thread(tasks.follow_jobs),
        polled(stage, member, sample, job),
        polled(stage, member, sample, job),
    )

    assert {state(words_of(sample), each) for each in (first, second)} == {"done"}
    assert stage.wallet(member) == (balance - sample.micros, 0)
    (call,) = stage.calls(member)[before:]
    assert (call["outcome"], call["charged_micros"]) == ("delivered", sample.micros)


@pytest.mark.parametrize("sample", SHAPES)
async def test_a_job_that_never_ends_expires_and_is_another_workspaces_never(stage, sample):
    member, other = await stage.member(micros=RICH), await stage.member(micros=RICH)
    job = await begun(stage, member, sample, "never")
    balance = stage.wallet(member)[0]
    assert state(words_of(sample), await ask(stage, member, sample, job)) == "pending"

    for who, status in ((other, 404), (None, 401)):
        refused = await ask(stage, who, sample, job)
        assert refused.status == status
        check_refusal(refused)
    stage.over(member)
    await followed(stage, member)

    assert stage.calls(member)[-1]["outcome"] == "expired"
    assert stage.wallet(member) == (balance, 0)
    refused = await ask(stage, member, sample, job)
    assert (refused.status, refused.type) == (422, "job_expired")
    assert stage.wallet(other) == (RICH, 0)


# --- What goes wrong at every vendor -----------------------------------------------------------

SIMPLE = {sample.vendor.name: sample for sample in reversed(SAMPLES) if "after" not in sample.entry}
VENDOR = [pytest.param(sample, id=name) for name, sample in SIMPLE.items()]


def lost(sample, failure):
    """Return how often in a row it fails: a lost answer is asked for again where that helps."""
    is_lost = failure in ("cut", "drop_after", "status=504")
    return 2 if is_lost and sample.operation.known_by is not None else 1


@pytest.mark.parametrize("sample", VENDOR)
async def test_a_refusal_costs_nothing_and_says_nothing_of_our_account(stage, sample):
    member = await stage.member(micros=RICH)
    for failure, status, type_ in (
        ("status=401", 403, "provider_disabled"),
        ("status=402", 403, "provider_disabled"),
        ("status=403", 403, "provider_disabled"),
        ("status=500", 502, "provider_error"),
        ("status=503", 502, "provider_error"),
        ("nonjson", 422, "outcome_unknown"),
        ("cut", 422, "outcome_unknown"),
    ):
        if failure == "nonjson" and sample.operation.gives is Gives.BYTES:
            continue  # Nobody can tell that page from a file.
        if failure == "cut" and sample.operation.gives is Gives.LINES:
            continue  # The first of them were given by then.
        stage.vendor.fail_next(sample.vendor.name, failure, times=lost(sample, failure))
        refused = await send(stage, member, sample.entry)
        assert (refused.status, refused.type) == (status, type_), (failure, refused.body)
        check_refusal(refused)
        assert stage.wallet(member) == (RICH, 0), failure
    stage.vendor.fail_next(sample.vendor.name, "status=429")
    refused = await send(stage, member, sample.entry)
    assert (refused.status, refused.type) in (
        (429, "provider_rate_limited"),
        (403, "provider_disabled"),
    )
    check_refusal(refused)
    assert stage.wallet(member) == (RICH, 0)


@pytest.mark.parametrize("sample", VENDOR)
async def test_a_lost_answer_keeps_the_hold(stage, sample):
    member = await stage.member(micros=RICH)
    for count, failure in enumerate(("drop_after", "status=504"), start=1):
        stage.vendor.fail_next(sample.vendor.name, failure, times=lost(sample, failure))
        refused = await send(stage, member, sample.entry)
        assert (refused.status, refused.type) == (422, "outcome_unknown"), failure
        check_refusal(refused)
        assert stage.wallet(member) == (RICH, count * sample.most)


@pytest.mark.parametrize("sample", VENDOR)
async def test_our_credential_never_comes_back(stage, sample):
    member = await stage.member(micros=RICH)
    stage.vendor.fail_next(sample.vendor.name, "echo")
    answer = await send(stage, member, sample.entry)
    assert answer.status < 300, answer.body
    assert b"vendor-secret" not in answer.body


@pytest.mark.parametrize("sample", VENDOR)
async def test_a_wrong_key_is_the_operators_affair(stage, configure, sample):
    member = await stage.member(micros=RICH)
    scheme = sample.operation.credential or sample.vendor.credential
    name = sample.vendor.name.upper()
    for wrong in ("another-vendor-key", None):
        configure(**{f"VENDOR_{name}_{s}": wrong for s in scheme.required or ("KEY",)})
        refused = await send(stage, member, sample.entry)
        assert (refused.status, refused.type) == (403, "provider_disabled")
        check_refusal(refused)
    assert stage.wallet(member) == (RICH, 0)


# --- No price is more than its quote -----------------------------------------------------------

NUMBERS = st.one_of(st.integers(-1, 16), st.sampled_from([0.5, 7.25, 60, 1024, 4096, 10**6]))
ODD = st.one_of(st.none(), st.booleans(), NUMBERS, NUMBERS.map(str), st.sampled_from(["", "x"]))


def leaves(value: Any, path: str = "") -> list[str]:
    """Return the paths of everything in a body that is neither list nor object."""
    if isinstance(value, dict):
        return [
            leaf for k, each in value.items() for leaf in leaves(each, f"{path}.{k}".strip("."))
        ]
    if isinstance(value, list):
        return [leaf for k, each in enumerate(value) for leaf in leaves(each, f"{path}[{k}]")]
    return [path]


def _known_values() -> dict[str, list[Any]]:
    """Return by the last part of their names the values that samples have, and words of rules."""
    known: dict[str, list[Any]] = {}
    for sample in SAMPLES:
        body = sample.entry["body"]
        for leaf in leaves(body):
            name = re.split(r"[.\[]", leaf.rstrip("]"))[-1]
            known.setdefault(name, []).extend(found(body, leaf))
    for name, words in {
        "resolution": ["480p", "540p", "720p", "1080p", "1440p", "2160p", "4k", "1K", "2K", "4K"],
        "quality": ["low", "medium", "high", "auto", "HIGH", "LOW"],
        "mode": ["std", "pro", "4k"],
        "rendering_speed": ["TURBO", "QUALITY"],
    }.items():
        known.setdefault(name, []).extend(words)
    return known


KNOWN = _known_values()


@st.composite
def mutated(draw: Any, sample: Sample) -> dict[str, Any]:
    """Draw a body like the sample's: some values replaced, some fields added."""
    body = sample.entry["body"]
    for leaf in leaves(body):
        name = re.split(r"[.\[]", leaf.rstrip("]"))[-1]
        if leaf and draw(st.integers(0, 2)) == 0:
            body = put(body, leaf, draw(st.one_of(st.sampled_from(KNOWN.get(name, [1])), ODD)))
    for name in draw(st.lists(st.sampled_from(sorted(KNOWN)), max_size=2)):
        value = draw(st.one_of(st.sampled_from(KNOWN[name]), ODD))
        body = {**body, name: draw(st.sampled_from([value, [value], {name: value}]))}
    return body


def asked_of(sample: Sample, body: dict[str, Any]) -> Asked:
    entry = sample.entry
    asked = Asked(parts=entry.get("path_params", {}), query=entry.get("query", {}), body=body)
    asked.headers = entry.get("headers", {})
    if not entry.get("form"):
        return asked
    repeated = sample.operation.repeated
    asked.form = Form("multipart/form-data", repeated)
    for field, filename, kind, *seconds in entry.get("files", ()):
        content = file_of(kind, *seconds)
        start = asked.form.spool.tell()
        asked.form.spool.write(content)
        asked.form.add(field, File(field, filename, kind, start, len(content)))
    for name, value in body.items():
        for each in value if isinstance(value, list) and name in repeated else [value]:
            asked.form.add(name, each if isinstance(each, str) else json.dumps(each))
    asked.body = dict(asked.form.fields)
    return asked


@rules(
    max_examples=examples(1500),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(data=st.data())
def test_no_price_is_more_than_its_quote(data):
    """Whatever is asked, and whatever is delivered within its bounds."""
    sample = data.draw(st.sampled_from(SAMPLES))
    asked = asked_of(sample, data.draw(mutated(sample)))
    try:
        quoted = asyncio.run(sample.operation.price.quote(asked))
    except InvalidRequest:
        return
    finally:
        if asked.form is not None:
            asked.form.close()
    inputs = json.loads(json.dumps(quoted.inputs, allow_nan=False))  # They are written down.
    longest = Fraction(inputs.get("most", 5))
    share = data.draw(st.fractions(Fraction(1, 100), 1))
    price = sample.operation.price
    for known in (
        Evidence(submit={}),
        Evidence(submit={}, end={}),
        Evidence(submit={}, end={}, measured={"seconds": longest * share}),
    ):
        settled = price.settle(inputs, known)
        assert settled is not None or not known.is_final
        assert settled is None or 0 <= settled <= quoted.most
