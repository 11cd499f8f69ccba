"""BytePlus MediaKit: enhance a video. An account, an address and a key of its own.

It costs by the second of the video, more by its size and its frame rate. Where these follow the
source they are held as the largest source that is taken (2K, 120 frames), and the end says them.
Sources: the vendor's pages; the node of August 2026.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from common.errors import InvalidRequest
from common.money import Micros, round_up, usd
from proxy.again import KnownBy
from proxy.catalogue import Job, Kind, Named, Operation
from proxy.credentials import bearer
from proxy.inputs import Input
from proxy.pricing import Quote
from proxy.pricing.shapes import at, bearable, choice_of, count, one_only, only
from proxy.vendors.byteplus_prices import VERSION, seconds_at
from proxy.vendors.states import States, file_at, id_at, saying, without

if TYPE_CHECKING:
    from collections.abc import Mapping

    from proxy.asked import Asked, Evidence

A_SECOND = Fraction("0.2066") * Fraction("1.43") / 60 * usd("1")
PROFESSIONAL = 10
TIERS = {"720p": 1, "1080p": 2, "2k": 4, "4k": 8, "8k": 32}
SIDES = ((4320, 32), (2160, 8), (1440, 4), (1080, 2))
"""Of a shorter side from so many pixels on."""
LARGEST_SOURCE, FASTEST_SOURCE = 4, 4
LONGEST = "600"
FIELDS = (
    "video_url", "tool_version", "scene", "enhance_style", "resolution", "resolution_limit", "fps",
    "bitrate_level", "callback_url", "client_token",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Enhanced:
    """By the seconds of the video, the size and the frame rate of what is delivered."""

    fits_wallet: bool = False

    async def quote(self, asked: Asked) -> Quote:
        """Hold the longest video that is taken, where it was not measured."""
        body = asked.body
        one_only(body)
        only(body, FIELDS)
        tool = choice_of(body, "tool_version", ("standard", "professional"), default="standard")
        rate = A_SECOND * (PROFESSIONAL if tool == "professional" else 1)
        tier, speed = _tier(body), _speed(body.get("fps"))
        measured = asked.measured.get("video_url")
        least, most = ("1", LONGEST) if measured is None else (f"{measured}", f"{measured}")
        held = rate * (tier or LARGEST_SOURCE) * (speed or FASTEST_SOURCE) * Fraction(most)
        inputs = {"tool": tool, "rate": f"{rate}", "tier": tier, "speed": speed}
        held_micros = round_up(held)
        if measured is None:
            bearable(asked, "video_url", held_micros)
        return Quote(held_micros, {**inputs, "least": least, "most": most})

    def settle(self, inputs: dict[str, Any], evidence: Evidence) -> Micros | None:
        """Return the price of the seconds that were delivered, and of what the end says."""
        if not evidence.is_final:
            return None
        least, most = Fraction(inputs["least"]), Fraction(inputs["most"])
        seconds = min(most, max(least, evidence.measured.get("seconds", least)))
        tier = inputs["tier"] or min(LARGEST_SOURCE, _delivered_tier(evidence.end))
        fps: Any = at(evidence.end, "result.fps") if isinstance(evidence.end, dict) else None
        speed = inputs["speed"] or min(FASTEST_SOURCE, _times(fps) if _is_number(fps) else 1)
        return round_up(Fraction(inputs["rate"]) * tier * speed * seconds)


def _tier(body: dict[str, Any]) -> int | None:
    """Return how many times the size costs; None where it is the source's. The larger of two."""
    said = []
    if body.get("resolution") is not None:
        said.append(TIERS[choice_of(body, "resolution", TIERS)])
    if body.get("resolution_limit") is not None:
        side = count(body, "resolution_limit", least=64, most=4320)
        said.append(_by_side(side))
    return max(said) if said else None


def _by_side(side: int) -> int:
    return next((tier for least, tier in SIDES if side >= least), 1)


def _delivered_tier(end: Any) -> int:
    word = at(end, "result.resolution") if isinstance(end, dict) else None
    if not isinstance(word, str):
        return 1
    if sides := re.fullmatch(r"(\d{2,5})(?:x(\d{2,5})|p)", word):
        return _by_side(min(int(sides[1]), int(sides[2] or sides[1])))
    return TIERS.get(word.lower(), 1)


def _speed(fps: Any) -> int | None:
    if fps is None:
        return None
    if not _is_number(fps) or not 1 <= fps <= 120:
        raise InvalidRequest("fps must be a number from 1 to 120.")
    return _times(fps)


def _times(fps: float) -> int:
    return 1 if fps <= 30 else 2 if fps <= 60 else 4


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _prepare(asked: Asked, inputs: Mapping[str, Any]) -> dict[str, Any] | None:
    usual = {"tool_version": inputs["tool"]}
    return saying(asked, without("callback_url", "client_token")(asked, inputs), usual)


STATES = States(
    at="status",
    done=("completed",),
    failed=("failed",),
    running=("running", "pending"),
    results=("result.video_url",),
    why=("error.code", "error.message"),
)


def _seconds(end: Any) -> Fraction | None:
    return seconds_at(end.get("result"), "duration") if isinstance(end, dict) else None


def _told(task: str, word: str, **more: Any) -> dict[str, Any]:
    return {"success": word != "failed", "task_id": task, "status": word, **more}


POLL = "byteplusmediakit/api/v1/tasks/{task_id}"
JOB = Job(
    poll=POLL,
    job_id=id_at("task_id"),
    judge=STATES.judge,
    pending=lambda task: _told(task, "running"),
    failed=lambda task, why: _told(task, "failed", error={"code": "failed", "message": why}),
    results=STATES.made,
    measured="seconds",
    stated=_seconds,
    interval_seconds=5.0,
    deadline_seconds=6 * 3600,
    kept_seconds=24 * 3600,
)
MEDIAKIT = (
    Operation(
        "POST",
        "byteplusmediakit/api/v1/tools/enhance-video",
        "/api/v1/tools/enhance-video",
        Enhanced(),
        Kind.SUBMIT,
        job=JOB,
        prepare=_prepare,
        known_by=KnownBy(field="client_token"),
        along={},
        measures=(Input("video_url", file_at("video_url")),),
        base="mediakit",
        credential=bearer("MEDIAKIT_KEY"),
        timeout_seconds=300,
        price_version=VERSION,
        title="BytePlus Video Enhance",
    ),
    Operation(
        "GET",
        POLL,
        "/api/v1/tasks/{task_id}",
        kind=Kind.POLL,
        names=Named("path", "task_id"),
        reply=STATES.reply,
        base="mediakit",
        credential=bearer("MEDIAKIT_KEY"),
        timeout_seconds=60,
    ),
)
