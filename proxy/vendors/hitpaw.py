"""HitPaw: sharper and larger pictures and videos, one poll by POST for both.

A submit says in `consume_coins` what it took, a thousandth of a dollar each: nodes show that as the
price, and that is charged. It is held by the upper end of the published range; where no coins are
told, a picture costs the lower end, a video the upper for the seconds that are delivered. Success
is `code` 200, an error `error_code` with its status: a bad key is a 400, a failed job may be one.
Names of models are those that nodes send: `ultrahd_restore_2x`. Sources: developer.hitpaw.com and
the nodes of August 2026; what stands between the ends of a range is not published.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from common.errors import InvalidRequest
from common.money import Micros, round_up, usd
from proxy.along import Uploaded, filename
from proxy.catalogue import Job, Kind, Named, Operation, Vendor
from proxy.credentials import Header
from proxy.dialect import DELIVERING, Judged, Verdict
from proxy.inputs import Input
from proxy.pricing import Quote
from proxy.pricing.shapes import Ruled, at, model_of, of_input, one_only
from proxy.vendors.states import States, by_words, file_at, id_at, text_at

if TYPE_CHECKING:
    from proxy.asked import Asked, Evidence
    from proxy.dialect import Said

VERSION = "hitpaw-2026-08"
COIN = 1000
"""Micros."""
PICTURES = {"generative_portrait": ("0.02", "0.06"), "generative": ("0.05", "0.15")}
FACTORS = ("", "_1x", "_2x", "_4x")
PIXELS = (1_000_000, 2_300_000, 4_000_000, 9_000_000)
"""Up to which a video is 720p, 1080p, 2K, 4K; above it is 8K."""
STANDARD = ("0.06", "0.09", "0.117", "0.152", "0.198")
VIDEOS = {
    **dict.fromkeys(("portrait_restore_1x", "portrait_restore_2x"), STANDARD),
    **dict.fromkeys(("general_restore_1x", "general_restore_2x", "general_restore_4x"), STANDARD),
    "ultrahd_restore_2x": ("0.092", "0.12", "0.156", "0.203", "0.264"),
    "generative_1x": ("0.09", "0.15", "0.225", "0.338", "0.338"),
}
"""USD a second, the upper ends."""
SHORTEST, LONGEST = "0.5", "3600"
"""Seconds of a video that HitPaw takes."""
LARGEST_SIDE = 16384


@dataclass(frozen=True, slots=True)
class Coins(Ruled):
    """As a rule says, but what the submit's coins say once they are told."""

    def settle(self, inputs: dict[str, Any], evidence: Evidence) -> Micros | None:
        """Return the coins' worth; at the end, where there were none, what the rule says."""
        coins = at(evidence.submit, "data.consume_coins")
        if isinstance(coins, (int, float)) and not isinstance(coins, bool) and 0 < coins < 1e9:
            return round_up(Fraction(f"{coins}") * COIN)
        if not evidence.is_final:
            return None
        if "least_price" in inputs:
            return Micros(inputs["least_price"])
        return Ruled.settle(self, inputs, evidence)


def picture(asked: Asked) -> Quote:
    """Hold a picture at the upper end of its model's range."""
    one_only(asked.body)
    names = {f"{model}{factor}": model for model in PICTURES for factor in FACTORS}
    model = model_of(asked.body, names, "model_name")
    least, most = PICTURES[names[model]]
    return Quote(usd(most), {"model": model, "least_price": int(usd(least))})


def video(asked: Asked) -> Quote:
    """Price a video by its model, the pixels that it shall have, and its seconds."""
    one_only(asked.body)
    model = model_of(asked.body, VIDEOS, "model_name")
    pixels = _pixels(asked.body.get("resolution"))
    tier = sum(pixels > most for most in PIXELS)
    rate = usd(VIDEOS[model][tier])
    return of_input(
        asked, "video_url", rate, least=SHORTEST, most=LONGEST, model=model, pixels=pixels
    )


