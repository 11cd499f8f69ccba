"""BytePlus: Seedance, Seedream and Seed by ModelArk; Seed Audio, MediaKit and the asset library.

Each of the four has a key and an address of its own. A video is asked for by either of two paths.
An answer of pictures may hold some, and errors in the place of others. What is to be withdrawn
(Seedance 1, Seedream 3 and 4) has no known day.
Sources: byteplus-python-sdk-v2 3.0.63 and the vendor's pages. Prices: byteplus_seedance.py,
byteplus_prices.py.
"""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from proxy.along import DATA
from proxy.catalogue import Job, Kind, Named, Operation, Vendor
from proxy.credentials import Header, bearer
from proxy.dialect import DELIVERING, Judged, Verdict
from proxy.pricing.language import Spoken
from proxy.vendors import byteplus_prices as prices
from proxy.vendors import byteplus_seedance as seedance
from proxy.vendors.byteplus_assets import ASSETS
from proxy.vendors.byteplus_mediakit import MEDIAKIT
from proxy.vendors.openai_prices import shown, used
from proxy.vendors.states import ID, States, id_at, saying, text_at, there, without

if TYPE_CHECKING:
    from collections.abc import Mapping

    from proxy.asked import Asked
    from proxy.catalogue import Asset
    from proxy.credentials import Account, Exchange
    from proxy.dialect import Said
    from proxy.relay import Outgoing

ARK = "/api/v3"
TASKS = "contents/generations/tasks"
BLOCKED = re.compile(r"Sensitive|RiskDetection|PolicyViolation|moderat|inappropriate", re.I)
OPERATOR = re.compile(
    r"AccountOverdue|ModelNotOpen|InvalidEndpointOrModel|SetLimitExceeded|QuotaExceeded|Arrear"
    r"|Authentication|Unauthorized|AccessDenied|InvalidAccessKey|SignatureDoesNotMatch"
)
BUSY = re.compile(r"RateLimit|ServerOverloaded|FlowLimit|Throttl|TooManyRequests|RequestBurst")
_code = text_at("error.code", "ResponseMetadata.Error.Code", "error.type")
_says = text_at("error.message", "ResponseMetadata.Error.Message", "message")


@dataclass(frozen=True, slots=True)
class Numbered(Header):
    """A key in a header, and an id of the request beside it."""

    async def sign(self, outgoing: Outgoing, account: Account, exchange: Exchange) -> None:
        """See Scheme."""
        outgoing.headers[self.name] = account.settings[self.setting]
        outgoing.headers["x-api-request-id"] = str(uuid.uuid4())


def _judge(said: Said) -> Judged | None:
    """Return what an answer means by its error's code; pictures that all failed are none."""
    told = f"{_code(said.json)} {_says(said.json)}"
    delivers, answer = said.status in DELIVERING, said.object
    if delivers and not _is_error(answer):
        if isinstance(answer.get("data"), list) and not prices.pictures(answer):
            blocked = BLOCKED.search(f"{told} {answer['data']}"[:10_000])
            return Judged(Verdict.MODERATED if blocked else Verdict.FAILED)
        return Judged(Verdict.FAILED) if answer.get("status") == "failed" else None
    for pattern, verdict in (
        (OPERATOR, Verdict.OPERATOR), (BUSY, Verdict.BUSY), (BLOCKED, Verdict.MODERATED),
    ):  # fmt: skip
        if pattern.search(told):
            return Judged(verdict)
    return Judged(Verdict.UNKNOWN) if delivers else None


def _is_error(answer: dict[str, Any]) -> bool:
    """Whether a 200 says no: by an error in the place of a result, or by a code."""
    if _code(answer) and not answer.get("data") and answer.get("status") != "failed":
        return True
    return answer.get("success") is False or answer.get("code") not in (None, 0, "0")


# --- Videos --------------------------------------------------------------------------------------

STATES = States(
    at="status",
    done=("succeeded",),
    failed=("failed", "cancelled", "expired"),
    running=("running", "queued"),
    foreign=("expired",),
    results=("content.video_url",),
    why=("error.code", "error.message"),
    blocked=BLOCKED,
)


def _told(task: str, word: str, **more: Any) -> dict[str, Any]:
    return {"id": task, "model": "", "status": word, **more}


