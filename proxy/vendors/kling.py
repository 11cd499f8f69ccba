"""Kling: videos and pictures. Every operation is a job with a poll of its own.

Two designs: under /v1 the model stands in the body and a task ends as `succeed`; the newer has the
model in the path, one poll for all (/tasks), and `succeeded`. Two credentials: an API key, or on
/v1 a pair of keys that signs a token. An error has a code of Kling's own, with a status of 4xx or
5xx, and now and then inside a 200. Prices: kling_prices.py. Source: the vendor's pages.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import jwt

from common.money import usd
from proxy.along import PLAIN, Inside
from proxy.catalogue import Job, Kind, Named, Operation, Vendor
from proxy.credentials import NOT_SET_UP
from proxy.dialect import DELIVERING, Judged, Verdict
from proxy.inputs import Input
from proxy.pricing.shapes import One, Ruled, at
from proxy.vendors import kling_prices as prices
from proxy.vendors.states import file_at

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from proxy.along import How
    from proxy.asked import Asked
    from proxy.catalogue import Asset
    from proxy.credentials import Account, Exchange
    from proxy.dialect import Said
    from proxy.pricing import Price
    from proxy.relay import Outgoing

TOKEN_SECONDS = 1800
SKEW_SECONDS = 5


@dataclass(frozen=True, slots=True)
class KeyOrPair:
    """An API key as it is; or, with a secret beside it, a token of half an hour that both sign."""

    takes_pair: bool = True
    required: tuple[str, ...] = ("KEY",)
    optional: tuple[str, ...] = ("SECRET",)
    public: tuple[str, ...] = ()

    def problem(self, account: Account) -> str:
        """See Scheme."""
        if "KEY" not in account.settings:
            return NOT_SET_UP
        if "SECRET" in account.settings and not self.takes_pair:
            return (
                "takes an API key for this model, and this platform has a pair of keys. Tell its "
                "operator, or use another model."
            )
        return ""

    async def sign(self, outgoing: Outgoing, account: Account, exchange: Exchange) -> None:
        """See Scheme."""
        key, secret = account.settings["KEY"], account.settings.get("SECRET")

        async def mint() -> tuple[str, float]:
            now = int(time.time())
            claims = {"iss": key, "exp": now + TOKEN_SECONDS, "nbf": now - SKEW_SECONDS}
            assert secret is not None, "without a secret the key goes as it is"
            return jwt.encode(claims, secret, algorithm="HS256"), TOKEN_SECONDS

        shown = key if secret is None else await account.minted("token", mint)
        outgoing.headers["authorization"] = f"Bearer {shown}"


# --- What Kling says ----------------------------------------------------------------------------

VERDICTS = {
    **dict.fromkeys((1000, 1001, 1002, 1003, 1004), Verdict.OPERATOR),
    **dict.fromkeys((1100, 1101, 1102, 1103, 1304), Verdict.OPERATOR),
    **dict.fromkeys((1200, 1201, 1202, 1203), Verdict.REJECTED),
    **dict.fromkeys((1300, 1301), Verdict.MODERATED),
    **dict.fromkeys((1302, 1303), Verdict.BUSY),
    **dict.fromkeys((5000, 5001), Verdict.BROKEN),
    5002: Verdict.UNKNOWN,  # It timed out behind their door: the work may go on.
}
NO_SUCH_TASK = (1200, 1201, 1203)
"""Of a poll, whose only parameter is the task."""
BLOCKED = re.compile(r"risk control|content security|community (policy|guideline)|sensitive", re.I)
DONE, FAILED = ("succeed", "succeeded"), ("failed",)
SECONDS = re.compile(r"\d{1,5}(\.\d{1,6})?")
OF_THE_ACCOUNT = ("final_unit_deduction", "final_balance_deduction", "billing")


def _code(said: Said) -> int | None:
    code = said.object.get("code")
    return code if isinstance(code, int) and not isinstance(code, bool) else None


def _judge(said: Said) -> Judged | None:
    """Return what an answer's code means; one without a code is none of Kling's."""
    code, delivers = _code(said), said.status in DELIVERING
    if code is None:
        return Judged(Verdict.UNKNOWN) if delivers else None
    if code == 0:
        return None
    verdict = VERDICTS.get(code, Verdict.UNKNOWN if delivers else None)
    return Judged(verdict) if verdict is not None else None


def _tasks(answer: Any) -> list[dict[str, Any]]:
    """Return the tasks that an answer tells of: one, or in the newer design a list."""
    data = answer.get("data") if isinstance(answer, dict) else None
    return [each for each in (data if isinstance(data, list) else [data]) if isinstance(each, dict)]


def _job_id(answer: Any) -> str | None:
    for task in _tasks(answer):
        found = task.get("task_id", task.get("id"))
        if isinstance(found, str) and re.fullmatch(r"[!-+\--~]{1,200}", found):
            return found
    return None


def _judge_poll(said: Said) -> Judged | None:
    """Return what a poll's answer means; a task that ended well without a file has failed."""
    code = _code(said)
    if code in NO_SUCH_TASK:
        return Judged(Verdict.MISSING)
    if said.status != 200 or code != 0:
        return None
    for task in _tasks(said.json):
        word = task.get("task_status", task.get("status"))
        if word in DONE:
            return Judged(Verdict.DONE if _results(said.json) else Verdict.FAILED)
        if word in FAILED:
            why = f"{task.get('task_status_msg', task.get('message', ''))}"
            return Judged(Verdict.MODERATED if BLOCKED.search(why) else Verdict.FAILED)
        return Judged(Verdict.RUNNING) if isinstance(word, str) else None
    return None


