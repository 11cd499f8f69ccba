"""Topaz: pictures by a form, and videos in four steps.

    POST /video/                -> an id and an estimate; costs nothing
    PATCH /video/<id>/accept    -> where the film is put: here the credits are set aside, and so
                                   the hold is made, by the vendor's estimate of this job
    PUT to the vendor's store     by the client itself; PATCH /video/<id>/complete-upload
    GET /video/<id>/status      -> the estimate again, and in the end the film

A film costs the lower figure of the estimate that its end states, and is held for the upper: what
the client declares of it (`frameCount`) is the vendor's to check, who estimates again on the file.
A picture is priced per started 8 megapixels of what comes out: of Reimagine as asked, of others,
and where no size or half of one was asked, as its credits tell. A credit is charged at 0.08 USD, as
nodes show it; the vendor's list has it at 0.08 to 0.12, by plan. A film that is to be put in more
than one part, which no node does, is given up at once, at the vendor and here.
Sources: the vendor's OpenAPI (image-0625, video-0625); prices of the nodes of August 2026.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from common.errors import InvalidRequest
from common.money import Micros, round_up, usd
from proxy.along import Part
from proxy.catalogue import Ask, Job, Kind, Named, Operation, Takes, Vendor
from proxy.credentials import Header
from proxy.dialect import DELIVERING, Judged, Verdict
from proxy.pricing import Quote
from proxy.pricing.shapes import at, count, model_of, only
from proxy.vendors.states import States, assets_at, by_words, each, id_at, text_at

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from proxy.asked import Asked, Evidence
    from proxy.catalogue import Asset
    from proxy.dialect import Said

VERSION = "topaz-2026-08"
CREDIT = usd("0.08")
PICTURES = {"Reimagine": ("0.32", 4), "Bloom 2": ("0.4576", 4), "Wonder 3.5": ("0.1144", 1)}
"""USD for each started 8 megapixels, and the credits that the vendor takes for them."""
STEP_PIXELS = 8_000_000
MOST_PIXELS, LONGEST_SIDE = 256_000_000, 32_000
"""Of what comes out, as the vendor's OpenAPI has it."""
FIELDS = (
    "model", "source_url", "output_width", "output_height", "output_format", "crop_to_fill",
    "prompt", "autoprompt", "creativity", "subject_detection", "face_enhancement",
    "face_enhancement_creativity", "face_enhancement_strength", "face_preservation",
    "color_preservation", "seed", "enhancement_strength", "grain", "grain_model",
    "grain_strength", "grain_size", "grain_density",
)  # fmt: skip
FILTERS = ("ast-2", "slf-1", "slc-1", "slp-2", "slp-2.5", "apo-8")


@dataclass(frozen=True, slots=True)
class Pictures:
    """So much for each started 8 megapixels of a picture that comes out."""

    fits_wallet: bool = False

    async def quote(self, asked: Asked) -> Quote:
        """Return the price of the size that is asked, or of the largest that there is."""
        if asked.form is not None:
            asked.form.check_files()
        only(asked.body, FIELDS)
        model = model_of(asked.body, PICTURES)
        sides = [
            count(asked.body, name, least=1, most=LONGEST_SIDE)
            for name in ("output_width", "output_height")
            if asked.body.get(name) is not None
        ]
        pixels = min(math.prod([*sides, *[LONGEST_SIDE] * (2 - len(sides))]), MOST_PIXELS)
        if len(sides) == 2 and math.prod(sides) > MOST_PIXELS:
            raise InvalidRequest("A picture of more than 256 megapixels has no price here.")
        steps = math.ceil(Fraction(pixels, STEP_PIXELS))
        exact = model == "Reimagine" and len(sides) == 2
        inputs = {"model": model, "steps": steps, "exact": exact}
        return Quote(Micros(usd(PICTURES[model][0]) * steps), inputs)

    def settle(self, inputs: dict[str, Any], evidence: Evidence) -> Micros | None:
        """Return the price of the steps that the credits were for; without credits, of one."""
        if not evidence.is_final:
            return None
        rate, credits_of_step = PICTURES[inputs["model"]]
        took = _number(at(evidence.end, "credits")) or Fraction(credits_of_step)
        steps = min(inputs["steps"], max(1, math.ceil(took / credits_of_step)))
        return Micros(usd(rate) * (inputs["steps"] if inputs["exact"] else steps))


@dataclass(frozen=True, slots=True)
class Estimated:
    """What the vendor estimates of a film: held for the upper figure, charged by the lower."""

    fits_wallet: bool = False

    async def quote(self, asked: Asked) -> Quote:
        """Return the upper figure of the estimate that the vendor has of this film."""
        costs = _costs(asked.told)
        if not costs:
            raise InvalidRequest("Topaz has no estimate of this video: please begin anew.")
        least, most = min(costs), max(costs)
        return Quote(round_up(CREDIT * most), {"least": f"{least}", "most": f"{most}"})

    def settle(self, inputs: dict[str, Any], evidence: Evidence) -> Micros | None:
        """Return the lower figure of the end's estimate, or of the first one."""
        if not evidence.is_final:
            return None
        costs = _costs(evidence.end)
        return round_up(CREDIT * (min(costs) if costs else Fraction(inputs["least"])))


