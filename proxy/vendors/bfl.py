"""Black Forest Labs: FLUX images and videos. Every operation is a job; the key goes in `x-key`.

Prices: the nodes' published ones, of January 2026, and of August 2026 for what came later. A
submit answers an absolute `polling_url` on a regional host, which clients fetch without any
credential: we hand out one of ours instead (contract 6.4). `cost` in the submit answer is the
vendor's price in cents. Sources: the vendor's OpenAPI and pages.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from common.errors import InvalidRequest
from common.money import Micros, round_up, usd
from proxy import measure
from proxy.along import PLAIN
from proxy.catalogue import Ask, Job, Kind, Named, Operation, Vendor
from proxy.credentials import Header
from proxy.dialect import Judged, Verdict
from proxy.inputs import Input
from proxy.pricing import Flat, Price, Quote, choice, vendor_cents, whole
from proxy.pricing.shapes import longest, one_only
from proxy.vendors.states import file_at

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from proxy.asked import Asked, Evidence
    from proxy.catalogue import Route
    from proxy.credentials import Account
    from proxy.dialect import Said

VERSION = "bfl-2026-08"


@dataclass(frozen=True, slots=True)
class Flux2:
    """FLUX.2: by output megapixels, and by reference images, counted when the vendor says.

    Held with four megapixels for each reference image, the size that the node scales it to;
    settled by `cost`, or with one megapixel for each where the answer has none.
    """

    first: Micros
    further: Micros
    reads_body: bool = True
    fits_wallet: bool = False

    async def quote(self, asked: Asked) -> Quote:
        """Price the output exactly, and each reference image at its largest."""
        one_only(asked.body)
        width = whole(asked.body, "width", default=1024, least=1, most=8192)
        height = whole(asked.body, "height", default=768, least=1, most=8192)
        references = _references(asked.body)
        output = math.ceil(Fraction(width * height, measure.MEGAPIXEL))
        base = self.first + self.further * (max(1, output) - 1)
        inputs = {"width": width, "height": height, "reference_images": references, "base": base}
        return Quote(Micros(base + 4 * self.further * references), inputs)

    def settle(self, inputs: dict[str, Any], evidence: Evidence) -> Micros | None:
        """Return the exact price without references, else the vendor's figure."""
        if not inputs["reference_images"]:
            return Micros(inputs["base"])
        said = vendor_cents(evidence.submit, "cost")
        if said is not None:
            return said
        return Micros(inputs["base"] + self.further * inputs["reference_images"])


@dataclass(frozen=True, slots=True)
class Flux3Video:
    """FLUX 3 video: by second, resolution and mode; `auto` lets the model choose the length."""

    LONGEST_AUTO = 20
    SHORTEST_AUTO = 5
    reads_body: bool = True
    fits_wallet: bool = False

    async def quote(self, asked: Asked) -> Quote:
        """Price a length in seconds exactly, and `auto` at the longest."""
        one_only(asked.body)
        mode = choice(asked.body, "mode", default="t2v", among=("t2v", "i2v", "v2v"))
        resolution = choice(asked.body, "resolution", default="hd", among=("hd", "fhd"))
        rates = (
            {"hd": "0.5863", "fhd": "0.7579"}
            if mode == "v2v"
            else {"hd": "0.2431", "fhd": "0.4147"}
        )
        rate = usd(rates[resolution])
        inputs: dict[str, Any] = {"mode": mode, "resolution": resolution, "rate": rate}
        duration = asked.body.get("duration")
        if duration is None or str(duration).lower() == "auto":
            return Quote(Micros(rate * self.LONGEST_AUTO), {**inputs, "seconds": "auto"})
        seconds = whole(asked.body, "duration", default=5, least=1, most=60)
        return Quote(Micros(rate * seconds), {**inputs, "seconds": seconds})

    def settle(self, inputs: dict[str, Any], evidence: Evidence) -> Micros | None:
        """Return the price of a stated length; an `auto` one is measured at the end.

        If it cannot be read then, the shortest that there is is charged.
        """
        if inputs["seconds"] != "auto":
            return Micros(inputs["rate"] * inputs["seconds"])
        if not evidence.is_final:
            return None
        seconds = evidence.measured.get("seconds", Fraction(self.SHORTEST_AUTO))
        return round_up(inputs["rate"] * seconds)


