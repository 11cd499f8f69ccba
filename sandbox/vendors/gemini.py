"""Google Gemini, on Vertex AI and as the Gemini API: one answer, paid for by the tokens it reports.

    POST /v1/projects/<p>/locations/<l>/publishers/google/models/<m>:generateContent   a token
    POST /v1/publishers/google/models/<m>:generateContent                              a key
    POST /v1beta/models/<m>:generateContent                                            a key
         -> {"candidates", "usageMetadata", "modelVersion"}
    /token, /console: `service_account.py`    /v1beta/interactions: `gemini_interactions.py`
    films: `veo.py`

What the models put out stands in `gemini_models.py`. A blocked prompt is a 200 without candidates
(`moderated`), a blocked result a candidate without content (`content_moderated`), and what is zero
is not reported. Both spellings of a name are taken, and a name that Google doesn't know is a
mistake.
"""

import base64
import binascii
import re
import secrets
from collections import Counter
from collections.abc import Iterator, Mapping

from sandbox import service_account
from sandbox.failures import OF_JOB, OF_MODEL, OF_POLL, OF_TOKEN
from sandbox.vendor import Answer, Body, Exchange, Kind, RefusedError, Route, Vendor, anybody
from sandbox.vendors import gemini_interactions, veo
from sandbox.vendors.gemini_models import BYTES_PER_TOKEN, MODELS, put_out

INPUT_MEDIA_TOKENS = 258
KNOWN = {
    "contents",
    "systemInstruction",
    "generationConfig",
    "safetySettings",
    "tools",
    "toolConfig",
    "cachedContent",
    "labels",
}
KNOWN_SETTINGS = {
    "temperature",
    "topP",
    "topK",
    "candidateCount",
    "maxOutputTokens",
    "stopSequences",
    "responseMimeType",
    "responseSchema",
    "responseModalities",
    "seed",
    "thinkingConfig",
    "imageConfig",
    "mediaResolution",
    "presencePenalty",
    "frequencyPenalty",
    "speechConfig",
}
STATUSES = {
    400: ("INVALID_ARGUMENT", "Request contains an invalid argument."),
    401: ("UNAUTHENTICATED", "Request had invalid authentication credentials."),
    402: ("FAILED_PRECONDITION", "This API method requires billing to be enabled."),
    403: ("PERMISSION_DENIED", "The caller does not have permission"),
    404: ("NOT_FOUND", "Requested entity was not found."),
    409: ("ABORTED", "The operation was aborted."),
    422: ("INVALID_ARGUMENT", "Request contains an invalid argument."),
    429: ("RESOURCE_EXHAUSTED", "Resource exhausted. Please try again later."),
    500: ("INTERNAL", "Internal error encountered."),
    502: ("UNAVAILABLE", "The service is currently unavailable."),
    503: ("UNAVAILABLE", "The model is overloaded. Please try again later."),
    504: ("DEADLINE_EXCEEDED", "Deadline expired before operation could complete."),
}
BLOCKED = {
    "blockReason": "PROHIBITED_CONTENT",
    "blockReasonMessage": "The prompt was blocked because it may contain prohibited content.",
}


def refuse(status: int, detail: object) -> Answer:
    """Refuse with Google's word for the status."""
    word, said = STATUSES[status]
    error = {"code": status, "message": detail or said, "status": word}
    return Answer.json({"error": error}, status=status)


async def generate(exchange: Exchange) -> Answer:
    """Answer as the model would, within the limits of the request."""
    name = exchange.request.match_info["model"]
    model = MODELS.get(name)
    if model is None:
        raise RefusedError(404, f"Publisher Model `{name}` was not found.")
    body = _checked(exchange.body)
    settings = _camel(_object(body, "generationConfig"))
    asked = _asked_tokens(body)
    outputs = [
        await put_out(model, settings, exchange.failures, f"{exchange.seen.sha256}{number}")
        for number in range(_count(settings))
    ]
    answer: dict[str, object] = {"modelVersion": name, "responseId": secrets.token_urlsafe(16)}
    if "moderated" in exchange.failures:
        answer["promptFeedback"], outputs = BLOCKED, []
    else:
        answer["candidates"] = [output.candidate() for output in outputs]
    if "no_usage" not in exchange.failures:
        made = sum((output.tokens for output in outputs), Counter[str]())
        thoughts = sum(output.thoughts for output in outputs)
        answer["usageMetadata"] = _usage(asked, made, thoughts)
    return Answer.json(answer)


def _usage(asked: Counter[str], made: Counter[str], thoughts: int) -> dict[str, object]:
    """Report the tokens, leaving out what is zero."""
    usage: dict[str, object] = {"trafficType": "ON_DEMAND"}
    for name, counted in (("prompt", asked), ("candidates", made)):
        if counted:
            usage[f"{name}TokenCount"] = counted.total()
            usage[f"{name}TokensDetails"] = [
                {"modality": kind, "tokenCount": count} for kind, count in counted.items()
            ]
    if thoughts:
        usage["thoughtsTokenCount"] = thoughts
    return usage | {"totalTokenCount": asked.total() + made.total() + thoughts}


