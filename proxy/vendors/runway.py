"""Runway: pictures and videos, one poll for all.

A task says in `cost` what it took of the operator's credits: 28 a second of Aleph, which is how
long the video was. What left the vendor's library (Gen-3a) is refused; the day is not known. The
node gives Aleph its pictures as `promptImage`, the vendor of today takes `keyframes`.
Source: the vendor's library 5.24.0; out of credit as a 400 is from knowledge.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

from django.utils import timezone

from common.errors import InvalidRequest
from common.money import usd
from proxy.along import DATA
from proxy.catalogue import Job, Kind, Named, Operation, Vendor
from proxy.credentials import bearer
from proxy.inputs import Input
from proxy.pricing.shapes import Ruled, at, choice_of, count, known, of_input, one_only
from proxy.vendors.states import States, by_words, file_at, hiding, id_at, listed, text_at
from proxy.withdrawn import Gone, Withdrawn

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from proxy.asked import Asked
    from proxy.pricing import Quote

VERSION = "runway-2026-08"
PER_SECOND = usd("0.0715")
ALEPH = usd("0.4004")
ALEPH_CREDITS = 28
LONGEST_INPUT = "30"
"""Seconds of a video that Aleph takes."""
GONE = Withdrawn("runway", "Runway", {"gen3a_turbo": Gone("", "gen4_turbo", is_played=False)})


def video(asked: Asked) -> Quote:
    """Price a video by its seconds."""
    one_only(asked.body)
    model = choice_of(asked.body, "model", ("gen4_turbo", "gen3a_turbo"))
    GONE.check(model)
    seconds = count(asked.body, "duration", least=2, most=10)
    return known(PER_SECOND * seconds, model=model, seconds=seconds)


def picture(asked: Asked) -> Quote:
    """Price a picture."""
    one_only(asked.body)
    return known(usd("0.11"), model=choice_of(asked.body, "model", ("gen4_image",)))


def edit(asked: Asked) -> Quote:
    """Price an edit by the seconds of its video."""
    one_only(asked.body)
    model = choice_of(asked.body, "model", ("aleph2",))
    choice_of(asked.body, "outputFormat", ("mp4",), default="mp4")
    return of_input(asked, "videoUri", ALEPH, least="1", most=LONGEST_INPUT, model=model)


def _keyframes(asked: Asked, inputs: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the edit with its pictures where the vendor of today reads them."""
    if "promptImage" not in asked.body:
        return None
    body = {name: value for name, value in asked.body.items() if name != "promptImage"}
    frames = [_keyframe(each) for each in listed(asked.body, "promptImage", most=5)]
    given = listed(asked.body, "keyframes", most=5)
    return {**body, "keyframes": [*given, *frames]} if given or frames else body


def _keyframe(given: dict[str, Any]) -> dict[str, Any]:
    for theirs, ours in (("timestampSeconds", "seconds"), ("positionPercentage", "at")):
        value = at(given, f"position.{theirs}")
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return {ours: value, "uri": given.get("uri")}
    raise InvalidRequest("promptImage needs a position with timestampSeconds for each picture.")


def _seconds(answer: Any) -> Fraction | None:
    """Return the seconds that the vendor billed an edit for."""
    took = at(answer, "cost.credits")
    if isinstance(took, bool) or not isinstance(took, (int, float)) or not 0 < took < 1e6:
        return None
    return Fraction(f"{took}") / ALEPH_CREDITS


STATES = States(
    at="status",
    done=("SUCCEEDED",),
    failed=("FAILED", "CANCELLED"),
    running=("RUNNING", "PENDING", "THROTTLED"),
    results=("output[]",),
    why=("failureCode", "failure"),
    hidden=("cost", "estimatedCost"),
)
_says = text_at("error", "message")


def _told(word: str, **more: Any) -> Callable[[str], Any]:
    """Return what we say in Runway's words; clients insist on the time."""
    return lambda task: {
        "id": task, "status": word, "createdAt": timezone.now().isoformat(), **more
    }  # fmt: skip


def _job(measured: str = "") -> Job:
    return Job(
        poll="runway/tasks/{task_id}",
        job_id=id_at("id"),
        judge=STATES.judge,
        pending=_told("RUNNING"),
        failed=lambda task, why: _told("FAILED", failure=why)(task),
        results=STATES.made,
        measured=measured,
        stated=_seconds,
        interval_seconds=5.0,
        deadline_seconds=3 * 3600,
        kept_seconds=24 * 3600,
    )


def _submit(path: str, title: str, rule: Callable[[Asked], Quote], **more: Any) -> Operation:
    return Operation(
        "POST",
        f"runway/{path}",
        f"/v1/{path}",
        Ruled(rule),
        Kind.SUBMIT,
        reply=hiding("cost", "estimatedCost"),
        timeout_seconds=300,
        price_version=VERSION,
        title=f"Runway {title}",
        **{"job": _job(), **more},
    )


RUNWAY = Vendor(
    name="runway",
    display="Runway",
    base_url="https://api.dev.runwayml.com",
    file_hosts=("cloudfront.net",),
    credential=bearer(x_runway_version="2024-11-06"),
    operations=(
        _submit("image_to_video", "Image to Video", video),
        _submit("text_to_image", "Text to Image", picture),
        _submit(
            "video_to_video",
            "Aleph",
            edit,
            job=_job("seconds"),
            prepare=_keyframes,
            measures=(Input("videoUri", file_at("videoUri")),),
        ),
        Operation(
            "GET",
            "runway/tasks/{task_id}",
            "/v1/tasks/{task_id}",
            kind=Kind.POLL,
            names=Named("path", "task_id"),
            reply=STATES.reply,
            timeout_seconds=60,
        ),
    ),
    along={"image": DATA, "video": DATA},
    judge=by_words(_says),
    says=_says,
)