@dataclass(frozen=True, slots=True)
class ByInputPixels:
    """A FLUX tool: by the megapixels of one input image, up to the top of its price range."""

    image: str
    first: Micros
    further: Micros
    most: Micros
    reads_body: bool = True
    fits_wallet: bool = False

    async def quote(self, asked: Asked) -> Quote:
        """Measure the image; the price follows exactly."""
        one_only(asked.body)
        pixels = asked.measured.get(self.image)
        if pixels is None:
            size = measure.megapixels(self.image, asked.body.get(self.image))
        else:
            size = pixels / measure.MEGAPIXEL
        price = round_up(self.first + self.further * max(Fraction(0), size - 1))
        amount = min(price, self.most)
        return Quote(Micros(amount), {"megapixels": round(float(size), 4), "price": amount})

    def settle(self, inputs: dict[str, Any], evidence: Evidence) -> Micros | None:
        """Return the quoted price."""
        return Micros(inputs["price"])


@dataclass(frozen=True, slots=True)
class VideoUpscale:
    """Video upscaling: by second of the video, which is as long as what comes out of it.

    Held at the longest where the input could not be measured. Settled by the vendor's
    `cost`, or by the length of the delivered file.
    """

    LONGEST_SECONDS = 120
    reads_body: bool = True
    fits_wallet: bool = False

    async def quote(self, asked: Asked) -> Quote:
        """Hold the longest video at the top of the range (4K output)."""
        one_only(asked.body)
        creativity = whole(asked.body, "creativity", default=1, least=0, most=1)
        rate = usd("1.188") if creativity else usd("0.848")
        inputs = {"creativity": creativity, "rate": rate}
        most = longest(asked, "input_video", least="1", most=f"{self.LONGEST_SECONDS}")
        return Quote(round_up(rate * Fraction(most)), inputs)

    def settle(self, inputs: dict[str, Any], evidence: Evidence) -> Micros | None:
        """Return the vendor's figure, else the delivered length: a second, if none can be read."""
        said = vendor_cents(evidence.submit, "cost")
        if said is not None or not evidence.is_final:
            return said
        return round_up(inputs["rate"] * evidence.measured.get("seconds", Fraction(1)))


def _references(body: dict[str, Any]) -> int:
    """Return how many reference images there are; raise InvalidRequest for one that is none."""
    given = {name: each for name, each in body.items() if name.startswith("input_image")}
    for name, each in given.items():
        if each is not None and not isinstance(each, str):
            raise InvalidRequest(f"{name} must be an image in base64, or its address.")
    return sum(1 for each in given.values() if each)


def _job_id(answer: Any) -> str | None:
    found = answer.get("id") if isinstance(answer, dict) else None
    return found if isinstance(found, str) and re.fullmatch(r"[!-~]{1,200}", found) else None


def _ask(route: Route, answer: Any, account: Account) -> Ask | None:
    """Return where this job is polled: the regional URL that BFL gave, if it is BFL's."""
    given = answer.get("polling_url")
    if isinstance(given, str) and len(given) <= 1000 and route.vendor.may_sign(given):
        return Ask(given)
    return None


WORDS = {
    "ready": Verdict.DONE,
    "request moderated": Verdict.MODERATED,
    "content moderated": Verdict.MODERATED,
    "error": Verdict.FAILED,
    "failed": Verdict.FAILED,
    "task not found": Verdict.MISSING,
}


def _judge(said: Said) -> Judged | None:
    """Return what a poll's answer means; BFL says "Task not found" with a 404 (or a 200).

    A job that is ready, and has nothing to show for it, has failed.
    """
    status = said.object.get("status")
    if said.status not in (200, 404) or not isinstance(status, str):
        return None
    verdict = WORDS.get(status.strip().lower())
    if verdict is Verdict.DONE and not said.object.get("result"):
        return Judged(Verdict.FAILED)
    if verdict is not None:
        return Judged(verdict)
    return Judged(Verdict.RUNNING) if said.status == 200 else None


def _pending(job_id: str) -> dict[str, Any]:
    return {"id": job_id, "status": "Pending", "result": None, "progress": None}


def _failed(job_id: str, why: str) -> dict[str, Any]:
    return {"id": job_id, "status": "Error", "result": None, "details": {"reason": why}}


def _results(answer: Any) -> Iterable[str]:
    result = answer.get("result") if isinstance(answer, dict) else None
    sample = result.get("sample") if isinstance(result, dict) else None
    return [sample] if isinstance(sample, str) else []


def _rewrite(answer: Any, polling_url: str) -> Any:
    return {**answer, "polling_url": polling_url}


def _reply(answer: Any) -> Any:
    """Return a poll's answer for clients that know only `Pending`: BFL has newer words for it.

    And they open what is `Ready`.
    """
    if isinstance(answer, dict) and answer.get("status") in ("Reasoning", "Generating"):
        return {**answer, "status": "Pending"}
    if isinstance(answer, dict) and answer.get("status") == "Ready" and not answer.get("result"):
        return {**answer, "status": "Error"}
    return answer


