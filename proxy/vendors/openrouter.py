"""OpenRouter: many language models at one address, by the tokens that an answer reports.

No node sends a limit: one is set. The models of Perplexity search, which is billed beside the
tokens: of them the larger is charged of the rule and the vendor's own `usage.cost` with the node's
mark-up. A name with anything after a colon, a fallback, a plug-in has no price. An error may stand
in a 200. `user` names whoever calls: a provider blocks that client then, and not our account.
Source: the vendor's package 1.3.84. Prices: the nodes' of August 2026.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from common.errors import InvalidRequest
from common.money import Micros, round_up, usd
from proxy.along import DATA
from proxy.catalogue import Operation, Vendor
from proxy.credentials import bearer
from proxy.dialect import DELIVERING, Judged, Verdict
from proxy.pricing.language import Extent, Model, Spoken, functions_only, limit_of, off, texts_of
from proxy.pricing.shapes import at, model_of, only
from proxy.pricing.tokens import number, text_bytes
from proxy.vendors.states import OUT_OF_CREDIT, text_at

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from proxy.asked import Asked
    from proxy.dialect import Said

VERSION = "openrouter-2026-08"
MOST_OUT = 128_000
PICTURE_TOKENS = 6_000
MOST_MEDIA = 40
RATES = {
    "anthropic/claude-fable-5": ("14.3", "71.5"),
    "anthropic/claude-haiku-4.5": ("1.43", "7.15"),
    "anthropic/claude-opus-4.7": ("7.15", "35.75"),
    "anthropic/claude-opus-4.8": ("7.15", "35.75"),
    "anthropic/claude-opus-5": ("7.15", "35.75"),
    "anthropic/claude-sonnet-5": ("2.86", "14.3"),
    "deepseek/deepseek-v3.2": ("0.36036", "0.54054"),
    "deepseek/deepseek-v4-flash": ("0.16016", "0.32032"),
    "deepseek/deepseek-v4-pro": ("0.62205", "1.2441"),
    "google/gemini-3.5-flash": ("2.145", "12.87"),
    "mistralai/mistral-large-2512": ("0.715", "2.145"),
    "mistralai/mistral-medium-3-5": ("2.145", "10.725"),
    "moonshotai/kimi-k2-thinking": ("0.858", "3.575"),
    "moonshotai/kimi-k2.6": ("1.0439", "4.9907"),
    "moonshotai/kimi-k3": ("4.29", "21.45"),
    "openai/gpt-5.5": ("7.15", "42.9"),
    "openai/gpt-5.5-pro": ("42.9", "257.4"),
    "openai/gpt-5.6-luna": ("1.43", "8.58"),
    "openai/gpt-5.6-luna-pro": ("1.43", "8.58"),
    "openai/gpt-5.6-sol": ("7.15", "42.9"),
    "openai/gpt-5.6-sol-pro": ("7.15", "42.9"),
    "openai/gpt-5.6-terra": ("3.575", "21.45"),
    "openai/gpt-5.6-terra-pro": ("3.575", "21.45"),
    "perplexity/sonar-deep-research": ("2.86", "11.44"),
    "perplexity/sonar-pro": ("4.29", "21.45"),
    "perplexity/sonar-reasoning-pro": ("2.86", "11.44"),
    "qwen/qwen3.6-flash": ("0.268125", "1.60875"),
    "qwen/qwen3.6-max-preview": ("1.4872", "8.9232"),
    "qwen/qwen3.6-plus": ("0.46475", "2.7885"),
    "x-ai/grok-4.20": ("1.7875", "3.575"),
    "x-ai/grok-4.3": ("1.7875", "3.575"),
    "x-ai/grok-4.5": ("2.86", "8.58"),
    "z-ai/glm-4.6": ("0.6149", "2.4882"),
    "z-ai/glm-5": ("0.858", "2.7456"),
}
MODELS = {name: Model(usd(in_), usd(out), MOST_OUT) for name, (in_, out) in RATES.items()}
SEARCHES = "perplexity/"
SEARCH, RESEARCH = usd("0.05"), usd("1.5")
"""The most that searching is billed beside the tokens."""
MARK_UP = Fraction(143, 100)
FIELDS = (
    "model", "messages", "seed", "reasoning", "web_search_options", "stream", "max_tokens",
    "max_completion_tokens", "temperature", "top_p", "top_k", "min_p", "frequency_penalty",
    "presence_penalty", "repetition_penalty", "stop", "response_format", "tools", "tool_choice",
)  # fmt: skip


def price(asked: Asked) -> Extent:
    """Read what a request can come to."""
    body = asked.body
    only(body, FIELDS)
    off(body, "stream")
    functions_only(body, ("function",))
    name = model_of(body, MODELS)
    searches = name.startswith(SEARCHES)
    if body.get("web_search_options") is not None and not searches:
        raise InvalidRequest(f"web_search_options has no price here with {name}.")
    model, media = MODELS[name], list(_media(body.get("messages")))
    if len(media) > MOST_MEDIA:
        raise InvalidRequest(f"A request shows at most {MOST_MEDIA} images and videos.")
    extra = (RESEARCH if "deep" in name else SEARCH) if searches else Micros(0)
    tokens = sum(PICTURE_TOKENS if is_picture else model.context for is_picture, _ in media)
    return Extent(
        name,
        model,
        texts=texts_of(body, *(url for _, url in media)),
        media=len(media),
        tokens=tokens,
        wanted=limit_of(body, "max_completion_tokens", "max_tokens"),
        extra=extra,
    )


def _media(messages: Any) -> Iterator[tuple[bool, str]]:
    """Yield of each media item whether it is a picture, and its address or data."""
    if not isinstance(messages, list) or not all(isinstance(each, dict) for each in messages):
        raise InvalidRequest("messages must be a list of messages.")
    for message in messages:
        content = message.get("content")
        for part in content if isinstance(content, list) else []:
            kind = part.get("type") if isinstance(part, dict) else None
            if kind in ("image_url", "video_url"):
                url = at(part, f"{kind}.url")
                yield kind == "image_url", url if isinstance(url, str) else ""
            elif kind != "text":
                raise InvalidRequest(f"{str(kind)[:100]} has no price here as content.")


def _usage(answer: Any) -> dict[str, Any]:
    usage = answer.get("usage") if isinstance(answer, dict) else None
    return usage if isinstance(usage, dict) else {}


def _used(answer: Any) -> tuple[Fraction, int] | None:
    usage = _usage(answer)
    if not number(usage.get("prompt_tokens")):
        return None
    return Fraction(number(usage["prompt_tokens"])), number(usage.get("completion_tokens"))


def _billed(inputs: dict[str, Any], answer: Any) -> Micros:
    """Return what a searching model cost by the vendor's own figure, marked up."""
    said = _usage(answer).get("cost")
    if not inputs["model"].startswith(SEARCHES) or isinstance(said, bool):
        return Micros(0)
    if not isinstance(said, (int, float)) or not 0 <= said < 10**6:
        return Micros(0)
    return round_up(Fraction(f"{said}") * 1_000_000 * MARK_UP)


