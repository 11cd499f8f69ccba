"""Gemini's prices: by the tokens that were used, within what was held, never without a limit."""

from __future__ import annotations

import asyncio
import json

import pytest
from hypothesis import given
from hypothesis import settings as rules
from hypothesis import strategies as st

from common.errors import InvalidRequest
from proxy.asked import Asked, Evidence
from proxy.vendors import catalogue
from proxy.vendors.google_prices import CONTEXT_TOKENS, MODELS, request_of
from tests.plugin import examples

GENERATE = catalogue().find("POST", "/proxy/vertexai/gemini/x").operation
OMNI = catalogue().find("POST", "/proxy/gemini-interactions").operation
RATES = {
    # USD a million tokens: in, out, pictures; written down here a second time.
    "gemini-2.5-pro": (1.25, 10, 0),
    "gemini-2.5-flash": (0.3, 2.5, 0),
    "gemini-2.5-flash-image": (0.3, 2.5, 30),
    "gemini-3.1-pro-preview": (2, 12, 0),
    "gemini-3.1-pro": (2, 12, 0),
    "gemini-3-pro-image": (2, 12, 144),
    "gemini-3.1-flash-image": (0.5, 3, 72),
    "gemini-3.1-flash-lite-image": (0.25, 1.5, 36),
    "gemini-3.1-flash-lite": (0.25, 1.5, 0),
    "gemini-3.5-flash": (1.5, 9, 0),
    "gemini-3.7-flash": (2.15, 10.73, 0),
}
RENAMED = {
    "gemini-2.5-pro-preview-05-06": "gemini-2.5-pro",
    "gemini-2.5-flash-preview-04-17": "gemini-2.5-flash",
    "gemini-2.5-flash-image-preview": "gemini-2.5-flash-image",
    "gemini-3-pro-preview": "gemini-3.1-pro-preview",
    "gemini-3-pro-image-preview": "gemini-3-pro-image",
    "gemini-3.1-flash-image-preview": "gemini-3.1-flash-image",
    "gemini-3.1-flash-lite-preview": "gemini-3.1-flash-lite",
}


def saying(text="a red fox", **more):
    return {"contents": [{"role": "user", "parts": [{"text": text}]}], **more}


def with_part(part, **more):
    return {"contents": [{"role": "user", "parts": [part]}], **more}


def quote(body, model="gemini-2.5-flash", available=None):
    asked = Asked(parts={"model": model}, body=body, available=available)
    return asyncio.run(GENERATE.price.quote(asked))


def settle(inputs, answer):
    return GENERATE.price.settle(inputs, Evidence(end=answer))


def used(prompt=0, text=0, pictures=0, thoughts=0):
    details = [("TEXT", text), ("IMAGE", pictures)]
    return {
        "usageMetadata": {
            "promptTokenCount": prompt,
            "candidatesTokenCount": text + pictures,
            "candidatesTokensDetails": [
                {"modality": kind, "tokenCount": count} for kind, count in details if count
            ],
            "thoughtsTokenCount": thoughts,
        }
    }