def _says(body: Any) -> str:
    """Return the sentence of an error body: `detail` is a text, or a list of fields (FastAPI)."""
    detail = body.get("detail") if isinstance(body, dict) else None
    if isinstance(detail, list):
        found = [item for item in detail if isinstance(item, dict)]
        return "; ".join(
            f"{'.'.join(str(part) for part in item.get('loc', [])[1:])}: {item.get('msg', '')}"
            for item in found
            if isinstance(item.get("loc", []), list)
        )
    return detail if isinstance(detail, str) else ""


def _submit(
    path: str, upstream: str, title: str, price: Price, job: Job | None = None, **more: Any
) -> Operation:
    return Operation(
        "POST",
        f"bfl/{path}",
        upstream,
        price,
        Kind.SUBMIT,
        job=job or IMAGE,
        timeout_seconds=300,
        price_version=VERSION,
        title=f"BFL {title}",
        **more,
    )


def _image(model: str, title: str, price: Price) -> Operation:
    return _submit(f"{model}/generate", f"/v1/{model}", title, price)


def _tool(name: str, title: str, price: Price, job: Job | None = None, **more: Any) -> Operation:
    return _submit(f"v1/flux-tools/{name}", f"/v1/flux-tools/{name}", title, price, job, **more)


def _by_pixels(name: str, title: str, price: ByInputPixels) -> Operation:
    return _tool(
        name, title, price, measures=(Input(price.image, _address(price.image), "pixels"),)
    )


def _address(name: str) -> Callable[[Asked], list[Any]]:
    """Return how an image is read that is an address: base64 tells its pixels by itself."""
    return lambda asked: [
        one for one in file_at(name)(asked) if isinstance(one, str) and one.startswith("http")
    ]


IMAGE = Job(
    poll="bfl/v1/get_result",
    job_id=_job_id,
    judge=_judge,
    pending=_pending,
    failed=_failed,
    results=_results,
    ask=_ask,
    rewrite=_rewrite,
    interval_seconds=1.0,
    deadline_seconds=30 * 60,
    kept_seconds=24 * 3600,
)
VIDEO = replace(IMAGE, measured="seconds", interval_seconds=2.0, deadline_seconds=3 * 3600)

BFL = Vendor(
    name="bfl",
    display="Black Forest Labs",
    base_url="https://api.bfl.ai",
    hosts=("bfl.ai",),
    along={"image": PLAIN},
    credential=Header("x-key"),
    operations=(
        _image("flux-pro-1.1-ultra", "Flux 1.1 [pro] Ultra", Flat(usd("0.06"))),
        _image("flux-pro-1.1", "Flux 1.1 [pro]", Flat(usd("0.04"))),
        _image("flux-kontext-pro", "Flux.1 Kontext [pro]", Flat(usd("0.04"))),
        _image("flux-kontext-max", "Flux.1 Kontext [max]", Flat(usd("0.08"))),
        _image("flux-pro-1.0-fill", "Flux.1 Fill [pro]", Flat(usd("0.05"))),
        _image("flux-pro-1.0-expand", "Flux.1 Expand [pro]", Flat(usd("0.05"))),
        _image("flux-pro-1.0-canny", "Flux.1 Canny [pro]", Flat(usd("0.05"))),
        _image("flux-pro-1.0-depth", "Flux.1 Depth [pro]", Flat(usd("0.05"))),
        _image("flux-2-pro", "Flux.2 [pro]", Flux2(first=usd("0.03"), further=usd("0.015"))),
        _image("flux-2-max", "Flux.2 [max]", Flux2(first=usd("0.07"), further=usd("0.03"))),
        _submit("v1/flux-3-video", "/v1/flux-3-video", "Flux 3 Video", Flux3Video(), VIDEO),
        _by_pixels(
            "erase-v1", "Flux Erase", ByInputPixels("image", usd("0.03"), usd("0.004"), usd("0.06"))
        ),
        _by_pixels(
            "vto-v1",
            "Flux Virtual Try-On",
            ByInputPixels("person", usd("0.0375"), usd("0.005"), usd("0.075")),
        ),
        _tool(
            "video-upscale-v1",
            "Flux Video Upscale",
            VideoUpscale(),
            VIDEO,
            measures=(Input("input_video", file_at("input_video")),),
        ),
        Operation(
            "GET",
            "bfl/v1/get_result",
            "/v1/get_result",
            kind=Kind.POLL,
            names=Named("query", "id"),
            reply=_reply,
            timeout_seconds=60,
        ),
    ),
    says=_says,
)