def _assets(asked: Asked) -> list[Asset]:
    """Return the assets that a video is made from: each must be its workspace's own."""
    found = []
    for url in seedance.addresses(asked.body):
        if url.lower().startswith("asset:"):
            name = url[len("asset://") :]
            found.append(("asset", name if ID.fullmatch(name) else "none"))
    return found


def _video(asked: Asked, inputs: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return a request that says what it was priced as, where that is a field."""
    usual: dict[str, Any] = {}
    if inputs["model"] in seedance.TWO:
        usual = {"resolution": inputs["resolution"], "duration": seedance.USUAL_SECONDS}
    elif inputs["model"] == seedance.WITH_SOUND:
        usual = {"generate_audio": True}
    return saying(asked, without("callback_url")(asked, inputs), usual)


JOB = Job(
    poll=f"byteplus{ARK}/{TASKS}/{{task_id}}",
    also_polled=(f"byteplus-seedance2{ARK}/{TASKS}/{{task_id}}",),
    job_id=id_at("id"),
    judge=STATES.judge,
    pending=lambda task: _told(task, "running"),
    failed=lambda task, why: _told(task, "failed", error={"code": "failed", "message": why}),
    results=STATES.made,
    interval_seconds=5.0,
    deadline_seconds=6 * 3600,
    kept_seconds=24 * 3600,
)


def _polled(prefix: str) -> Operation:
    return Operation(
        "GET",
        f"{prefix}{ARK}/{TASKS}/{{task_id}}",
        f"{ARK}/{TASKS}/{{task_id}}",
        kind=Kind.POLL,
        names=Named("path", "task_id"),
        reply=STATES.reply,
        timeout_seconds=60,
    )


def _response(asked: Asked, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the request with its limit; nothing is kept there."""
    return {**asked.body, "max_output_tokens": inputs["limit"], "store": False, "stream": False}


BYTEPLUS = Vendor(
    name="byteplus",
    display="BytePlus",
    base_url="https://ark.ap-southeast.bytepluses.com",
    bases={
        "voice": "https://voice.ap-southeast-1.bytepluses.com",
        "mediakit": "https://mediakit.ap-southeast-1.bytepluses.com",
        "assets": "https://ark.ap-southeast-1.byteplusapi.com",
    },
    file_hosts=("volces.com", "bytepluses.com", "byteplusapi.com"),
    credential=bearer(),
    operations=(
        Operation(
            "POST",
            f"byteplus{ARK}/{TASKS}",
            f"{ARK}/{TASKS}",
            seedance.Video(),
            Kind.SUBMIT,
            job=JOB,
            prepare=_video,
            uses=_assets,
            reports=lambda answer: seedance.tokens_of(answer) > 0,
            timeout_seconds=300,
            price_version=prices.VERSION,
            title="ByteDance Seedance",
        ),
        _polled("byteplus"),
        _polled("byteplus-seedance2"),
        Operation(
            "POST",
            f"byteplus{ARK}/images/generations",
            f"{ARK}/images/generations",
            prices.Pictures(),
            delivers=there("data[]"),
            answer_limit_bytes=256 << 20,
            timeout_seconds=1200,
            price_version=prices.VERSION,
            title="ByteDance Seedream",
        ),
        Operation(
            "POST",
            f"byteplus{ARK}/responses",
            f"{ARK}/responses",
            Spoken(prices.response, used, shown),
            prepare=_response,
            reports=lambda answer: used(answer) is not None,
            timeout_seconds=1200,
            delivers=there("output[]", "usage.output_tokens"),
            price_version=prices.VERSION,
            title="ByteDance Seed",
        ),
        Operation(
            "POST",
            f"byteplus{ARK}/tts/create",
            f"{ARK}/tts/create",
            prices.Sound(),
            reports=lambda answer: prices.sound_seconds(answer) is not None,
            base="voice",
            credential=Numbered("x-api-key", setting="VOICE_KEY"),
            delivers=there("audio", "url"),
            price_version=prices.VERSION,
            title="ByteDance Seed Audio",
        ),
        *MEDIAKIT,
        *ASSETS,
    ),
    along={"image": DATA, "audio": DATA},
    judge=_judge,
    says=_says,
)
