"""Sonilo: music for a text or a video, as lines of JSON that come while it is made.

A line may be an error after the 200; lines that end without `complete`, or with no sound before it,
are no music, and not charged. Music for a text costs by the length that was asked for, music for a
video by that of the video, which a line tells (`duration`); held for the longest there is. What it
costs us (`cost`) stays here, and the padding that a chunk may lack is added, for clients stumble
over it. Source: the vendor's package 0.21.1. Prices: the nodes' of August 2026.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from common.errors import InvalidRequest
from common.money import Micros, round_up, usd
from proxy.along import Part
from proxy.catalogue import Gives, Operation, Takes, Vendor
from proxy.credentials import bearer
from proxy.dialect import DELIVERING, Judged, Verdict
from proxy.inputs import Input
from proxy.pricing import Quote
from proxy.pricing.shapes import Ruled, count, known, of_input, only
from proxy.vendors.states import BLOCKED, file_at, text_at

if TYPE_CHECKING:
    from proxy.asked import Asked, Evidence
    from proxy.dialect import Said

VERSION = "sonilo-2026-08"
TEXT, VIDEO = usd("0.0025"), usd("0.009")
LONGEST = 360
"""Seconds that the nodes let through."""


def text(asked: Asked) -> Quote:
    """Price the seconds of music."""
    _check(asked, "prompt", "duration")
    seconds = count(asked.body, "duration", least=1, most=LONGEST)
    return known(TEXT * seconds, seconds=seconds)


def _check(asked: Asked, *fields: str) -> None:
    assert asked.form is not None, "a form was read"
    asked.form.check_files()
    only(asked.body, fields)


class Scored(Ruled):
    """Music for a video: by its length, as a line told it."""

    def settle(self, inputs: dict[str, Any], evidence: Evidence) -> Micros | None:
        """Return the price of the seconds told; a second's, where nothing was."""
        if "price" in inputs:
            return Micros(inputs["price"])
        if not evidence.is_final:
            return None
        told = _seconds(evidence.end)
        return round_up(inputs["rate"] * (Fraction(inputs["least"]) if told is None else told))


def video(asked: Asked) -> Quote:
    """Price music for a video by its length."""
    _check(asked, "prompt", "video_url")
    if not asked.body.get("video_url"):
        raise InvalidRequest("video_url must be the address of a video.")
    return of_input(asked, "video_url", VIDEO, least="1", most=f"{LONGEST}")


def _seconds(line: Any) -> Fraction | None:
    found = line.get("duration_sec", line.get("duration")) if isinstance(line, dict) else None
    if isinstance(found, bool) or not isinstance(found, (int, float)) or not 0 < found <= 86_400:
        return None
    return Fraction(f"{found}")


# --- What Sonilo says ---------------------------------------------------------------------------

OPERATOR = re.compile(r"trial_exhausted|insufficient|balance|quota|unauthori[sz]ed|api_?key", re.I)
CODE = text_at("code", "detail.code", "error.code")
SAYS = text_at("message", "detail.message", "detail", "error.message")


def _means(body: Any) -> Judged | None:
    told = f"{CODE(body)} {SAYS(body)}"
    if OPERATOR.search(told):
        return Judged(Verdict.OPERATOR)
    return Judged(Verdict.MODERATED) if BLOCKED.search(told) else None


def _judge(said: Said) -> Judged | None:
    return None if said.status in DELIVERING else _means(said.json)


def _judge_line(line: Any) -> Judged | None:
    """Return what a line means, with what was noted of those before it."""
    kind = line.get("type") if isinstance(line, dict) else None
    if kind == "error":
        return _means(line) or Judged(Verdict.FAILED, SAYS(line))
    if kind == "complete":
        return Judged(Verdict.DONE if line.get("sounds") else Verdict.FAILED)
    return None


def _note_line(line: Any) -> dict[str, Any]:
    kind = line.get("type") if isinstance(line, dict) else None
    if kind == "audio_chunk":
        return {"sounds": True}
    seconds = _seconds(line) if kind == "duration" else None
    return {} if seconds is None else {"duration_sec": float(seconds)}


def _reply_line(line: Any) -> Any:
    """Return a line without what the music costs us, and with the padding of its data."""
    kind = line.get("type") if isinstance(line, dict) else None
    if kind == "cost":
        return None
    if kind == "complete" and "cost" in line:
        return {name: value for name, value in line.items() if name != "cost"}
    data = line.get("data") if kind == "audio_chunk" else None
    if isinstance(data, str) and len(data) % 4:
        return {**line, "data": data + "=" * (-len(data) % 4)}
    return line


def _music(path: str, upstream: str, title: str, price: Ruled) -> Operation:
    return Operation(
        "POST",
        f"sonilo/{path}",
        upstream,
        price,
        takes=Takes.FORM,
        measures=(Input("video_url", file_at("video_url")),),
        gives=Gives.LINES,
        judge_line=_judge_line,
        note_line=_note_line,
        reply_line=_reply_line,
        timeout_seconds=1200,
        price_version=VERSION,
        title=f"Sonilo {title}",
    )


SONILO = Vendor(
    name="sonilo",
    display="Sonilo",
    base_url="https://api.sonilo.com",
    credential=bearer(),
    operations=(
        _music("t2m/generate", "/v1/text-to-music", "Text to Music", Ruled(text)),
        _music("v2m/generate", "/v1/video-to-music", "Video to Music", Scored(video)),
    ),
    along={"video": Part("video")},
    judge=_judge,
    says=SAYS,
)
