"""Luma's Dream Machine: videos by Ray, pictures by Photon, one poll for both.

A client submits a video to a path that the vendor has left: it is sent to the one of today. Clients
insist on `request`, `generation_type`, `created_at` and `model` in every answer. Ray 1.6 is not
taken any more; the day is not known. Source: the vendor's library 1.21.0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.utils import timezone

from common.money import usd
from proxy.catalogue import Job, Kind, Named, Operation, Vendor
from proxy.credentials import bearer
from proxy.pricing.shapes import Ruled, choice_of, known, one_only
from proxy.vendors.states import States, by_words, id_at, ids_at, saying, text_at, without
from proxy.withdrawn import Gone, Withdrawn

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from proxy.asked import Asked
    from proxy.pricing import Quote

VERSION = "luma-2026-01"
VIDEOS = {
    "ray-flash-2": {
        "540p": ("0.2", "0.36"),
        "720p": ("0.34", "0.61"),
        "1080p": ("0.79", "1.42"),
        "4k": ("3.13", "5.65"),
    },
    "ray-2": {
        "540p": ("0.57", "1.03"),
        "720p": ("1.02", "1.83"),
        "1080p": ("2.27", "4.1"),
        "4k": ("9.11", "16.4"),
    },
}
"""USD of five seconds, and of nine."""
OLD = "ray-1-6"
GONE = Withdrawn("luma", "Luma", {OLD: Gone("", "ray-2 or ray-flash-2", is_played=False)})
PICTURES = {"photon-1": "0.0104", "photon-flash-1": "0.0027"}
NOT_THEIRS = ("callback_url", "sync", "sync_timeout")


def video(asked: Asked) -> Quote:
    """Price a video by model, resolution and length."""
    one_only(asked.body)
    model = choice_of(asked.body, "model", (*VIDEOS, OLD), default="ray-2")
    GONE.check(model)
    if model == OLD:
        return known(usd("0.5"), model=model)
    table = VIDEOS[model]
    resolution = choice_of(asked.body, "resolution", table, default="540p")
    seconds = choice_of(asked.body, "duration", ("5s", "9s"), default="5s")
    price = table[resolution][seconds == "9s"]
    return known(usd(price), model=model, resolution=resolution, seconds=seconds)


def picture(asked: Asked) -> Quote:
    """Price a picture by its model."""
    one_only(asked.body)
    model = choice_of(asked.body, "model", PICTURES, default="photon-1")
    return known(usd(PICTURES[model]), model=model)


_extends = ids_at(("task", "keyframes.frame0.id"), ("task", "keyframes.frame1.id"))

STATES = States(
    at="state",
    done=("completed",),
    failed=("failed",),
    running=("dreaming", "queued"),
    results=("assets.video", "assets.image"),
    why=("failure_reason",),
)
_says = text_at("detail", "error", "message")


_ours = without(*NOT_THEIRS)


def _video(asked: Asked, inputs: Mapping[str, Any]) -> dict[str, Any] | None:
    usual = {"model": "ray-2", "resolution": "540p", "duration": "5s"}
    return saying(asked, _ours(asked, inputs), usual)


def _picture(asked: Asked, inputs: Mapping[str, Any]) -> dict[str, Any] | None:
    return saying(asked, _ours(asked, inputs), {"model": "photon-1"})


def _told(kind: str, word: str) -> Callable[[str], dict[str, Any]]:
    model = "ray-2" if kind == "video" else "photon-1"
    return lambda task: {
        "id": task,
        "state": word,
        "generation_type": kind,
        "created_at": timezone.now().isoformat(),
        "model": model,
        "request": {"prompt": "", "model": model},
    }


def _submit(path: str, kind: str, title: str, rule: Callable[[Asked], Quote]) -> Operation:
    job = Job(
        poll="luma/generations/{id}",
        job_id=id_at("id"),
        judge=STATES.judge,
        pending=_told(kind, "dreaming"),
        failed=lambda task, why: {**_told(kind, "failed")(task), "failure_reason": why},
        results=STATES.made,
        interval_seconds=3.0,
        deadline_seconds=3 * 3600,
    )
    return Operation(
        "POST",
        f"luma/{path}",
        f"/dream-machine/v1/generations/{kind}",
        Ruled(rule),
        Kind.SUBMIT,
        job=job,
        prepare=_video if kind == "video" else _picture,
        uses=_extends,
        timeout_seconds=300,
        price_version=VERSION,
        title=f"Luma {title}",
    )


LUMA = Vendor(
    name="luma",
    display="Luma",
    base_url="https://api.lumalabs.ai",
    credential=bearer(),
    operations=(
        _submit("generations", "video", "Ray 2", video),
        _submit("generations/image", "image", "Photon", picture),
        Operation(
            "GET",
            "luma/generations/{id}",
            "/dream-machine/v1/generations/{id}",
            kind=Kind.POLL,
            names=Named("path", "id"),
            reply=STATES.reply,
            timeout_seconds=60,
        ),
    ),
    judge=by_words(_says),
    says=_says,
)
