"""MiniMax: videos of two generations of its API.

v1 (Hailuo 02 and older): a submit, a poll by the query, and a file that is then asked for by its
id. An error stands in `base_resp` of a 200. v2 (MiniMax H3): HTTP statuses, `task` in a poll, and
`usage` in seconds. Clients of v1 insist on `base_resp`, v2 has none. The node of a subject gives
its picture as a text, the vendor of today takes a list, and a type.
Prices: minimax_prices.py. Sources: minimax-mcp 0.0.19 and the vendor's pages.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

from proxy.along import DATA
from proxy.catalogue import Job, Kind, Named, Operation, Vendor
from proxy.credentials import bearer
from proxy.dialect import DELIVERING, Judged, Verdict
from proxy.inputs import Input
from proxy.pricing.shapes import (
    Ruled,
    at,
)
from proxy.vendors import minimax_prices as prices
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

    Prepare = Callable[[Asked, Mapping[str, Any]], dict[str, Any] | None]


def _films(asked: Asked) -> list[Any]:
    """Return the films that a request of H3 refers to."""
    given = asked.body.get("content")
    parts = [part for part in given if isinstance(part, dict)] if isinstance(given, list) else []
    return [at(part, "video_url.url") for part in parts if "video_url" in part]


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
        price_version=prices.VERSION,
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
            Ruled(prices.v1),
            Kind.SUBMIT,
            job=JOB_V1,
            prepare=_prepare,
            timeout_seconds=300,
            price_version=prices.VERSION,
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
        _h3(
            "video_generation", "Video", Ruled(prices.video), {"resolution": "768P", "duration": 6}
        ),
        _h3("video_regeneration", "Regeneration", Ruled(prices.regeneration), {"resolution": "2K"}),
        _h3("h3_context_ir", "Context", Ruled(prices.context), {}),
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
