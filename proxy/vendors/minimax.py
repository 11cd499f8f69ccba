"""MiniMax: videos of two generations of its API.

v1 (Hailuo 02 and older): a submit, a poll by the query, and a file that is then asked for by its
id. An error stands in `base_resp` of a 200. v2 (MiniMax H3): HTTP statuses, `task` in a poll, and
`usage` in seconds. Clients of v1 insist on `base_resp`, v2 has none. The node of a subject gives
its picture as a text, the vendor of today takes a list, and a type.
Sources: minimax-mcp 0.0.19 and the vendor's pages. S2V-01 has no badge: 0.65 is the vendor's list
price, from knowledge.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

from common.errors import InvalidRequest
from common.money import usd
from proxy.along import DATA
from proxy.catalogue import Job, Kind, Named, Operation, Vendor
from proxy.credentials import bearer
from proxy.dialect import DELIVERING, Judged, Verdict
from proxy.inputs import Input
from proxy.pricing.shapes import (
    Ruled,
    at,
    choice_of,
    count,
    known,
    longest,
    of_input,
    one_only,
    per_second,
)
from proxy.vendors.states import (
    States,
    assets_at,
    by_words,
    id_at,
    listed,
    saying,
    text_at,
    without,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from proxy.asked import Asked
    from proxy.dialect import Said
    from proxy.pricing import Quote

    Prepare = Callable[[Asked, Mapping[str, Any]], dict[str, Any] | None]

VERSION = "minimax-2026-08"
OLDER = {
    **dict.fromkeys(
        ("T2V-01", "T2V-01-Director", "I2V-01", "I2V-01-Director", "I2V-01-live"), "0.43"
    ),
    "S2V-01": "0.65",
}
HAILUO_02 = "MiniMax-Hailuo-02"
HAILUO = {("768p", 6): "0.28", ("768p", 10): "0.56", ("1080p", 6): "0.49"}
H3 = {"768p": "0.1287", "2k": "0.1859"}
FURTHER_PICTURE = usd("0.0572")
FREE_PICTURES = 5
REGENERATION = usd("0.0715")
LONGEST_REFERENCE = 15
"""Seconds of all videos of reference together; of a video that is regenerated, too."""
KINDS = ("text", "image_url", "video_url", "audio_url")


def v1(asked: Asked) -> Quote:
    """Price a video by its model; Hailuo 02 by resolution and seconds."""
    body = asked.body
    one_only(body)
    model = choice_of(body, "model", (*OLDER, HAILUO_02))
    if model != HAILUO_02.lower():
        return known(
            usd({name.lower(): price for name, price in OLDER.items()}[model]), model=model
        )
    resolution = choice_of(body, "resolution", ("768P", "1080P"), default="768P")
    seconds = count(body, "duration", least=6, most=10, default=6)
    if (resolution, seconds) not in HAILUO:
        raise InvalidRequest(f"duration {seconds} has no price here with {resolution}.")
    return known(usd(HAILUO[resolution, seconds]), model=model, resolution=resolution)


def _content(asked: Asked) -> dict[str, int]:
    """Count what a request of H3 holds, by kind."""
    one_only(asked.body)
    choice_of(asked.body, "model", ("MiniMax-H3",))
    kinds = [choice_of(part, "type", KINDS) for part in listed(asked.body, "content", most=30)]
    return {kind: kinds.count(kind) for kind in KINDS}


def video(asked: Asked) -> Quote:
    """Price a video by its seconds and those of its references, and by pictures beyond five."""
    held = _content(asked)
    resolution = choice_of(asked.body, "resolution", H3, default="768P")
    seconds = count(asked.body, "duration", least=4, most=15, default=6)
    rate = usd(H3[resolution])
    base = FURTHER_PICTURE * max(0, held["image_url"] - FREE_PICTURES)
    inputs = {"resolution": resolution, "pictures": held["image_url"]}
    if not held["video_url"]:
        return known(base + rate * seconds, **inputs, seconds=seconds)
    most = longest(asked, "content", least="0", most=f"{LONGEST_REFERENCE}", beside=seconds)
    return per_second(rate, least=f"{seconds}", most=most, base=base, **inputs)


def _films(asked: Asked) -> list[Any]:
    """Return the films that a request of H3 refers to."""
    given = asked.body.get("content")
    parts = [part for part in given if isinstance(part, dict)] if isinstance(given, list) else []
    return [at(part, "video_url.url") for part in parts if "video_url" in part]


def regeneration(asked: Asked) -> Quote:
    """Price a video that is made anew by its seconds."""
    _content(asked)
    choice_of(asked.body, "resolution", ("2K",), default="2K")
    most = f"{LONGEST_REFERENCE}"
    return of_input(asked, "content", REGENERATION, least="4", most=most)


def context(asked: Asked) -> Quote:
    """Price an enhanced prompt by how much there is to look at.

    Published are 0.02 for a text, 0.05 with frames, and 0.06 to 0.11 with references.
    """
    held = _content(asked)
    parts = sum(held.values())
    price = "0.11" if parts > 3 else "0.06" if parts > 1 else "0.02"
    return known(usd(price), parts=parts)


def _prepare(asked: Asked, inputs: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return a request of v1 with its subjects as the vendor of today reads them."""
    usual = {"resolution": "768P", "duration": 6} if "resolution" in inputs else {}
    body = saying(asked, without("callback_url")(asked, inputs), usual) or asked.body
    subjects = listed(body, "subject_reference", most=10)
    if not subjects:
        return None if body is asked.body else body
    return {**body, "subject_reference": [_subject(each) for each in subjects]}


