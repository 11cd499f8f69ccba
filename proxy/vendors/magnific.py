"""Magnific (Freepik's, and called so on our wire): upscalers, relight, style transfer, skin.

An upscaler doubles its picture until the factor is reached, and each doubling costs by the pixels
that it begins with. Those are worked out of the picture that is delivered; held is the upper end of
the published range, charged never less than the lower. A style transfer is documented without
`data`, with `task_status`: clients are given the one shape. The vendor allows 50 requests a minute
for everything. Sources: docs.magnific.com and the nodes of August 2026; the steps between the ends
are worked out of the published ranges, and the hosts of files beside ai-statics are from knowledge.
An operator's key is one of Magnific's: that of api.freepik.com is sent by another header.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from common.money import Micros, usd
from proxy.along import PLAIN
from proxy.catalogue import Job, Kind, Named, Operation, Vendor
from proxy.credentials import Header
from proxy.pricing import Quote
from proxy.pricing.shapes import Ruled, choice_of, known, one_only
from proxy.vendors.states import States, by_words, each, id_at, text_at, without

if TYPE_CHECKING:
    from proxy.asked import Asked, Evidence
    from proxy.dialect import Judged, Said

VERSION = "magnific-2026-08"
STEPS = ((1_300_000, "0.172"), (3_000_000, "0.343"), (6_400_000, "0.515"))
LAST_STEP = "2.045"
"""Of a doubling, by the pixels that it begins with."""
LEAST = {2: "0.172", 4: "0.343", 8: "0.515", 16: "0.844"}
CREATIVE = {2: "0.515", 4: "0.844", 8: "1.015", 16: "1.187"}
PRECISE = {2: "2.045", 4: "2.545", 8: "2.889", 16: "3.06"}
PER_RUN = {
    "image-relight": "0.11",
    "image-style-transfer": "0.11",
    "skin-enhancer/creative": "0.29",
    "skin-enhancer/faithful": "0.37",
    "skin-enhancer/flexible": "0.45",
}


@dataclass(frozen=True, slots=True)
class Doublings:
    """A price for each doubling of a picture, within the published range of its factor."""

    most: dict[int, str]
    fits_wallet: bool = False

    async def quote(self, asked: Asked) -> Quote:
        """Return the upper end of the factor's range."""
        one_only(asked.body)
        factors = [form for factor in self.most for form in (f"{factor}x", f"{factor}")]
        named = asked.body.get("scale_factor")
        told = f"{named}" if isinstance(named, int) else named
        factor = int(choice_of({"scale_factor": told}, "scale_factor", factors).rstrip("x"))
        return Quote(usd(self.most[factor]), {"factor": factor})

    def settle(self, inputs: dict[str, Any], evidence: Evidence) -> Micros | None:
        """Return the price of a picture of so many pixels; the least where they are not known."""
        if not evidence.is_final:
            return None
        factor = inputs["factor"]
        begun = evidence.measured.get("pixels", Fraction(0)) / factor**2
        price = 0
        while factor > 1:
            price += usd(next((p for most, p in STEPS if begun <= most), LAST_STEP))
            begun, factor = begun * 4, factor // 2
        least, most = usd(LEAST[inputs["factor"]]), usd(self.most[inputs["factor"]])
        return Micros(min(max(price, least), most))


def _run(path: str) -> Ruled:
    def rule(asked: Asked) -> Quote:
        """Price a run, whatever the picture."""
        one_only(asked.body)
        return known(usd(PER_RUN[path]))

    return Ruled(rule)


# --- What Magnific says -------------------------------------------------------------------------

_says = text_at("message", "invalid_params[].reason")
STATES = States(
    at="data.status",
    done=("COMPLETED",),
    failed=("FAILED",),
    running=("IN_PROGRESS", "CREATED"),
    results=("data.generated[]",),
    why=("data.error", "message"),
)


def _in_data(answer: Any) -> Any:
    """Return an answer in the one shape: a task in `data`, with a `status`."""
    task = answer.get("data") if isinstance(answer, dict) else None
    task = task if isinstance(task, dict) else answer
    if not isinstance(task, dict) or next(each(task, "task_id"), None) is None:
        return answer
    return {"data": {**task, "status": task.get("status") or task.get("task_status")}}


def _judge_poll(said: Said) -> Judged | None:
    return STATES.judge(replace(said, _json=_in_data(said.json)))


def _told(task: str, word: str, **more: Any) -> dict[str, Any]:
    return {"data": {"task_id": task, "status": word, "generated": [], **more}}


def _submit(path: str, title: str, price: Ruled | Doublings, poll: str = "") -> Operation:
    return Operation(
        "POST",
        f"freepik/v1/ai/{path}",
        f"/v1/ai/{path}",
        price,
        Kind.SUBMIT,
        job=Job(
            poll=f"freepik/v1/ai/{poll or path}/{{task_id}}",
            job_id=lambda answer: id_at("data.task_id")(_in_data(answer)),
            judge=_judge_poll,
            pending=lambda task: _told(task, "IN_PROGRESS"),
            failed=lambda task, why: _told(task, "FAILED", error=why),
            results=lambda answer: STATES.made(_in_data(answer)),
            measured="pixels" if isinstance(price, Doublings) else "",
            interval_seconds=10.0,
            kept_seconds=3600,
        ),
        prepare=without("webhook_url"),
        reply=_in_data,
        timeout_seconds=300,
        price_version=VERSION,
        title=f"Magnific {title}",
    )


def _poll(path: str) -> Operation:
    return Operation(
        "GET",
        f"freepik/v1/ai/{path}/{{task_id}}",
        f"/v1/ai/{path}/{{task_id}}",
        kind=Kind.POLL,
        names=Named("path", "task_id"),
        reply=lambda answer: STATES.reply(_in_data(answer)),
        timeout_seconds=60,
    )


MAGNIFIC = Vendor(
    name="freepik",
    display="Magnific",
    base_url="https://api.magnific.com",
    file_hosts=("magnific.com", "freepik.com"),
    credential=Header("x-magnific-api-key"),
    operations=(
        _submit("image-upscaler", "Creative Upscaler", Doublings(CREATIVE)),
        _submit("image-upscaler-precision-v2", "Precise Upscaler", Doublings(PRECISE)),
        _submit("image-relight", "Relight", _run("image-relight")),
        _submit("image-style-transfer", "Style Transfer", _run("image-style-transfer")),
        *(
            _submit(f"skin-enhancer/{mode}", f"Skin Enhancer {mode}",
                    _run(f"skin-enhancer/{mode}"), "skin-enhancer")
            for mode in ("creative", "faithful", "flexible")
        ),
        *(
            _poll(path)
            for path in ("image-upscaler", "image-upscaler-precision-v2", "image-relight",
                         "image-style-transfer", "skin-enhancer")
        ),
    ),
    along={"image": PLAIN},
    judge=by_words(_says),
    says=_says,
)  # fmt: skip
