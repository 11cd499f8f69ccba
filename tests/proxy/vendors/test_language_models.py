"""What is peculiar to language models: limits, tokens, what is billed beside them, refusals."""

from __future__ import annotations

import asyncio
import json
import re

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import settings as rules
from hypothesis import strategies as st
from proxy_stage import answering, check_refusal
from sample_calls import sample_of, send
from vendor_calls import RICH, micros

from common.errors import InvalidRequest
from proxy.asked import Asked, Evidence
from proxy.vendors import anthropic, catalogue, openrouter
from tests.plugin import examples

CLAUDE = "/proxy/anthropic/v1/messages"
ROUTER = "/proxy/openrouter/api/v1/chat/completions"
SAMPLES = {path: sample_of(path).entry for path in (CLAUDE, ROUTER)}


def price_of(path):
    return catalogue().find("POST", path).operation.price


def quote(path, available=None, **changed):
    body = {**SAMPLES[path]["body"], **changed}
    return asyncio.run(price_of(path).quote(Asked(body=body, available=available)))


def used(path, asked, said, cost=None):
    names = {CLAUDE: ("input_tokens", "output_tokens")}
    in_, out = names.get(path, ("prompt_tokens", "completion_tokens"))
    return {"usage": {in_: asked, out: said, **({} if cost is None else {"cost": cost})}}


def settle(path, quoted, answer):
    return price_of(path).settle(quoted.inputs, Evidence(end=answer))


def saying(*blocks):
    return [{"role": "user", "content": list(blocks)}]


PICTURE = {
    "type": "image",
    "source": {"type": "base64", "media_type": "image/png", "data": "A" * 4},
}
SHOWN = {"type": "image_url", "image_url": {"url": "https://a.example/x.png"}}
FILM = {"type": "video_url", "video_url": {"url": "https://a.example/x.mp4"}}


def test_every_model_of_openrouter_is_priced_as_its_node_says():
    """Dollars a token, written down here as the node has them."""
    for name, in_, out in (
        ("openai/gpt-5.5-pro", 0.0000429, 0.0002574),
        ("deepseek/deepseek-v4-flash", 0.00000016016, 0.00000032032),
        ("qwen/qwen3.6-flash", 0.000000268125, 0.00000160875),
        ("z-ai/glm-4.6", 0.0000006149, 0.0000024882),
    ):
        quoted = quote(ROUTER, model=name)
        exact = (10_000 * in_ + 3_000 * out) * 1_000_000
        assert 0 <= settle(ROUTER, quoted, used(ROUTER, 10_000, 3_000)) - exact < 1
    assert len(openrouter.MODELS) == 34


@pytest.mark.parametrize("path", SAMPLES)
def test_the_limit_is_the_models_the_requests_or_what_the_wallet_affords(path):
    name = "max_tokens" if path == CLAUDE else "max_completion_tokens"
    wanted = {name: 100_000}
    assert quote(path, **wanted).inputs["limit"] == 100_000
    assert quote(path, **{name: 10**6}).inputs["limit"] == 128_000
    cut = quote(path, available=143_000, **wanted)
    assert 9_000 < cut.inputs["limit"] < 10_000
    assert cut.most <= 143_000
    assert quote(path, available=0, **wanted).inputs["limit"] == 2_048
    assert quote(path, available=0, **{name: 7}).inputs["limit"] == 7


def test_a_limit_stays_above_what_is_thought():
    thinking = {"type": "enabled", "budget_tokens": 8_192}
    quoted = quote(CLAUDE, available=0, max_tokens=32_768, thinking=thinking)
    assert quoted.inputs["limit"] == 8_192 + 1_024