@pytest.mark.parametrize("name", MODELS)
def test_every_model_costs_its_rates_by_whatever_name(name):
    upstream = RENAMED.get(name, name)
    in_, out, picture = RATES[upstream]
    quoted = quote(saying(), name)
    assert quoted.inputs["model"] == upstream
    pictures = 1000 if picture else 0
    settled = settle(quoted.inputs, used(100, 500, pictures, 300))
    assert settled == -(-round((100 * in_ + 800 * out + pictures * picture) * 100) // 100)
    limit = 8192 if picture else 65_536
    assert quoted.inputs["limit"] == limit
    assert abs(quoted.most - limit * max(out, picture)) < 1000


def test_a_limit_is_kept_lowered_by_the_model_and_by_the_wallet():
    def limit(wanted=None, available=None, model="gemini-2.5-flash", **more):
        settings = {"maxOutputTokens": wanted, **more}
        return quote(saying(generationConfig=settings), model, available).inputs["limit"]

    assert limit(100) == 100
    assert limit(10**6) == 65_536
    assert limit(10**6, model="gemini-3-pro-image") == 32_768
    # 2.5 micros a token: ten cents are some 40,000 of them, less what the prompt costs.
    assert 39_900 < limit(available=100_000) < 40_000
    assert 19_900 < limit(available=100_000, candidateCount=2) < 20_000
    assert limit(100, available=0) == 100
    # There is no answer in less: then the hold says what is missing.
    assert limit(available=0) == 2048
    assert limit(available=0, model="gemini-3-pro-image") == 4096
    assert limit(available=10**9) == 65_536


@pytest.mark.parametrize(
    ("part", "tokens"),
    [
        ({"inlineData": {"mimeType": "image/png", "data": "AAAA" * 1000}}, 6000),
        ({"inline_data": {"mime_type": "image/webp", "data": "AAAA" * 1000}}, 6000),
        ({"fileData": {"mimeType": "image/png", "fileUri": "https://a.example/x.png"}}, 6000),
        ({"inlineData": {"mimeType": "text/plain", "data": "A" * 4000}}, 4000),
        ({"inlineData": {"mimeType": "video/mp4", "data": "AAAA"}}, CONTEXT_TOKENS),
        ({"inlineData": {"mimeType": "audio/mp3", "data": "AAAA"}}, CONTEXT_TOKENS),
        ({"inlineData": {"mimeType": "application/pdf", "data": "AAAA"}}, CONTEXT_TOKENS),
        ({"inlineData": {"data": "AAAA"}}, CONTEXT_TOKENS),
        ({"fileData": {"mimeType": "text/plain", "fileUri": "https://a/x"}}, CONTEXT_TOKENS),
        ({"fileData": {"mimeType": "video/mp4", "fileUri": "https://a/x"}}, CONTEXT_TOKENS),
        ({"text": "ä" * 1000}, 2000),
        ({"text": "x" * 2_000_000}, CONTEXT_TOKENS),
    ],
)
def test_the_input_is_held_at_its_bound(part, tokens):
    quoted = quote(with_part(part, generationConfig={"maxOutputTokens": 16}))
    bound = (quoted.most - 2.5 * 16) / 0.3
    assert tokens <= bound <= tokens + 200 or bound - CONTEXT_TOKENS < 10


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (saying(cachedContent="projects/1/cachedContents/2"), "cachedContent"),
        (saying(cached_content="x"), "cachedContent"),
        (saying(labels={"a": "b"}), "labels"),
        (saying(tools=[{"googleSearch": {}}]), "googleSearch"),
        (saying(tools=[{"functionDeclarations": [], "google_search": {}}]), "googleSearch"),
        (saying(tools=[{"codeExecution": {}}]), "codeExecution"),
        (saying(tools={"googleSearch": {}}), "tools"),
        (saying(tools=["x"]), "tools"),
        (saying(generationConfig={"routingConfig": {}}), "routingConfig"),
        (saying(generationConfig=7), "generationConfig"),
        (saying(generationConfig={"maxOutputTokens": 0}), "maxOutputTokens"),
        (saying(generationConfig={"maxOutputTokens": "9"}), "maxOutputTokens"),
        (saying(generationConfig={"max_output_tokens": True}), "maxOutputTokens"),
        (saying(generationConfig={"candidateCount": 9}), "candidateCount"),
        (saying(generationConfig={"candidate_count": 9}), "candidateCount"),
        (saying(generationConfig={"responseModalities": ["AUDIO"]}), "responseModalities"),
        (saying(generationConfig={"responseModalities": "TEXT"}), "responseModalities"),
        # Two spellings of a name would be one limit for us and another for Google.
        (saying(generationConfig={"maxOutputTokens": 9, "max_output_tokens": 9}), "twice"),
        (saying(generationConfig={}, generation_config={"maxOutputTokens": 9}), "twice"),
    ],
)
def test_what_has_no_price_is_refused_by_its_name(body, named):
    with pytest.raises(InvalidRequest, match=named):
        quote(body)


def test_an_unknown_model_is_refused_by_its_name():
    for name in ("gemini-9", "../x", "", "GEMINI-2.5-PRO"):
        with pytest.raises(InvalidRequest, match="no price here"):
            quote(saying(), name)
    for model in ("gemini-omni-1.1-flash", None, 7, ["gemini-omni-flash-preview"]):
        with pytest.raises(InvalidRequest, match="no price here"):
            asyncio.run(OMNI.price.quote(Asked(body={"model": model, "input": "x"})))
    unknown = {"model": "gemini-omni-flash-preview", "input": "x", "service_tier": "priority"}
    with pytest.raises(InvalidRequest, match="service_tier"):
        asyncio.run(OMNI.price.quote(Asked(body=unknown)))