def _saying(usual: Mapping[str, Any]) -> Prepare:
    return lambda asked, inputs: saying(asked, without("callback_url")(asked, inputs), usual)


def _subject(given: dict[str, Any]) -> dict[str, Any]:
    picture = given.get("image")
    pictures = [picture] if isinstance(picture, str) else picture
    return {"type": "character", **given, "image": pictures}


# --- What MiniMax says --------------------------------------------------------------------------

CODES = {
    **dict.fromkeys((1004, 2049, 1008, 2056), Verdict.OPERATOR),
    **dict.fromkeys((1002, 1041), Verdict.BUSY),
    **dict.fromkeys((1026, 1027), Verdict.MODERATED),
    2013: Verdict.REJECTED,
}
"""Others are about MiniMax itself: nobody knows then what was done."""
_says = text_at("base_resp.status_msg", "error.message", "message")
_by_words = by_words(_says)


def _code(said: Said) -> int:
    code = at(said.object, "base_resp.status_code")
    return code if isinstance(code, int) and not isinstance(code, bool) else 0


def _judge(said: Said) -> Judged | None:
    """Return what the code in a 200 means, or a 422 of v2, which is one of moderation."""
    code, delivers = _code(said), said.status in DELIVERING
    if code in CODES:
        return Judged(CODES[code])
    if delivers:
        return Judged(Verdict.UNKNOWN) if code else None
    if said.status == 422:
        return Judged(Verdict.MODERATED)
    return _by_words(said)


def _judge_poll(said: Said) -> Judged | None:
    return Judged(Verdict.MODERATED) if CODES.get(_code(said)) is Verdict.MODERATED else None


V1 = States(
    at="status",
    done=("Success",),
    failed=("Fail",),
    running=("Processing", "Queueing", "Preparing"),
    results=("file_id",),
    why=("base_resp.status_msg",),
    judge_error=_judge_poll,
)
V2 = States(
    at="task.status",
    done=("succeeded", "success"),
    failed=("failed", "cancelled", "expired"),
    running=("running", "queued"),
    results=("task.content.url", "task.content.prompt"),
    why=("task.error.message", "task.error.code"),
)
FINE = {"status_code": 0, "status_msg": "success"}


