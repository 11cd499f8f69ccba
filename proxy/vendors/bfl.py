"""Black Forest Labs: FLUX images and videos. Every operation is a job; the key goes in `x-key`.

Prices: the nodes' published ones, of January 2026, and of August 2026 for what came later. A
submit answers an absolute `polling_url` on a regional host, which clients fetch without any
credential: we hand out one of ours instead (contract 6.4). `cost` in the submit answer is the
vendor's price in cents.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from common.money import Micros, round_up, usd
from proxy import measure
from proxy.catalogue import JobShape, Kind, Operation, Vendor
from proxy.pricing import Flat, Price, Quote, choice, vendor_cents, whole

if TYPE_CHECKING:
    from proxy.catalogue import Route

VERSION = "bfl-2026-08"
IMAGE_SECONDS = 30 * 60
VIDEO_SECONDS = 3 * 3600


@dataclass(frozen=True, slots=True)
class Flux2:
    """FLUX.2: by output megapixels, and by reference images, counted when the vendor says.

    Held with four megapixels for each reference image, the size that the node scales it to;
    settled by `cost`, or with one megapixel for each where the answer has none.
    """

    first: Micros
    further: Micros
    reads_body: bool = True
    reads_answer: bool = True

    def quote(self, asked: dict[str, Any]) -> Quote:
        """Price the output exactly, and each reference image at its largest."""
        width = whole(asked, "width", default=1024, least=1, most=8192)
        height = whole(asked, "height", default=768, least=1, most=8192)
        references = sum(
            1 for name, value in asked.items() if name.startswith("input_image") and value
        )
        output = math.ceil(Fraction(width * height, measure.MEGAPIXEL))
        base = self.first + self.further * (max(1, output) - 1)
        inputs = {"width": width, "height": height, "reference_images": references, "base": base}
        return Quote(Micros(base + 4 * self.further * references), inputs)

    def settle(self, inputs: dict[str, Any], answer: dict[str, Any]) -> Micros | None:
        """Return the exact price without references, else the vendor's figure."""
        if not inputs["reference_images"]:
            return Micros(inputs["base"])
        said = vendor_cents(answer, "cost")
        if said is not None:
            return said
        return Micros(inputs["base"] + self.further * inputs["reference_images"])

    def measured(self, inputs: dict[str, Any], seconds: Fraction | None) -> Micros:
        """Nothing is left to measure: `settle` always knows."""
        raise AssertionError("FLUX.2 is priced by its answer")


@dataclass(frozen=True, slots=True)
class Flux3Video:
    """FLUX 3 video: by second, resolution and mode; `auto` lets the model choose the length."""

    LONGEST_AUTO = 20
    SHORTEST_AUTO = 5
    reads_body: bool = True
    reads_answer: bool = False

    def quote(self, asked: dict[str, Any]) -> Quote:
        """Price a length in seconds exactly, and `auto` at the longest."""
        mode = choice(asked, "mode", default="t2v", among=("t2v", "i2v", "v2v"))
        resolution = choice(asked, "resolution", default="hd", among=("hd", "fhd"))
        rates = (
            {"hd": "0.5863", "fhd": "0.7579"}
            if mode == "v2v"
            else {"hd": "0.2431", "fhd": "0.4147"}
        )
        rate = usd(rates[resolution])
        inputs: dict[str, Any] = {"mode": mode, "resolution": resolution, "rate": rate}
        duration = asked.get("duration")
        if duration is None or str(duration).lower() == "auto":
            return Quote(Micros(rate * self.LONGEST_AUTO), {**inputs, "seconds": "auto"})
        seconds = whole(asked, "duration", default=5, least=1, most=60)
        return Quote(Micros(rate * seconds), {**inputs, "seconds": seconds})

    def settle(self, inputs: dict[str, Any], answer: dict[str, Any]) -> Micros | None:
        """Return the price of a stated length; an `auto` one is measured at the end."""
        if inputs["seconds"] == "auto":
            return None
        return Micros(inputs["rate"] * inputs["seconds"])

    def measured(self, inputs: dict[str, Any], seconds: Fraction | None) -> Micros:
        """Charge the delivered length; the shortest there is, if it cannot be read."""
        return round_up(inputs["rate"] * (seconds or Fraction(self.SHORTEST_AUTO)))


@dataclass(frozen=True, slots=True)
class ByInputPixels:
    """A FLUX tool: by the megapixels of one input image, up to the top of its price range."""

    image: str
    first: Micros
    further: Micros
    most: Micros
    reads_body: bool = True
    reads_answer: bool = False

    def quote(self, asked: dict[str, Any]) -> Quote:
        """Measure the image; the price follows exactly."""
        size = measure.megapixels(self.image, asked.get(self.image))
        price = round_up(self.first + self.further * max(Fraction(0), size - 1))
        amount = min(price, self.most)
        return Quote(Micros(amount), {"megapixels": round(float(size), 4), "price": amount})

    def settle(self, inputs: dict[str, Any], answer: dict[str, Any]) -> Micros | None:
        """Return the quoted price."""
        return Micros(inputs["price"])

    def measured(self, inputs: dict[str, Any], seconds: Fraction | None) -> Micros:
        """Return the quoted price."""
        return Micros(inputs["price"])