def _pixels(sides: Any) -> int:
    fine = isinstance(sides, list) and len(sides) == 2 and all(map(_is_side, sides))
    if not fine:
        raise InvalidRequest(
            f"resolution must be width and height, two whole numbers from 1 to {LARGEST_SIDE}."
        )
    return int(sides[0] * sides[1])


def _is_side(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value <= LARGEST_SIDE


# --- What HitPaw says ---------------------------------------------------------------------------

BAD_KEY, JOB_FAILED = 110400000, 110400003
_says = text_at("message")
_by_words = by_words(_says)


def _code(said: Said) -> int:
    """Return the code of an error, 0 where there is none."""
    found = said.object.get("error_code")
    if isinstance(found, str) and found.isascii() and found.isdecimal():
        found = int(found[:12])
    return found if isinstance(found, int) and not isinstance(found, bool) else 0


def _judge(said: Said) -> Judged | None:
    """Return what a code means, which holds its status; it may stand in a 200, too."""
    code = _code(said)
    status = code // 1000 % 1000
    if code == BAD_KEY or status in (401, 402, 403):
        return Judged(Verdict.OPERATOR)
    if said.status not in DELIVERING:
        return _by_words(said)
    if said.object.get("code") == 200 and not code:
        return None
    if status == 429:
        return Judged(Verdict.BUSY)
    return Judged(Verdict.REJECTED if 400 <= status < 500 else Verdict.UNKNOWN)


def _judge_error(said: Said) -> Judged | None:
    return Judged(Verdict.FAILED) if _code(said) == JOB_FAILED else None


STATES = States(
    at="data.status",
    done=("COMPLETED",),
    failed=("FAILED", "ERROR", "CANCELED"),
    running=("RUNNING", "WAITING", "CONVERTING"),
    results=("data.res_url",),
    why=("message",),
    judge_error=_judge_error,
)


UPLOAD = Uploaded(
    at="/api/oss/presign-put",
    asks=lambda ours: {"filename": filename(ours), "content_type": ours.content_type},
    put=("data.upload_url",),
    called="data.access_url",
)


def _told(task: str, word: str, why: str = "ok") -> dict[str, Any]:
    data = {"job_id": task, "status": word, "res_url": ""}
    return {"code": 200, "message": why, "data": data}


def _reply(answer: Any) -> Any:
    """Return a poll's answer with a state: an error that tells of a failed job has none."""
    if STATES.word(answer) is None and isinstance(answer, dict) and answer.get("error_code"):
        return _told("", "FAILED", _says(answer))
    return STATES.reply(answer)


def _submit(work: str, title: str, price: Coins, measured: str = "") -> Operation:
    return Operation(
        "POST",
        f"hitpaw/api/{work}-enhancer",
        f"/api/{work}-enhancer",
        price,
        Kind.SUBMIT,
        job=Job(
            poll="hitpaw/api/task-status",
            job_id=id_at("data.job_id"),
            judge=STATES.judge,
            pending=lambda task: _told(task, "RUNNING"),
            failed=lambda task, why: _told(task, "FAILED", why),
            results=STATES.made,
            measured=measured,
            interval_seconds=5.0,
            deadline_seconds=6 * 3600,
        ),
        reports=lambda _: False,  # What tells is the submit's coins; an end is asked without them.
        measures=(Input("video_url", file_at("video_url")),) if measured else (),
        timeout_seconds=300,
        price_version=VERSION,
        title=f"HitPaw {title}",
    )


HITPAW = Vendor(
    name="hitpaw",
    display="HitPaw",
    base_url="https://api-base.hitpaw.com",
    file_hosts=("hitpaw.com", "amazonaws.com", "cloudfront.net"),
    credential=Header("apikey"),
    operations=(
        _submit("photo", "Picture Enhancer", Coins(picture)),
        _submit("video", "Video Enhancer", Coins(video), measured="seconds"),
        Operation(
            "POST",
            "hitpaw/api/task-status",
            "/api/task-status",
            kind=Kind.POLL,
            names=Named("body", "job_id"),
            reply=_reply,
            timeout_seconds=60,
        ),
    ),
    along={"image": UPLOAD, "video": UPLOAD},
    judge=_judge,
    says=_says,
)
