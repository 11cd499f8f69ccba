"""Whatever a client or a vendor says, no file of a vendor breaks: over the whole catalogue."""

from __future__ import annotations

import asyncio
from pathlib import Path

import orjson
import pytest
from hypothesis import HealthCheck, given, note
from hypothesis import settings as rules
from hypothesis import strategies as st

from common.errors import InvalidRequest
from proxy.asked import Asked, Evidence
from proxy.catalogue import Kind, Takes
from proxy.credentials import Account
from proxy.dialect import Judged, Said
from proxy.forms import Form
from proxy.vendors import VENDORS

CALLS = {
    vendor.name: [each for each in vendor.operations if each.kind in (Kind.SUBMIT, Kind.SYNC)]
    for vendor in VENDORS
}
OF_VENDORS = [pytest.param(vendor, id=vendor.name) for vendor in VENDORS]


def _reads(operation):
    """Return all of an operation by which `_check_meaning` reads an answer."""
    return (
        operation.job, operation.reply, operation.makes, operation.reports, operation.judge_head,
        operation.judge_line, operation.note_line, operation.reply_line,
    )  # fmt: skip


READERS = {name: [*{_reads(each): each for each in some}.values()] for name, some in CALLS.items()}
"""Of each vendor, one operation of those that read its answers alike."""


def words(text):
    return text.split()


def _names(value):
    """Return the names of all fields in a request."""
    if isinstance(value, dict):
        return {*value, *(name for each in value.values() for name in _names(each))}
    return {name for each in value for name in _names(each)} if isinstance(value, list) else set()


OF_SAMPLES = sorted(
    name
    for file in (Path(__file__).parent / "samples").glob("*.json")
    for sample in orjson.loads(file.read_bytes())
    for name in _names(sample.get("body", {}))
)
NAMES = words(
    "model_name model mode duration sound n image images input settings resolution series_amount"
    " result_type video_list refer_type multi_prompt video_id task_id effect_scene tier addons"
    " contents parts text inlineData data mimeType fileData fileUri uri generationConfig tools"
    " maxOutputTokens candidateCount responseModalities previous_interaction_id options"
    " character_orientation callback_url width height prompt promptImage keyframes position"
    " measured video_url image_ref moodboards image_style_references"
)
NAMES = sorted({*NAMES, *OF_SAMPLES})
SAID = words(
    "code message data task_id task_status task_status_msg status id uuid jobs subscription_key"
    " error uuids outputs task_result videos url duration candidates content parts finishReason"
    " promptFeedback usageMetadata steps type uri usage result sample cost detail errors list"
    " final_unit_deduction output_tokens_by_modality total_thought_tokens modality tokens"
    " state assets video image output credits results outputs file_id base_resp status_code Resp"
    " ErrCode video_id task_status creations state request_id outputUrl outputDuration name done"
    " response videos error_code failure failureCode statusCode render base64 task_status"
)
WORDS = ["kling-v3", "kling-v2-6", "std", "5", "on", "succeed", "failed", "Done", "completed",
         "SAFETY", "STOP", "base", "image", "hug", "https://a/v1beta/files/x", "https://[", "",
         "http://127.0.0.1:9/vertexai-gemini/v1beta/files/x:download", "files/x", "gs://x/y",
         "gemini-omni-flash-preview", "\x00", "\ud7ff", "INSUFFICIENT_FUND", "Ready"]  # fmt: skip

SAID += words(
    "choices input_tokens output_tokens prompt_tokens completion_tokens output video object"
    " respect_moderation finish_reason credits words end duration_sec sounds name errors type"
    " request_id voice_id _id content_violation error_code"
)


def anything(names):
    plain = st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**63), 2**64 - 1),
        st.sampled_from([0, 1, 5, 10, 200, 1201, 1302, 5002]),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(max_size=6),
        st.sampled_from(WORDS),
    )
    return st.recursive(
        plain,
        lambda inner: st.one_of(
            st.lists(inner, max_size=3),
            st.dictionaries(st.sampled_from(names), inner, max_size=5),
        ),
        max_leaves=15,
    )