@dataclass(frozen=True, slots=True)
class VideoUpscale:
    """Video upscaling: by second of the video, which is as long as what comes out of it.

    The length of the input is not known before: held at the longest. Settled by the vendor's
    `cost`, or by the length of the delivered file.
    """

    LONGEST_SECONDS = 120
    reads_body: bool = True
    reads_answer: bool = True

    def quote(self, asked: dict[str, Any]) -> Quote:
        """Hold the longest video at the top of the range (4K output)."""
        creativity = whole(asked, "creativity", default=1, least=0, most=1)
        rate = usd("1.188") if creativity else usd("0.848")
        inputs = {"creativity": creativity, "rate": rate}
        return Quote(Micros(rate * self.LONGEST_SECONDS), inputs)

    def settle(self, inputs: dict[str, Any], answer: dict[str, Any]) -> Micros | None:
        """Return the vendor's figure, if it gave one."""
        return vendor_cents(answer, "cost")

    def measured(self, inputs: dict[str, Any], seconds: Fraction | None) -> Micros:
        """Charge the delivered length; one second, if it cannot be read."""
        return round_up(inputs["rate"] * (seconds or Fraction(1)))


def _job_id(answer: dict[str, Any]) -> str | None:
    found = answer.get("id")
    return found if isinstance(found, str) and re.fullmatch(r"[!-~]{1,200}", found) else None


def _poll_url(route: Route, answer: dict[str, Any]) -> str:
    """Return where this job is polled: the regional URL that BFL gave, if it is BFL's."""
    given = answer.get("polling_url")
    if isinstance(given, str) and len(given) <= 1000 and route.vendor.owns(given):
        return given
    return f"{route.vendor.address()}/v1/get_result?id={answer['id']}"


def _outcome(answer: dict[str, Any]) -> str | None:
    return {
        "ready": "delivered",
        "request moderated": "moderated",
        "content moderated": "moderated",
        "error": "failed",
        "failed": "failed",
        "task not found": "failed",
    }.get(str(answer.get("status", "")).strip().lower())


def _pending(job_id: str) -> dict[str, Any]:
    return {"id": job_id, "status": "Pending", "result": None, "progress": None}


def _result_url(answer: dict[str, Any]) -> str | None:
    result = answer.get("result")
    sample = result.get("sample") if isinstance(result, dict) else None
    return sample if isinstance(sample, str) else None


def _rewrite(answer: dict[str, Any], polling_url: str) -> dict[str, Any]:
    return {**answer, "polling_url": polling_url}


def _says(body: dict[str, Any]) -> str:
    """Return the sentence of an error body: `detail` is a text, or a list of fields (FastAPI)."""
    detail = body.get("detail")
    if isinstance(detail, list):
        found = [item for item in detail if isinstance(item, dict)]
        return "; ".join(
            f"{'.'.join(str(part) for part in item.get('loc', [])[1:])}: {item.get('msg', '')}"
            for item in found
        )
    return detail if isinstance(detail, str) else ""


def _submit(
    path: str, upstream: str, title: str, price: Price, deadline: int = IMAGE_SECONDS
) -> Operation:
    return Operation(
        "POST",
        path,
        upstream,
        price,
        Kind.SUBMIT,
        timeout_seconds=300,
        deadline_seconds=deadline,
        price_version=VERSION,
        title=f"BFL {title}",
    )


def _image(model: str, title: str, price: Price) -> Operation:
    return _submit(f"{model}/generate", f"/v1/{model}", title, price)


def _tool(name: str, title: str, price: Price, deadline: int = IMAGE_SECONDS) -> Operation:
    return _submit(f"v1/flux-tools/{name}", f"/v1/flux-tools/{name}", title, price, deadline)


BFL = Vendor(
    name="bfl",
    display="Black Forest Labs",
    base_url="https://api.bfl.ai",
    hosts=("bfl.ai",),
    credential=lambda key: {"x-key": key},
    operations=(
        _image("flux-pro-1.1-ultra", "Flux 1.1 [pro] Ultra", Flat(usd("0.06"))),
        _image("flux-kontext-pro", "Flux.1 Kontext [pro]", Flat(usd("0.04"))),
        _image("flux-kontext-max", "Flux.1 Kontext [max]", Flat(usd("0.08"))),
        _image("flux-pro-1.0-fill", "Flux.1 Fill [pro]", Flat(usd("0.05"))),
        _image("flux-pro-1.0-expand", "Flux.1 Expand [pro]", Flat(usd("0.05"))),
        _image("flux-2-pro", "Flux.2 [pro]", Flux2(first=usd("0.03"), further=usd("0.015"))),
        _image("flux-2-max", "Flux.2 [max]", Flux2(first=usd("0.07"), further=usd("0.03"))),
        _submit("v1/flux-3-video", "/v1/flux-3-video", "Flux 3 Video", Flux3Video(), VIDEO_SECONDS),
        _tool(
            "erase-v1", "Flux Erase", ByInputPixels("image", usd("0.03"), usd("0.004"), usd("0.06"))
        ),
        _tool(
            "vto-v1",
            "Flux Virtual Try-On",
            ByInputPixels("person", usd("0.0375"), usd("0.005"), usd("0.075")),
        ),
        _tool("video-upscale-v1", "Flux Video Upscale", VideoUpscale(), VIDEO_SECONDS),
        Operation("GET", "v1/get_result", "/v1/get_result", kind=Kind.POLL, timeout_seconds=60),
    ),
    job=JobShape(_job_id, _poll_url, _outcome, _pending, _result_url, _rewrite),
    says=_says,
)
