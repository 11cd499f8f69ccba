"""sync.so: lips that move with a sound. The price is that of the seconds that come out.

The vendor bills frames, 0.133 USD a second at 25 of them: above 35 it costs more than is charged.
Its libraries say `error_code`, the node reads `errorCode`. A request with an Idempotency-Key that
it had before is answered as before. Sources: syncsdk 0.3.0, @sync.so/sdk 0.3.0 and the vendor's
documentation.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

from common.money import usd
from proxy.again import KnownBy
from proxy.along import Part
from proxy.catalogue import Job, Kind, Named, Operation, Vendor
from proxy.credentials import Header
from proxy.inputs import Input
from proxy.pricing.shapes import Ruled, at, choice_of, of_input, one_only
from proxy.vendors.states import States, by_words, id_at, text_at, without

if TYPE_CHECKING:
    from proxy.asked import Asked
    from proxy.pricing import Quote

VERSION = "synclabs-2026-08"
PER_SECOND = usd("0.19019")
MODELS = ("sync-3", "lipsync-2")
MODES = ("bounce", "cut_off", "loop", "silence", "remap")
LONGEST = "600"
"""Seconds of a sound that the node takes; what comes out is as long as the longer input."""


def price(asked: Asked) -> Quote:
    """Price a video by its seconds, at most those of the longest input."""
    one_only(asked.body, "options")
    model = choice_of(asked.body, "model", MODELS)
    choice_of(asked.body, "options.sync_mode", MODES, default="bounce")
    return of_input(asked, "input", PER_SECOND, least="1", most=LONGEST, model=model)


def _inputs(asked: Asked) -> list[Any]:
    """Return what is put in: all of it decides how long the video is."""
    given = asked.body.get("input")
    return [at(each, "url") for each in given] if isinstance(given, list) else [None]


STATES = States(
    at="status",
    done=("COMPLETED",),
    failed=("FAILED", "REJECTED"),
    running=("PROCESSING", "PENDING"),
    results=("outputUrl",),
    why=("error", "errorCode", "error_code"),
)
_says = text_at("message", "message[]", "error")


def _seconds(answer: Any) -> Fraction | None:
    found = answer.get("outputDuration") if isinstance(answer, dict) else None
    if isinstance(found, bool) or not isinstance(found, (int, float)) or not 0 < found < 1e6:
        return None
    return Fraction(f"{found}")


def _reply(answer: Any) -> Any:
    """Return a poll's answer with the code of an error where the node reads it."""
    answer = STATES.reply(answer)
    if isinstance(answer, dict) and answer.get("error_code") and not answer.get("errorCode"):
        return {**answer, "errorCode": answer["error_code"]}
    return answer


def _told(task: str, word: str, **more: Any) -> dict[str, Any]:
    return {"id": task, "status": word, **more}


SYNCLABS = Vendor(
    name="synclabs",
    display="sync.so",
    base_url="https://api.sync.so",
    file_hosts=("sync.so",),
    credential=Header("x-api-key"),
    operations=(
        Operation(
            "POST",
            "synclabs/v2/generate",
            "/v2/generate",
            Ruled(price),
            Kind.SUBMIT,
            job=Job(
                poll="synclabs/v2/generate/{id}",
                job_id=id_at("id"),
                judge=STATES.judge,
                pending=lambda task: _told(task, "PROCESSING"),
                failed=lambda task, why: _told(task, "FAILED", error=why),
                results=STATES.made,
                measured="seconds",
                stated=_seconds,
                interval_seconds=4.0,
                deadline_seconds=3 * 3600,
            ),
            measures=(Input("input", _inputs),),
            prepare=without("webhookUrl", "webhook_url"),
            known_by=KnownBy(header="idempotency-key"),
            timeout_seconds=300,
            price_version=VERSION,
            title="sync.so Lip Sync",
        ),
        Operation(
            "GET",
            "synclabs/v2/generate/{id}",
            "/v2/generate/{id}",
            kind=Kind.POLL,
            names=Named("path", "id"),
            reply=_reply,
            timeout_seconds=60,
        ),
    ),
    along={"video": Part("video"), "audio": Part("audio")},
    judge=by_words(_says),
    says=_says,
)