def _shown(answer: Any) -> int:
    choices = answer.get("choices") if isinstance(answer, dict) else None
    return text_bytes(choices) if isinstance(choices, list) else 0


def _prepare(asked: Asked, inputs: Mapping[str, Any]) -> dict[str, Any]:
    body = {name: value for name, value in asked.body.items() if name != "max_tokens"}
    user = {"user": asked.client} if asked.client else {}
    return {**body, **user, "max_completion_tokens": inputs["limit"]}


SAYS = text_at("error.message")
BLOCKED = re.compile(r"moderat|flagged|policy|safety", re.I)
VERDICTS = {
    **dict.fromkeys((401, 402), Verdict.OPERATOR),
    408: Verdict.UNKNOWN,
    429: Verdict.BUSY,
    **dict.fromkeys((502, 503, 529), Verdict.BROKEN),
    **dict.fromkeys((500, 504, 524), Verdict.UNKNOWN),
}
"""Of the code in an error, which may come with another status: the provider behind refused."""


def _judge(said: Said) -> Judged | None:
    """Return what an answer means: an error by its code, in a 200 too."""
    error = said.object.get("error")
    if not isinstance(error, dict):
        is_answer = isinstance(said.object.get("choices"), list)
        return None if is_answer or said.status not in DELIVERING else Judged(Verdict.UNKNOWN)
    sentence = SAYS(said.json)
    if OUT_OF_CREDIT.search(sentence):
        return Judged(Verdict.OPERATOR)
    code = error.get("code")
    code = int(code) if isinstance(code, str) and code.isdecimal() and len(code) == 3 else code
    if code == 403:
        return Judged(Verdict.MODERATED if BLOCKED.search(sentence) else Verdict.OPERATOR)
    verdict = VERDICTS.get(code) if isinstance(code, int) else None
    if verdict is not None and (said.status in DELIVERING or said.status not in (500, 504, 524)):
        return Judged(verdict)
    return Judged(Verdict.REJECTED) if said.status in DELIVERING else None


OPENROUTER = Vendor(
    name="openrouter",
    display="OpenRouter",
    base_url="https://openrouter.ai",
    credential=bearer(),
    operations=(
        Operation(
            "POST",
            "openrouter/api/v1/chat/completions",
            "/api/v1/chat/completions",
            Spoken(price, _used, _shown, per_byte=Fraction(5, 4), billed=_billed),
            prepare=_prepare,
            reports=lambda answer: _used(answer) is not None,
            timeout_seconds=1200,
            price_version=VERSION,
            title="OpenRouter",
        ),
    ),
    along={"image": DATA, "video": DATA},
    judge=_judge,
    says=SAYS,
)