def test_caches_weigh_more_and_less():
    quoted = quote(CLAUDE)
    usage = {"input_tokens": 100, "output_tokens": 1}
    usage |= {"cache_creation_input_tokens": 1000, "cache_read_input_tokens": 1000}
    assert settle(CLAUDE, quoted, {"usage": usage}) == -(-(1450 * 286 + 1430) // 100)


@pytest.mark.parametrize(
    ("path", "changed", "least"),
    [
        (CLAUDE, {"messages": saying(PICTURE)}, 4_784 * 2.86),
        (CLAUDE, {"system": "x" * 100_000}, 125_000 * 2.86),
        (ROUTER, {"messages": saying(SHOWN, SHOWN)}, 12_000 * 2.86),
        (ROUTER, {"messages": saying(FILM), "model": "google/gemini-3.5-flash"}, 1_048_576 * 2.145),
    ],
)
def test_the_input_is_held_at_its_bound(path, changed, least):
    before = quote(path, max_tokens=1, **{n: changed[n] for n in changed if n == "model"}).most
    assert quote(path, max_tokens=1, **changed).most - before >= least - 2_000


@pytest.mark.parametrize(
    ("path", "changed", "named"),
    [
        (CLAUDE, {"model": "claude-3-opus"}, "claude-3-opus"),
        (CLAUDE, {"max_tokens": None}, "max_tokens"),
        (CLAUDE, {"max_tokens": 0}, "max_tokens"),
        (CLAUDE, {"stream": True}, "stream"),
        (CLAUDE, {"service_tier": "auto"}, "service_tier"),
        (CLAUDE, {"mcp_servers": []}, "mcp_servers"),
        (CLAUDE, {"tools": [{"type": "web_search_20250305", "name": "x"}]}, "web_search"),
        (CLAUDE, {"messages": saying({"type": "document", "source": {}})}, "document"),
        (CLAUDE, {"messages": saying({"type": "image", "source": {"type": "file"}})}, "source"),
        (CLAUDE, {"system": [{"type": "text", "cache_control": {"ttl": "1h"}}]}, "cache_control"),
        (ROUTER, {"model": "anthropic/claude-sonnet-5:online"}, "online"),
        (ROUTER, {"models": ["x"]}, "models"),
        (ROUTER, {"plugins": [{"id": "web"}]}, "plugins"),
        (ROUTER, {"web_search_options": {}}, "web_search_options"),
        (ROUTER, {"max_tokens": 5, "max_completion_tokens": 5}, "one limit"),
        (ROUTER, {"messages": saying({"type": "input_audio"})}, "input_audio"),
        (ROUTER, {"messages": "x"}, "messages"),
        (ROUTER, {"n": 2}, "n has no price"),
    ],
)
def test_what_has_no_price_is_refused_by_its_name(path, changed, named):
    with pytest.raises(InvalidRequest, match=named):
        quote(path, **changed)


def test_searching_is_paid_for_by_the_vendors_figure_where_that_is_more():
    quoted = quote(ROUTER, model="perplexity/sonar-pro", web_search_options={})
    assert quoted.most > micros("0.05") + 128_000 * 21
    assert settle(ROUTER, quoted, used(ROUTER, 100, 100, cost=0.02)) == micros("0.0286")
    assert settle(ROUTER, quoted, used(ROUTER, 10_000, 100, cost=0.02)) == 45_045
    other = quote(ROUTER)
    assert settle(ROUTER, other, used(ROUTER, 100, 100, cost=0.02)) == 1_716


@rules(max_examples=examples(300), deadline=None)
@given(
    path=st.sampled_from(sorted(SAMPLES)),
    model=st.integers(0, 40),
    text=st.text(max_size=200),
    wanted=st.one_of(st.none(), st.integers(1, 200_000)),
    available=st.one_of(st.none(), st.integers(0, 10**7)),
    share=st.fractions(0, 1),
)
def test_no_price_is_more_than_its_quote(path, model, text, wanted, available, share):
    """Whatever is used within the bounds: every byte a token, written to a cache, and the limit."""
    names = sorted(anthropic.MODELS if path == CLAUDE else openrouter.MODELS)
    changed = {
        "model": names[model % len(names)],
        "messages": saying({"type": "text", "text": text}),
    }
    if wanted is not None:
        changed["max_tokens"] = wanted
    quoted = quote(path, available, **changed)
    inputs = json.loads(json.dumps(quoted.inputs))
    asked, said = int(inputs["text_bytes"] * share), int(inputs["limit"] * share)
    answer = used(path, asked, max(1, said))
    if path == CLAUDE:
        answer["usage"] |= {"input_tokens": 0, "cache_creation_input_tokens": asked}
    assert 0 <= price_of(path).settle(inputs, Evidence(end=answer)) <= quoted.most


@pytest.mark.parametrize("path", SAMPLES)
async def test_the_wallet_sets_the_limit_and_an_answer_without_usage_is_estimated(stage, path):
    vendor = sample_of(path).vendor.name
    member = await stage.member(micros=50_000)
    stage.vendor.fail_next(vendor, "tokens=100000")
    answer = await send(stage, member, SAMPLES[path])
    assert answer.status == 200, answer.body
    assert 40_000 < stage.spent(member) <= 50_000
    other = await stage.member(micros=RICH)
    stage.vendor.fail_next(vendor, "no_usage")
    answer = await send(stage, other, SAMPLES[path])
    assert answer.status == 200
    assert 0 < stage.spent(other) < 5_000
    assert stage.rows("SELECT * FROM credits_finding WHERE key LIKE %s", f"unreported:{vendor}%")


async def test_a_refusal_of_claude_is_billed_as_anthropic_bills_it(stage):
    member = await stage.member(micros=RICH)
    body = {**SAMPLES[CLAUDE]["body"], "system": "refuse this"}
    answer = await send(stage, member, SAMPLES[CLAUDE], body=body)
    assert answer.json()["stop_reason"] == "refusal"
    assert stage.spent(member) > 0
    (asked,) = stage.vendor.requests("anthropic")
    assert asked.headers["anthropic-version"] == "2023-06-01"


ERRORS = [
    (ROUTER, 402, 200, 403, "provider_disabled"),
    (ROUTER, 429, 200, 429, "provider_rate_limited"),
    (ROUTER, 502, 200, 502, "provider_error"),
    (ROUTER, 504, 200, 422, "outcome_unknown"),
    (ROUTER, 400, 200, 422, "provider_rejected"),
]


@pytest.mark.parametrize(("path", "code", "status", "told", "type_"), ERRORS)
async def test_an_error_of_openrouter_is_one_in_a_200_too(stage, path, code, status, told, type_):
    member = await stage.member()
    stage.vendor.fail_next("openrouter", f"inside={code}")
    refused = await send(stage, member, SAMPLES[path])
    assert (refused.status, refused.type) == (told, type_)
    check_refusal(refused)
    assert stage.wallet(member) == (5_000_000, 0)


@pytest.mark.parametrize(
    ("path", "status", "error", "told", "type_"),
    [
        (CLAUDE, 400, {"type": "invalid_request_error", "message": "credit balance is too low"},
         403, "provider_disabled"),
        (CLAUDE, 429, {"type": "rate_limit_error", "message": "x",
                       "details": {"error_code": "enforced_spend_limit_reached"}},
         403, "provider_disabled"),
        (CLAUDE, 529, {"type": "overloaded_error", "message": "Overloaded"},
         429, "provider_rate_limited"),
        (CLAUDE, 400, {"type": "invalid_request_error", "message": "max_tokens: too large"},
         400, "provider_rejected"),
        (ROUTER, 403, {"code": 403, "message": "Your input was flagged by moderation"},
         422, "content_blocked"),
        (ROUTER, 403, {"code": 403, "message": "Key limit exceeded"}, 403, "provider_disabled"),
        (ROUTER, 400, {"code": 400, "message": "bad"}, 400, "provider_rejected"),
        (ROUTER, 524, {"code": 524, "message": "x"}, 422, "outcome_unknown"),
    ],
)  # fmt: skip
async def test_words_of_our_account_and_of_content_are_understood(
    stage, settings, path, status, error, told, type_
):
    async def vendor(_):
        return web.json_response({"type": "error", "error": error}, status=status)

    member = await stage.member()
    async with answering(vendor) as settings.VENDOR_BASE_URL:
        refused = await send(stage, member, SAMPLES[path])
    assert (refused.status, refused.type) == (told, type_)
    check_refusal(refused)


def test_what_claude_withdraws_is_refused_from_its_day_on(settings, monkeypatch):
    from proxy import withdrawn

    settings.VENDOR_BASE_URL = ""
    gone = withdrawn.Gone("2026-11-30")
    for day, is_to_come in (("2026-11-29", True), ("2026-11-30", False)):
        monkeypatch.setattr(withdrawn, "today", lambda day=day: day)
        assert gone.is_to_come is is_to_come
    with pytest.raises(InvalidRequest, match=r"sonnet-4-5-20250929 on 2026-11-30\. Use"):
        quote(CLAUDE, model="claude-sonnet-4-5-20250929")


async def test_openrouter_is_told_which_client_asks_and_not_who_it_is(stage):
    one, other = await stage.member(micros=RICH), await stage.member(micros=RICH)
    seen = []

    async def router(request: web.Request) -> web.Response:
        seen.append(await request.json())
        return web.json_response({"error": {"code": 502, "message": "no"}}, status=502)

    body = {"model": "z-ai/glm-5", "messages": [{"role": "user", "content": "hello"}]}
    async with answering(router) as url:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("proxy.catalogue.moved_to", lambda vendor, base="": url)
            for member in (one, one, other):
                await stage.post(ROUTER, member, json=body)

    users = [each["user"] for each in seen]
    assert users[0] == users[1] != users[2]
    assert all(re.fullmatch(r"[0-9a-f]{32}", each) for each in users)
    assert all(member.key not in str(seen) for member in (one, other))
