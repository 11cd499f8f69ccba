"""What FLUX costs: the nodes' published prices of January 2026; of August for what came later."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from common.errors import InvalidRequest
from common.money import Micros, round_up, usd
from proxy import measure
from proxy.pricing import Quote, choice, vendor_cents, whole
from proxy.pricing.shapes import longest, one_only

if TYPE_CHECKING:
    from proxy.asked import Asked, Evidence


VERSION = "bfl-2026-08"


@dataclass(frozen=True, slots=True)
class Flux2:
    """FLUX.2: by output megapixels, and by reference images, counted when the vendor says.

    Held with four megapixels for each reference image, the size that the node scales it to;
    settled by `cost`, or with one megapixel for each where the answer has none.
    """

    first: Micros
    further: Micros
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