def _costs(answer: Any) -> list[Fraction]:
    """Return the credits of an estimate, none where it states none that can be."""
    found = [_number(one) for one in each(answer, "estimates.cost[]")]
    return [one for one in found if one is not None]


def _number(value: Any) -> Fraction | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < 1e7:
        return None
    return Fraction(f"{value}")


def _known_filters(asked: Asked, inputs: Mapping[str, Any]) -> dict[str, Any] | None:
    """Refuse a filter that nobody here has a price of; the rest is sent as it came."""
    filters = asked.body.get("filters")
    if not isinstance(filters, list) or not 0 < len(filters) <= len(FILTERS):
        raise InvalidRequest("filters must be a list of one or more.")
    for one in filters:
        model_of(one if isinstance(one, dict) else {}, FILTERS)
    return None


# --- What Topaz says ----------------------------------------------------------------------------

_says = text_at("message", "error.message", "error")
_by_words = by_words(_says)
IN_PARTS = "the video is so large that it must come in several parts. Please send a smaller one."


def _judge(said: Said) -> Judged | None:
    """Return what a status of Topaz's own means, and that a film would have to come in parts."""
    if said.status == 412:
        return Judged(Verdict.OPERATOR)
    places = said.object.get("urls")
    if said.status in DELIVERING and isinstance(places, list) and len(places) > 1:
        return Judged(Verdict.REJECTED, IN_PARTS)
    return Judged(Verdict.BUSY) if said.status == 425 else _by_words(said)


PICTURE = States(
    at="status",
    done=("Completed",),
    failed=("Failed", "Cancelled"),
    running=("Processing", "Pending"),
    results=("process_id",),  # Where it lies is asked for at another address.
    why=("message",),
)
FILM = States(
    at="status",
    done=("complete", "completed"),
    failed=("failed", "canceled", "canceling"),
    running=("processing", "initializing", "preprocessing", "postprocessing", "requested",
             "accepted"),
    foreign=("canceling", "requested", "accepted"),
    results=("download.url",),
    why=("message",),
)  # fmt: skip


def _picture_told(word: str) -> Callable[..., Any]:
    return lambda task, why="": {
        "process_id": task, "status": word, "progress": 0, "credits": 0, "message": why
    }  # fmt: skip


def _given_up(asked: Asked) -> Ask:
    return Ask(f"/video/{quote(asked.parts['request_id'], safe='')}", "DELETE")


def _request(asked: Asked) -> list[Asset]:
    return [("request", asked.parts["request_id"])]


def _get(path: str, kind: Kind, name: str, **more: Any) -> Operation:
    named = Named("path", name)
    return Operation(
        "GET", f"topaz/{path}", f"/{path}", kind=kind, names=named, timeout_seconds=60, **more
    )


TOPAZ = Vendor(
    name="topaz",
    display="Topaz Labs",
    base_url="https://api.topazlabs.com",
    file_hosts=("topazlabs.com", "r2.cloudflarestorage.com", "amazonaws.com"),
    credential=Header("x-api-key"),
    operations=(
        Operation(
            "POST",
            "topaz/image/v1/enhance-gen/async",
            "/image/v1/enhance-gen/async",
            Pictures(),
            Kind.SUBMIT,
            takes=Takes.FORM,
            sends_form=True,
            job=Job(
                poll="topaz/image/v1/status/{process_id}",
                job_id=id_at("process_id"),
                judge=PICTURE.judge,
                pending=_picture_told("Processing"),
                failed=_picture_told("Failed"),
                interval_seconds=4.0,
            ),
            reports=lambda answer: _number(at(answer, "credits")) is not None,
            timeout_seconds=300,
            price_version=VERSION,
            title="Topaz Picture Enhance",
        ),
        _get("image/v1/status/{process_id}", Kind.POLL, "process_id", reply=PICTURE.reply),
        _get("image/v1/download/{process_id}", Kind.RESULT, "process_id"),
        Operation(
            "POST",
            "topaz/video/",
            "/video/",
            kind=Kind.FREE,
            prepare=_known_filters,
            makes=assets_at(("request", "requestId")),
            timeout_seconds=60,
        ),
        Operation(
            "PATCH",
            "topaz/video/{request_id}/accept",
            "/video/{request_id}/accept",
            Estimated(),
            Kind.SUBMIT,
            names=Named("path", "request_id"),
            uses=_request,
            undo=_given_up,
            job=Job(
                poll="topaz/video/{request_id}/status",
                job_id=lambda _: None,
                judge=FILM.judge,
                pending=lambda _: {"status": "processing", "progress": 0},
                failed=lambda _, why: {"status": "failed", "message": why},
                results=FILM.made,
                scope="video",
                interval_seconds=5.0,
                deadline_seconds=6 * 3600,
                kept_seconds=24 * 3600,
            ),
            timeout_seconds=120,
            price_version=VERSION,
            title="Topaz Video Enhance",
        ),
        Operation(
            "PATCH",
            "topaz/video/{request_id}/complete-upload",
            "/video/{request_id}/complete-upload",
            kind=Kind.STEP,
            uses=_request,
            timeout_seconds=120,
        ),
        _get("video/{request_id}/status", Kind.POLL, "request_id", scope="video", reply=FILM.reply),
    ),
    along={"image": Part("image")},
    judge=_judge,
    says=_says,
)