def _made(answer: Any) -> list[dict[str, Any]]:
    """Return what the tasks made, in either design."""
    lists = [
        found
        for task in _tasks(answer)
        for path in ("task_result.videos", "task_result.images", "task_result.series_images",
                     "outputs")
        if isinstance(found := at(task, path), list)
    ]  # fmt: skip
    return [each for found in lists for each in found if isinstance(each, dict)]


def _results(answer: Any) -> list[str]:
    return [each["url"] for each in _made(answer) if isinstance(each.get("url"), str)]


def _videos(answer: Any) -> Iterable[Asset]:
    """Return the ids by which later calls name the videos that were made."""
    return [
        ("video", each["id"])
        for each in _made(answer)
        if isinstance(each.get("id"), str) and 0 < len(each["id"]) <= 1000
    ]


def _stated(answer: Any) -> Fraction | None:
    """Return the length of the video as Kling says it."""
    found = next((each["duration"] for each in _made(answer) if each.get("duration")), None)
    return Fraction(f"{found}") if SECONDS.fullmatch(f"{found}") else None


def _reply(answer: Any) -> Any:
    """Return a poll's answer without what the account paid for it."""
    if not isinstance(answer, dict):
        return answer
    told = [
        {name: value for name, value in task.items() if name not in OF_THE_ACCOUNT}
        for task in _tasks(answer)
    ]
    data = answer.get("data")
    return {**answer, "data": told if isinstance(data, list) else told[0] if told else data}


def _says(body: Any) -> str:
    said = body.get("message") if isinstance(body, dict) else None
    return said if isinstance(said, str) else ""


# --- What Kling is asked ------------------------------------------------------------------------

NOT_THEIRS = ("callback_url", "external_task_id")
"""The account is everybody's: nobody is called back, and no member names a task for all."""


def _prepare(asked: Asked, inputs: Mapping[str, Any]) -> dict[str, Any] | None:
    body = _without(asked.body)
    if isinstance(options := asked.body.get("options"), dict):
        body["options"] = _without(options)
    return None if body == asked.body else body


def _without(body: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if name not in NOT_THEIRS}


def _extends(asked: Asked) -> Iterable[Asset]:
    return [("video", asked.text("video_id"))]


def _syncs(asked: Asked) -> Iterable[Asset]:
    given = (("video", "input.video_id"), ("task", "input.task_id"))
    return [(scope, prices.name_at(asked, path)) for scope, path in given if at(asked.body, path)]


