"""Google Veo by Vertex AI: a job whose poll is a POST, with the film itself in its end.

The poll names the operation in its body and the model in its path. A film comes as base64, for
Google is told no place to write it to: none that clients could read. One film is made of a request:
each further one would be billed. Models of before are refused, and previews sent to what became of
them. What was filtered is an end without a film, and is not billed. An operation's name tells the
operator's project. Sources: google-genai 3.6.1 and the vendor's tables of retirements.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from common.errors import InvalidRequest
from common.money import usd
from proxy.along import Inside
from proxy.catalogue import Ask, Job, Kind, Named, Operation
from proxy.dialect import DELIVERING, Judged, Verdict
from proxy.pricing.shapes import Ruled, at, choice_of, count, known, one_only
from proxy.vendors.google_account import model_url
from proxy.vendors.google_files import files_of
from proxy.vendors.states import each, id_at, listed
from proxy.withdrawn import Gone, Withdrawn

if TYPE_CHECKING:
    from collections.abc import Mapping

    from proxy.asked import Asked
    from proxy.catalogue import Route, Vendor
    from proxy.credentials import Account
    from proxy.dialect import Said
    from proxy.pricing import Quote

VERSION = "veo-2026-08"
Rates = dict[str, tuple[str, str]]
"""By resolution: USD a second without sound, and with it."""

FULL: Rates = {"720p": ("0.2", "0.4"), "1080p": ("0.2", "0.4"), "4k": ("0.4", "0.6")}
FAST: Rates = {"720p": ("0.08", "0.1"), "1080p": ("0.1", "0.12"), "4k": ("0.25", "0.3")}
LITE: Rates = {"720p": ("0.03", "0.05"), "1080p": ("0.05", "0.08")}
MODELS: dict[str, Rates] = {
    "veo-3.1-generate-001": FULL,
    "veo-3.1-fast-generate-001": FAST,
    "veo-3.1-lite-generate-001": LITE,
    "veo-2.0-generate-001": {"720p": ("0.5", "0.5")},
    "veo-3.0-generate-001": {"720p": ("0.2", "0.4"), "1080p": ("0.2", "0.4")},
    "veo-3.0-fast-generate-001": {"720p": ("0.1", "0.15"), "1080p": ("0.1", "0.15")},
}
PREVIEWS = {
    "veo-3.1-generate-preview": "veo-3.1-generate-001",
    "veo-3.1-fast-generate-preview": "veo-3.1-fast-generate-001",
    "veo-3.1-lite-generate-preview": "veo-3.1-lite-generate-001",
}
GONE = Withdrawn(
    "vertexai",
    "Google",
    dict.fromkeys(
        ("veo-2.0-generate-001", "veo-3.0-generate-001", "veo-3.0-fast-generate-001"),
        Gone("2026-06-30", "Veo 3.1"),
    ),
)
LONGEST = 8


def _model(parts: Mapping[str, str]) -> str:
    """Return the model of a path as Google knows it, or raise InvalidRequest."""
    model = choice_of(dict(parts), "model", (*MODELS, *PREVIEWS))
    return PREVIEWS.get(model, model)


def price(asked: Asked) -> Quote:
    """Price one film by model, resolution, sound and seconds."""
    model = _model(asked.parts)
    GONE.check(model)
    body = asked.body
    one_only(body, "parameters")
    instances = listed(body, "instances", most=1)
    if any(one.get("video") for one in instances):
        raise InvalidRequest("video has no price here: a film cannot be gone on from.")
    rates = MODELS[model]
    resolution = choice_of(body, "parameters.resolution", rates, default="720p")
    seconds = count(body, "parameters.durationSeconds", least=4, most=LONGEST, default=LONGEST)
    sound = at(body, "parameters.generateAudio")
    if sound not in (None, True, False):
        raise InvalidRequest("parameters.generateAudio must be true or false.")
    rate = usd(rates[resolution][bool(sound)])
    return known(
        rate * seconds, model=model, resolution=resolution, seconds=seconds, sound=bool(sound)
    )


def _prepare(asked: Asked, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the request of one film, written nowhere, with the sound that was priced."""
    given = asked.body.get("parameters")
    parameters = dict(given) if isinstance(given, dict) else {}
    parameters.pop("storageUri", None)
    parameters["sampleCount"] = 1
    parameters.setdefault("durationSeconds", LONGEST)
    if not inputs["model"].startswith("veo-2"):
        parameters["generateAudio"] = inputs["sound"]
    return {**asked.body, "parameters": parameters}


def _at(verb: str, vendor: Vendor, account: Account, parts: Mapping[str, str]) -> str:
    return model_url(vendor, account, f"{_model(parts)}:{verb}")


def _locate(vendor: Vendor, account: Account, parts: Mapping[str, str]) -> str:
    return _at("predictLongRunning", vendor, account, parts)


def _ask(route: Route, answer: Any, account: Account) -> Ask | None:
    """Return how Google is asked for an operation: by its model, in the account that began it."""
    url = _at("fetchPredictOperation", route.vendor, account, route.parts)
    return Ask(url, "POST", {"operationName": _name(answer)})


# --- What Veo says ------------------------------------------------------------------------------

_name = id_at("name")
CONTENT = re.compile(r"\b(safety|content|polic(y|ies)|violat\w*|prohibited|blocked)\b", re.I)


def _films(answer: Any) -> list[str]:
    """Return the films of an end, as base64 or by their addresses."""
    found = (*each(answer, "response.videos[].bytesBase64Encoded"),
             *each(answer, "response.videos[].gcsUri"))  # fmt: skip
    return [film for film in found if isinstance(film, str) and film]


def _is_in_a_bucket(film: str) -> bool:
    """Whether no client can have it."""
    return film.startswith("gs://")


def _judge(said: Said) -> Judged | None:
    """Return what an operation came to."""
    if said.status == 404:
        return Judged(Verdict.MISSING)
    answer = said.object
    if said.status not in DELIVERING or "name" not in answer:
        return None
    if answer.get("done") is not True:
        return Judged(Verdict.RUNNING)
    if any(not _is_in_a_bucket(film) for film in _films(answer)):
        return Judged(Verdict.DONE)
    filtered = at(answer, "response.raiMediaFilteredCount") or at(
        answer, "response.raiMediaFilteredReasons"
    )
    blocked = filtered or CONTENT.search(f"{at(answer, 'error.message')}")
    return Judged(Verdict.MODERATED if blocked else Verdict.FAILED)


def _failed(name: str, why: str) -> dict[str, Any]:
    return {"name": name, "done": True, "error": {"code": 3, "message": why}}


OPERATIONS = (
    Operation(
        "POST",
        "veo/{model}/generate",
        "/v1/publishers/google/models/{model}:predictLongRunning",
        Ruled(price),
        Kind.SUBMIT,
        job=Job(
            poll="veo/{model}/poll",
            job_id=_name,
            judge=_judge,
            pending=lambda name: {"name": name, "done": False},
            failed=_failed,
            results=_films,
            ask=_ask,
            interval_seconds=5.0,
            deadline_seconds=3 * 3600,
        ),
        locate=_locate,
        uses=lambda asked: files_of(asked.body, asked.along),
        prepare=_prepare,
        along={"image": Inside({"gcsUri": "bytesBase64Encoded"}, kind="mimeType")},
        timeout_seconds=300,
        price_version=VERSION,
        title="Google Veo",
    ),
    Operation(
        "POST",
        "veo/{model}/poll",
        "/v1/publishers/google/models/{model}:fetchPredictOperation",
        kind=Kind.POLL,
        names=Named("body", "operationName"),
        timeout_seconds=60,
    ),
)
