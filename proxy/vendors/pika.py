"""Pika: the forms of the nodes of October 2025.

Off unless the operator has a key of the partners' API, which today's reference documents for its
turbo models only: whether these paths are still served was never tried. A length and a size are
texts of a form. Sources: the nodes of October 2025, and clients of devapi.pika.art.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from common.errors import InvalidRequest
from common.money import usd
from proxy.catalogue import Job, Kind, Named, Operation, Takes, Vendor
from proxy.credentials import Header
from proxy.pricing.shapes import MULTIPLIERS, Ruled, choice_of, known
from proxy.vendors.states import States, by_words, id_at, text_at

if TYPE_CHECKING:
    from proxy.asked import Asked
    from proxy.pricing import Quote

VERSION = "pika-2025-10"
Table = dict[str, tuple[str, str]]
"""By resolution: USD of five seconds, and of ten."""

FILM: Table = {"720p": ("0.2", "0.6"), "1080p": ("0.45", "1.0")}
SCENES: Table = {"720p": ("0.3", "0.4"), "1080p": ("0.5", "1.5")}
FRAMES: Table = {"720p": ("0.2", "0.25"), "1080p": ("0.3", "1.0")}
DECISIVE = ("duration", "resolution", *(name.lower() for name in MULTIPLIERS))


def _check(asked: Asked, *files: str) -> None:
    """See that nothing decides a price under another spelling, or as a file."""
    if asked.form is not None:
        asked.form.check_files(*files)
    for name in asked.body:
        plain = re.sub(r"[^a-z_]", "", name.lower())
        if plain in DECISIVE and name not in ("duration", "resolution"):
            raise InvalidRequest(f"The form has the unknown field {name[:100]}.")


def _tabled(table: Table, *files: str) -> Ruled:
    def rule(asked: Asked) -> Quote:
        """Price a video by resolution and length."""
        _check(asked, *files)
        resolution = choice_of(asked.body, "resolution", table, default="1080p")
        seconds = choice_of(asked.body, "duration", ("5", "10"), default="5")
        price = table[resolution][seconds == "10"]
        return known(usd(price), resolution=resolution, seconds=seconds)

    return Ruled(rule)


def _flat(price: str, *files: str) -> Ruled:
    def rule(asked: Asked) -> Quote:
        """Price a video that always costs the same."""
        _check(asked, *files)
        return known(usd(price))

    return Ruled(rule)


STATES = States(
    at="status",
    done=("finished",),
    failed=("failed", "cancelled"),
    running=("started", "queued"),
    results=("url",),
    why=("error", "message", "error.message"),
)
_says = text_at("message", "detail", "error")


def _told(task: str, word: str, **more: Any) -> dict[str, Any]:
    return {"id": task, "status": word, "progress": 0, **more}


JOB = Job(
    poll="pika/videos/{video_id}",
    job_id=id_at("video_id"),
    judge=STATES.judge,
    pending=lambda task: _told(task, "started"),
    failed=lambda task, why: _told(task, "failed", error=why),
    results=STATES.made,
    interval_seconds=4.0,
    deadline_seconds=3 * 3600,
    kept_seconds=30 * 24 * 3600,
)


def _submit(path: str, title: str, price: Ruled) -> Operation:
    return Operation(
        "POST",
        f"pika/generate/{path}",
        f"/generate/{path}",
        price,
        Kind.SUBMIT,
        takes=Takes.FORM,
        job=JOB,
        timeout_seconds=300,
        price_version=VERSION,
        title=f"Pika {title}",
    )


PIKA = Vendor(
    name="pika",
    display="Pika",
    base_url="https://devapi.pika.art",
    credential=Header("x-api-key"),
    operations=(
        _submit("2.2/t2v", "2.2 Text to Video", _tabled(FILM)),
        _submit("2.2/i2v", "2.2 Image to Video", _tabled(FILM, "image")),
        _submit("2.2/pikascenes", "2.2 Scenes", _tabled(SCENES, "images")),
        _submit("2.2/pikaframes", "2.2 Frames", _tabled(FRAMES, "keyFrames")),
        _submit("pikadditions", "Pikadditions", _flat("0.3", "video", "image")),
        _submit("pikaswaps", "Pikaswaps", _flat("0.3", "video", "image", "modifyRegionMask")),
        _submit("pikaffects", "Pikaffects", _flat("0.45", "image")),
        Operation(
            "GET",
            "pika/videos/{video_id}",
            "/videos/{video_id}",
            kind=Kind.POLL,
            names=Named("path", "video_id"),
            reply=STATES.reply,
            timeout_seconds=60,
        ),
    ),
    judge=by_words(_says),
    says=_says,
)