def _seconds(answer: Any) -> Fraction | None:
    """Return the seconds that were billed: what was made, and what it was made from."""
    total = at(answer, "task.usage.total_seconds")
    if isinstance(total, bool) or not isinstance(total, (int, float)) or not 0 < total < 1e6:
        return None
    return Fraction(f"{total}")


def _with_base(answer: Any) -> Any:
    """Return an answer with what clients of v1 insist on."""
    return {"base_resp": FINE, **answer} if isinstance(answer, dict) else answer


def _told_v1(task: str, word: str) -> dict[str, Any]:
    return {"task_id": task, "status": word, "base_resp": FINE}


def _told_v2(task: str, word: str, why: str = "") -> dict[str, Any]:
    return {"task": {"id": task, "status": word, "error": {"code": "", "message": why}}}


JOB_V1 = Job(
    poll="minimax/query/video_generation",
    job_id=id_at("task_id"),
    judge=V1.judge,
    pending=lambda task: _told_v1(task, "Processing"),
    failed=lambda task, why: {**_told_v1(task, "Fail"), "message": why},
    assets=assets_at(("file", "file_id")),
    interval_seconds=5.0,
    deadline_seconds=3 * 3600,
)
JOB_V2 = Job(
    poll="minimax/v2/query/video_generation/{task_id}",
    job_id=id_at("task_id"),
    judge=V2.judge,
    pending=lambda task: _told_v2(task, "running"),
    failed=lambda task, why: _told_v2(task, "failed", why),
    results=V2.made,
    measured="seconds",
    stated=_seconds,
    interval_seconds=5.0,
    deadline_seconds=3 * 3600,
    kept_seconds=7 * 24 * 3600,
)


def _h3(name: str, title: str, price: Ruled, usual: Mapping[str, Any]) -> Operation:
    return Operation(
        "POST",
        f"minimax/v2/{name}",
        f"/v2/{name}",
        price,
        Kind.SUBMIT,
        job=JOB_V2,
        prepare=_saying(usual),
        measures=(Input("content", _films, summed=True),),
        reply=_with_base,
        timeout_seconds=300,
        price_version=VERSION,
        title=f"MiniMax H3 {title}",
    )


MINIMAX = Vendor(
    name="minimax",
    display="MiniMax",
    base_url="https://api.minimax.io",
    file_hosts=("minimax.io", "minimaxi.com", "aliyuncs.com"),
    credential=bearer(),
    operations=(
        Operation(
            "POST",
            "minimax/video_generation",
            "/v1/video_generation",
            Ruled(v1),
            Kind.SUBMIT,
            job=JOB_V1,
            prepare=_prepare,
            timeout_seconds=300,
            price_version=VERSION,
            title="MiniMax Video",
        ),
        Operation(
            "GET",
            "minimax/query/video_generation",
            "/v1/query/video_generation",
            kind=Kind.POLL,
            names=Named("query", "task_id"),
            reply=lambda answer: _with_base(V1.reply(answer)),
            timeout_seconds=60,
        ),
        Operation(
            "GET",
            "minimax/files/retrieve",
            "/v1/files/retrieve",
            kind=Kind.RESULT,
            names=Named("query", "file_id"),
            scope="file",
            of_call=True,  # A file is its workspace's own from the end on that was paid for.
            query=("file_id",),
            timeout_seconds=60,
        ),
        _h3("video_generation", "Video", Ruled(video), {"resolution": "768P", "duration": 6}),
        _h3("video_regeneration", "Regeneration", Ruled(regeneration), {"resolution": "2K"}),
        _h3("h3_context_ir", "Context", Ruled(context), {}),
        Operation(
            "GET",
            "minimax/v2/query/video_generation/{task_id}",
            "/v2/query/video_generation/{task_id}",
            kind=Kind.POLL,
            names=Named("path", "task_id"),
            reply=V2.reply,
            timeout_seconds=60,
        ),
    ),
    along={"image": DATA, "video": DATA, "audio": DATA},
    judge=_judge,
    says=_says,
)