def _checked(body: Body | None) -> Body:
    """Give the body back, its own names in camel case, when all of them are known."""
    if body is None:
        raise RefusedError(400, "Invalid JSON payload received.")
    body = _camel(body)
    settings = _camel(_object(body, "generationConfig"))
    if unknown := [*body.keys() - KNOWN, *settings.keys() - KNOWN_SETTINGS]:
        said = f'Invalid JSON payload received. Unknown name "{min(unknown)}": Cannot find field.'
        raise RefusedError(400, said)
    return body


def _camel(content: Mapping[str, object]) -> dict[str, object]:
    """Take both spellings of a name."""
    return {
        re.sub(r"_([a-z])", lambda found: found[1].upper(), name): value
        for name, value in content.items()
    }


def _object(body: Body, name: str) -> dict[str, object]:
    value = body.get(name)
    if value is not None and not isinstance(value, dict):
        raise RefusedError(400, f"Invalid value at '{name}'")
    return value or {}


def _parts(body: Body) -> Iterator[dict[str, object]]:
    """Give each part of what was said, the system instruction's last."""
    contents = body.get("contents")
    if not isinstance(contents, list) or not contents:
        raise RefusedError(400, "Unable to submit request because it must have a contents field.")
    if any(
        not isinstance(each, dict) or each.get("role", "user") not in ROLES for each in contents
    ):
        raise RefusedError(400, "Please use a valid role: user, model.")
    if system := _object(body, "systemInstruction"):
        contents = [*contents, system]
    for content in contents:
        parts = content.get("parts")
        if not isinstance(parts, list) or not all(isinstance(part, dict) for part in parts):
            raise RefusedError(400, "Unable to submit request because it must include parts.")
        yield from (_camel(part) for part in parts)


ROLES = ("user", "model")


def _asked_tokens(body: Body) -> Counter[str]:
    """Count the tokens of a request by their kind; refuse media that cannot be read."""
    counted: Counter[str] = Counter()
    for part in _parts(body):
        text, inline, file = part.get("text"), part.get("inlineData"), part.get("fileData")
        if isinstance(text, str):
            counted["TEXT"] += -(-len(text.encode()) // BYTES_PER_TOKEN)
        elif isinstance(inline, dict) and _is_base64(inline.get("data")):
            counted[_modality(inline)] += INPUT_MEDIA_TOKENS
        elif isinstance(file, dict) and _is_address(_camel(file).get("fileUri")):
            counted[_modality(file)] += INPUT_MEDIA_TOKENS
        elif not part.keys() & {"functionCall", "functionResponse"}:
            raise RefusedError(400, "A part has no data that can be read.")
    return counted


def _is_base64(data: object) -> bool:
    try:
        return isinstance(data, str) and bool(base64.b64decode(data.encode(), validate=True))
    except (binascii.Error, ValueError):
        return False


def _is_address(uri: object) -> bool:
    return isinstance(uri, str) and uri.startswith(("https://", "gs://"))


def _modality(media: Mapping[str, object]) -> str:
    kind, slash, _ = str(_camel(media).get("mimeType", "")).partition("/")
    if not slash:
        raise RefusedError(400, "Unable to submit request because it must have a mimeType.")
    return kind.upper() if kind in {"image", "video", "audio"} else "DOCUMENT"


def _count(settings: Body) -> int:
    count = settings.get("candidateCount", 1)
    if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= 8:
        raise RefusedError(400, "candidateCount must be from 1 to 8")
    return count


PUBLISHED = "publishers/google/models/{model}:generateContent"
FILMS = "publishers/google/models/{model}"
PLACED = "/v1/projects/{project}/locations/{location}"
GEMINI = Vendor(
    name="vertexai",
    credential=gemini_interactions.by_key,
    refuse=refuse,
    failures=(OF_JOB | OF_MODEL | OF_TOKEN | OF_POLL) - {"cost", "token_inside", "poll_inside"},
    ids=frozenset({"responseId", "id", "name"}),
    bases=("gemini",),
    routes=(
        Route(
            "POST",
            f"/v1/projects/{{project}}/locations/{{location}}/{PUBLISHED}",
            Kind.SUBMIT,
            generate,
            service_account.by_token,
        ),
        Route("POST", f"/v1/{PUBLISHED}", Kind.SUBMIT, generate),
        Route("POST", "/v1beta/models/{model}:generateContent", Kind.SUBMIT, generate),
        Route("POST", "/token", Kind.TOKEN, service_account.grant, anybody),
        Route(
            "GET",
            "/console/service-account.json",
            Kind.FREE,
            service_account.key_file,
            anybody,
        ),
        *gemini_interactions.ROUTES,
        *(
            Route("POST", f"{base}/{FILMS}:{verb}", kind, serve, credential)
            for base, credential in ((PLACED, service_account.by_token), ("/v1", None))
            for verb, kind, serve in (
                ("predictLongRunning", Kind.SUBMIT, veo.begin),
                ("fetchPredictOperation", Kind.POLL, veo.tell),
            )
        ),
    ),
)
