"""Beeble SwitchX: a new light and place for a picture or a video, by begun thirty frames.

Its frames are counted on what is delivered; held is the most that Beeble takes. The account may be
asked five times a minute, less than one node asks: a member's polls are answered from what was said
last. A name that a client gives its call (`idempotency_key`) is not passed on: the account is
everybody's, and another's call of that name would answer. What it cannot fetch is put into its own
store, and named by the `beeble://` address that it gives. Source: developer.beeble.ai.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from common.money import Micros, usd
from proxy.along import Uploaded, filename
from proxy.catalogue import Job, Kind, Named, Operation, Vendor
from proxy.credentials import Header
from proxy.inputs import Input
from proxy.pricing import Quote
from proxy.pricing.shapes import choice_of, count, one_only
from proxy.vendors.states import States, by_words, file_at, id_at, saying, text_at, without

if TYPE_CHECKING:
    from proxy.asked import Asked, Evidence

VERSION = "beeble-2026-08"
PRICES = {720: usd("0.143"), 1080: usd("0.429")}
FRAMES = 30
"""So many cost as much as a picture."""
MOST_FRAMES = 240
"""Of a video that Beeble takes."""


@dataclass(frozen=True, slots=True)
class ByFrames:
    """A picture, or each begun thirty frames of a video."""

    fits_wallet: bool = False

    async def quote(self, asked: Asked) -> Quote:
        """Return what a picture costs, or the longest video, where its frames were not counted."""
        one_only(asked.body)
        kind = choice_of(asked.body, "generation_type", ("image", "video"))
        size = count(asked.body, "max_resolution", least=720, most=1080, default=1080)
        unit = PRICES[720 if size == 720 else 1080]
        inputs: dict[str, Any] = {"type": kind, "resolution": size, "unit": unit}
        if kind == "image":
            return Quote(unit, {**inputs, "units": 1})
        counted = asked.measured.get("source_uri")
        if counted is not None:
            units = max(1, math.ceil(counted / FRAMES))
            return Quote(Micros(unit * units), {**inputs, "units": units})
        return Quote(Micros(unit * (MOST_FRAMES // FRAMES)), inputs)

    def settle(self, inputs: dict[str, Any], evidence: Evidence) -> Micros | None:
        """Return what was known, or the price of the frames that came, thirty where none says."""
        if "units" in inputs:
            return Micros(inputs["unit"] * inputs["units"])
        if not evidence.is_final:
            return None
        units = max(1, math.ceil(evidence.measured.get("frames", 1) / FRAMES))
        return Micros(inputs["unit"] * units)

    def least(self, inputs: dict[str, Any]) -> Micros:
        """Return the price of what was counted, else of the shortest video."""
        return Micros(inputs["unit"] * inputs.get("units", 1))


STATES = States(
    at="status",
    done=("completed",),
    failed=("failed",),
    running=("processing", "in_queue", "queued"),
    results=("output.render",),
    why=("error",),
)
_says = text_at("error.message", "error", "message")


_ours = without("callback_url", "idempotency_key")


UPLOAD = Uploaded(
    at="/v1/uploads",
    asks=lambda ours: {"filename": filename(ours)},
    put=("upload_url",),
    called="beeble_uri",
)


def _told(task: str, word: str, **more: Any) -> dict[str, Any]:
    return {"id": task, "status": word, **more}


BEEBLE = Vendor(
    name="beeble",
    display="Beeble",
    base_url="https://api.beeble.ai",
    file_hosts=("beeble.ai",),
    credential=Header("x-api-key"),
    operations=(
        Operation(
            "POST",
            "beeble/v1/switchx/generations",
            "/v1/switchx/generations",
            ByFrames(),
            Kind.SUBMIT,
            job=Job(
                poll="beeble/v1/switchx/generations/{id}",
                job_id=id_at("id"),
                judge=STATES.judge,
                pending=lambda task: _told(task, "processing"),
                failed=lambda task, why: _told(task, "failed", error=why),
                results=STATES.made,
                measured="frames",
                interval_seconds=15.0,
                deadline_seconds=3 * 3600,
            ),
            prepare=lambda asked, inputs: saying(
                asked, _ours(asked, inputs), {"max_resolution": 1080}
            ),
            measures=(Input("source_uri", file_at("source_uri"), "frames"),),
            timeout_seconds=300,
            price_version=VERSION,
            title="Beeble SwitchX",
        ),
        Operation(
            "GET",
            "beeble/v1/switchx/generations/{id}",
            "/v1/switchx/generations/{id}",
            kind=Kind.POLL,
            names=Named("path", "id"),
            reply=STATES.reply,
            timeout_seconds=60,
        ),
    ),
    along={"image": UPLOAD, "video": UPLOAD},
    judge=by_words(_says),
    says=_says,
)
