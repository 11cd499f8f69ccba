"""Kling: videos and pictures. Every operation is a job with a poll of its own.

Two designs: under /v1 the model stands in the body and a task ends as `succeed`; the newer has the
model in the path, one poll for all (/tasks), and `succeeded`. Two credentials: an API key, or on
/v1 a pair of keys that signs a token. What Kling says: kling_words.py. Prices: kling_prices.py.
Source: the vendor's pages.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jwt

from common.money import usd
from proxy.again import KnownBy
from proxy.along import PLAIN, Inside
from proxy.catalogue import Job, Kind, Named, Operation, Vendor
from proxy.credentials import NOT_SET_UP
from proxy.inputs import Input
from proxy.pricing.shapes import One, Ruled, at
from proxy.vendors import kling_prices as prices
from proxy.vendors import kling_words as words
from proxy.vendors.states import file_at

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from proxy.along import How
    from proxy.asked import Asked
    from proxy.catalogue import Asset
    from proxy.credentials import Account, Exchange
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
            known_by=KnownBy(field="external_task_id", lookup=f"/v1/{path}/{{name}}"),
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
            reply=words.reply,
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
        job_id=words.job_id,
        judge=words.judge_poll,
        pending=lambda task: _told(task, is_new=is_new, word="processing"),
        failed=lambda task, why: _told(task, is_new=is_new, word="failed", why=why),
        results=words.results,
        assets=words.videos,
        measured=measured,
        stated=words.stated,
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
            reply=words.reply,
            credential=KeyOrPair(takes_pair=False),
            timeout_seconds=60,
        ),
    ),
    along={"image": PLAIN, "audio": PLAIN},
    judge=words.judge,
    says=words.says,
)