def _submit(
    path: str,
    title: str,
    price: Price,
    *,
    uses: Callable[[Asked], Iterable[Asset]] | None = None,
    measured: str = "",
    of: str = "",
    along: Mapping[str, How] | None = None,
) -> tuple[Operation, ...]:
    """Return a submit of /v1, and the poll of its own."""
    poll = f"kling/v1/{path}/{{task_id}}"
    deadline = 3 * 3600 if path.startswith("videos") else 3600
    return (
        Operation(
            "POST",
            f"kling/v1/{path}",
            f"/v1/{path}",
            price,
            Kind.SUBMIT,
            job=_job(poll, measured=measured, deadline=deadline),
            measures=(Input(of.partition("[")[0], file_at(of)),) if of else (),
            uses=uses,
            along=along,
            prepare=_prepare,
            timeout_seconds=300,
            price_version=prices.VERSION,
            title=f"Kling {title}",
        ),
        Operation(
            "GET",
            poll,
            f"/v1/{path}/{{task_id}}",
            kind=Kind.POLL,
            names=Named("path", "task_id"),
            reply=_reply,
            timeout_seconds=60,
        ),
    )


def _turbo(path: str, title: str) -> Operation:
    return Operation(
        "POST",
        f"kling/{path}",
        f"/{path}",
        Ruled(prices.turbo),
        Kind.SUBMIT,
        job=_job("kling/tasks", deadline=3 * 3600),
        prepare=_prepare,
        credential=KeyOrPair(takes_pair=False),
        timeout_seconds=300,
        price_version=prices.VERSION,
        title=f"Kling 3.0 Turbo {title}",
        along={},
    )


def _job(poll: str, *, deadline: int, measured: str = "") -> Job:
    is_new = poll == "kling/tasks"
    return Job(
        poll=poll,
        job_id=_job_id,
        judge=_judge_poll,
        pending=lambda task: _told(task, is_new=is_new, word="processing"),
        failed=lambda task, why: _told(task, is_new=is_new, word="failed", why=why),
        results=_results,
        assets=_videos,
        measured=measured,
        stated=_stated,
        deadline_seconds=deadline,
        kept_seconds=30 * 24 * 3600,
    )


def _told(task: str, *, is_new: bool, word: str, why: str = "") -> dict[str, Any]:
    """Say in Kling's words how a task stands."""
    data: Any = {"task_id": task, "task_status": word, "task_status_msg": why}
    if is_new:
        data = [{"id": task, "status": word, "message": why}]
    return {"code": 0, "message": "SUCCEED", "request_id": "", "data": data}


KLING = Vendor(
    name="kling",
    display="Kling",
    base_url="https://api-singapore.klingai.com",
    file_hosts=("klingai.com", "kling.ai"),
    credential=KeyOrPair(),
    operations=(
        *_submit("videos/text2video", "Text to Video", Ruled(prices.text_to_video)),
        *_submit("videos/image2video", "Image to Video", Ruled(prices.image_to_video)),
        *_submit(
            "videos/omni-video",
            "Omni Video",
            Ruled(prices.omni),
            measured="seconds",
            of="video_list[].video_url",
        ),
        *_submit("videos/video-extend", "Extend", One(usd("0.28")), uses=_extends),
        *_submit(
            "videos/lip-sync",
            "Lip Sync",
            One(usd("0.1"), inside=("input",)),
            uses=_syncs,
            along={"audio": Inside({"audio_url": "audio_file"}, also={"audio_type": "file"})},
        ),
        *_submit("videos/effects", "Effects", Ruled(prices.effects)),
        *_submit(
            "videos/motion-control",
            "Motion",
            Ruled(prices.motion),
            measured="seconds",
            of="video_url",
        ),
        *_submit(
            "videos/avatar/image2video",
            "Avatar",
            Ruled(prices.avatar),
            measured="seconds",
            of="sound_file",
        ),
        *_submit("images/generations", "Image", Ruled(prices.pictures)),
        *_submit("images/omni-image", "Omni Image", Ruled(prices.omni_pictures)),
        *_submit("images/kolors-virtual-try-on", "Virtual Try-On", Ruled(prices.try_on)),
        _turbo("text-to-video/kling-3.0-turbo", "Text to Video"),
        _turbo("image-to-video/kling-3.0-turbo", "Image to Video"),
        Operation(
            "GET",
            "kling/tasks",
            "/tasks",
            kind=Kind.POLL,
            names=Named("query", "task_ids", separator=","),
            reply=_reply,
            credential=KeyOrPair(takes_pair=False),
            timeout_seconds=60,
        ),
    ),
    along={"image": PLAIN, "audio": PLAIN},
    judge=_judge,
    says=_says,
)