def test_what_google_is_sent_is_in_one_spelling_and_without_the_platforms_own():
    body = saying(
        uploadImagesToStorage=True,
        system_instruction={"parts": [{"text": "be brief"}]},
        generation_config={"top_p": 0.9, "temperature": None},
        tools=[{"function_declarations": [{"name": "f"}]}],
        safetySettings=None,
    )
    assert request_of(Asked(body=body)) == {
        "contents": body["contents"],
        "systemInstruction": {"parts": [{"text": "be brief"}]},
        "generationConfig": {"topP": 0.9},
        "tools": [{"functionDeclarations": [{"name": "f"}]}],
    }


def test_without_a_report_what_can_be_seen_is_charged():
    body = with_part({"inlineData": {"mimeType": "image/png", "data": "AAAA"}})
    quoted = quote(body, "gemini-3-pro-image")
    parts = [
        {"text": "x" * 400},
        {"text": "thoughts are not shown " * 100, "thought": True},
        {"inlineData": {"mimeType": "image/png", "data": "AAAA"}},
    ]
    seen = {"candidates": [{"content": {"parts": parts}, "finishReason": "STOP"}]}
    asked = -(-quoted.inputs["text_bytes"] // 4) + 258
    assert settle(quoted.inputs, seen) == 2 * asked + 12 * 100 + 144 * 1290
    assert settle(quoted.inputs, {}) == 2 * asked
    assert not GENERATE.reports(seen)
    assert GENERATE.reports(used(1))
    assert not OMNI.reports({"status": "completed"})
    assert OMNI.price.settle({}, Evidence(end={"status": "completed"})) == 435_435


junk = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-5, 10**6), st.text(max_size=5), st.floats()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(
                ["usageMetadata", "promptTokenCount", "candidates", "content", "parts", "text",
                 "inlineData", "candidatesTokensDetails", "modality", "tokenCount", "usage",
                 "output_tokens_by_modality", "tokens", "thoughtsTokenCount", "steps"]
            ),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=12,
)  # fmt: skip
settings_ = st.fixed_dictionaries(
    {},
    optional={
        "maxOutputTokens": st.one_of(st.integers(1, 70_000), st.none(), st.booleans()),
        "candidate_count": st.integers(0, 9),
        "responseModalities": st.lists(st.sampled_from(["TEXT", "IMAGE", "AUDIO"]), max_size=2),
    },
)
media = st.sampled_from(["image/png", "video/mp4", "text/plain", ""])
part = st.one_of(
    st.fixed_dictionaries({"text": st.text(max_size=40)}),
    st.fixed_dictionaries(
        {"inlineData": st.fixed_dictionaries({"mimeType": media, "data": st.just("AAAA")})}
    ),
)


@rules(max_examples=examples(400), deadline=None)
@given(
    model=st.sampled_from(sorted(MODELS)),
    parts=st.lists(part, max_size=4),
    config=settings_,
    available=st.one_of(st.none(), st.integers(0, 10_000_000)),
    share=st.floats(0, 1),
)
def test_no_price_is_more_than_its_quote(model, parts, config, available, share):
    """Whatever is used within the bounds costs no more than what was held."""
    body = {"contents": [{"parts": parts}], "generationConfig": config}
    try:
        quoted = quote(body, model, available)
    except InvalidRequest:
        return
    inputs = json.loads(json.dumps(quoted.inputs))
    out = int(inputs["limit"] * inputs["candidates"] * share)
    prompt = min(CONTEXT_TOKENS, inputs["text_bytes"] + 258 * inputs["media"])
    for answer in (
        used(prompt, out, 0, 0),
        used(prompt, 0, out, 0),
        used(prompt, out // 3, out // 3, out // 3),
    ):
        assert 0 <= settle(inputs, answer) <= quoted.most


@rules(max_examples=examples(300), deadline=None)
@given(answer=junk)
def test_whatever_google_says_is_an_amount_and_a_verdict(answer):
    from proxy.dialect import Said

    quoted = quote(saying(), "gemini-3-pro-image")
    end = {} if answer is None else answer
    assert settle(quoted.inputs, end) >= 0
    assert OMNI.price.settle({}, Evidence(end=end)) >= 0
    google = catalogue().vendors["vertexai"]
    for status in (200, 400):
        said = Said(status, b"", _json=answer)
        google.judge(said)
        google.says(answer)
    list(OMNI.makes(answer))
    OMNI.reply(answer)