bodies = st.dictionaries(st.sampled_from(NAMES), anything(NAMES), max_size=6)
answers = st.one_of(st.dictionaries(st.sampled_from(SAID), anything(SAID)), anything(SAID))
slow = rules(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def test_every_call_is_among_those_that_are_tried():
    assert sum(map(len, CALLS.values())) > 150
    for name, operations in CALLS.items():
        tried = {_reads(each) for each in READERS[name]}
        assert {_reads(each) for each in operations} == tried


@pytest.mark.parametrize("vendor", OF_VENDORS)
@slow
@given(body=bodies, model=st.sampled_from(["gemini-2.5-flash", "gemini-3-pro-image", "x"]))
def test_whatever_is_asked_has_a_price_or_a_sentence(vendor, body, model):
    """To think of a request takes longer than to ask every operation of the vendor for it."""
    for operation in CALLS[vendor.name]:
        note(operation.path)
        _check_price(operation, body, model)


def _check_price(operation, body, model):
    asked = Asked(parts={"model": model}, body=body, available=1_000_000)
    if operation.takes is Takes.FORM:
        asked.form = Form("multipart/form-data", operation.repeated)
        body = {name: f"{value}" for name, value in body.items()}
        body |= {name: [body[name]] for name in operation.repeated if name in body}
        asked.body = body
    refusal = ""
    try:
        quoted = asyncio.run(operation.price.quote(asked))
        assert 0 <= quoted.most < 2**53
        orjson.dumps(quoted.inputs)
        assets = list(operation.uses(asked)) if operation.uses else []
        assert all(isinstance(part, str) and part for asset in assets for part in asset)
        prepared = operation.prepare(asked, quoted.inputs) if operation.prepare else None
        orjson.dumps(prepared)
        settled = operation.price.settle(quoted.inputs, Evidence(end={}))
        assert 0 <= settled <= quoted.most
    except InvalidRequest as exc:
        refusal = str(exc)
    finally:
        if asked.form is not None:
            asked.form.close()
    assert len(refusal) < 700


@pytest.mark.parametrize("vendor", OF_VENDORS)
def test_a_word_may_hold_anything(vendor):
    """Each word of each vendor, by itself: what chance puts together leaves some out."""
    for value in (5, 10**18, 1.5, True, "x", [], {}, [5], [[5]]):
        for word in sorted({*SAID}):
            body = orjson.dumps({word: value})
            for operation in READERS[vendor.name]:
                for status in (201, 400, 404):
                    _check_judges(vendor, operation, Said(status, body))
                _check_meaning(vendor, operation, Said(200, body))


@pytest.mark.parametrize("vendor", OF_VENDORS)
@slow
@given(answer=answers, status=st.sampled_from([200, 201, 202, 400, 404, 429, 500]))
def test_whatever_a_vendor_says_means_something(vendor, answer, status):
    for operation in READERS[vendor.name]:
        note(operation.path)
        _check_meaning(vendor, operation, Said(status, orjson.dumps(answer)))


def _check_judges(vendor, operation, said):
    """What reads the status, too."""
    judges = [vendor.judge, *([operation.job.judge] if operation.job else [])]
    assert all(isinstance(each(said), Judged | None) for each in judges)


def _check_meaning(vendor, operation, said):
    before = orjson.dumps(said.json)
    _check_judges(vendor, operation, said)
    assert isinstance(vendor.says(said.json), str)
    assert isinstance(operation.reports(said.json), bool)
    shape = operation.job
    replies = [operation.reply] if operation.reply else []
    if operation.makes is not None:
        _check_assets(operation.makes(said.json))
    if operation.judge_line is not None:
        _check_line(operation, said.json)
    if operation.judge_head is not None:
        head = operation.judge_head(lambda _: said.body.decode()[:20])
        assert head is None or isinstance(head, Judged)
    if shape is not None:
        replies += [reply for reply in (vendor.poll(shape).reply,) if reply]
        assert shape.job_id(said.json) is None or isinstance(shape.job_id(said.json), str)
        assert all(isinstance(url, str) for url in shape.results(said.json))
        _check_assets(shape.assets(said.json))
        stated = shape.stated(said.json)
        assert stated is None or stated >= 0
        orjson.dumps([shape.pending("t"), shape.failed("t", "why")])
    for reply in replies:
        orjson.dumps(reply(said.json))
    assert orjson.dumps(said.json) == before, "what was said stays as it was said"


def _check_line(operation, line):
    noted = operation.note_line(line)
    orjson.dumps([noted, operation.reply_line(line)])
    known = {**noted, **line} if isinstance(line, dict) else line
    judged = operation.judge_line(known)
    assert judged is None or isinstance(judged, Judged)


def _check_assets(assets):
    for scope, name in assets:
        assert scope
        assert isinstance(name, str)
        assert 0 < len(name) <= 1000


async def test_a_token_that_was_given_up_is_still_covered():
    """An answer that it asked for may be on its way yet."""
    account = Account(
        "acme", {"KEY": "a-secret-key", "PLACE": "europe-west4"}, frozenset({"PLACE"})
    )
    given = iter(["first-token", "second-token"])

    async def mint():
        return next(given), 3600.0

    words = b"a-secret-key first-token second-token europe-west4"
    assert account.redacted(words) == b"************ first-token second-token europe-west4"
    assert await account.minted("token", mint) == "first-token"
    assert account.redacted(words) == b"************ *********** second-token europe-west4"
    account.forget_minted()
    assert account.redacted(words) == b"************ *********** second-token europe-west4"
    assert await account.minted("token", mint) == await account.minted("token", mint)
    assert account.redacted(words) == b"************ *********** ************ europe-west4"
