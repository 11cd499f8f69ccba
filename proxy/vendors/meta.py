"""Meta Muse Image: pictures in base64, charged for each that comes; a refused one is free.

Clients call the model by a shorter name than the vendor does. An edit names its pictures by
address in a JSON, which is the vendor's own form. Source: the vendor's pages on image generation.
Prices: the nodes' of August 2026.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from common.errors import InvalidRequest
from common.money import Micros, usd
from proxy.along import DATA
from proxy.catalogue import Operation, Vendor
from proxy.credentials import bearer
from proxy.pricing import Quote
from proxy.pricing.shapes import count, model_of, only
from proxy.vendors.states import by_words, text_at, there

if TYPE_CHECKING:
    from collections.abc import Mapping

    from proxy.asked import Asked, Evidence

VERSION = "meta-2026-08"
EACH = usd("0.0143")
MODELS = {"muse-image": "muse-image-1.0", "muse-image-1.0": "muse-image-1.0"}
FIELDS = (
    "model", "prompt", "n", "size", "images", "output_format", "output_compression",
    "response_format", "seed", "moderation", "user",
)  # fmt: skip
MOST, MOST_SHOWN = 10, 16


@dataclass(frozen=True, slots=True)
class Pictures:
    """An amount for each picture that comes; for all that were asked where none can be counted."""

    fits_wallet: bool = False

    async def quote(self, asked: Asked) -> Quote:
        """Hold all that were asked."""
        only(asked.body, FIELDS)
        model = model_of(asked.body, MODELS)
        pictures = count(asked.body, "n", least=1, most=MOST, default=1)
        if asked.body.get("moderation") not in (None, "auto"):
            raise InvalidRequest("moderation must be auto: anything else needs a permission.")
        shown = asked.body.get("images")
        if shown is not None and not (isinstance(shown, list) and len(shown) <= MOST_SHOWN):
            raise InvalidRequest(f"images must be a list of at most {MOST_SHOWN}.")
        return Quote(Micros(EACH * pictures), {"model": MODELS[model], "n": pictures})

    def settle(self, inputs: dict[str, Any], evidence: Evidence) -> Micros | None:
        """Return the price of what came."""
        if not evidence.is_final:
            return None
        came = _came(evidence.end)
        return Micros(EACH * min(came or inputs["n"], inputs["n"]))

    def least(self, inputs: dict[str, Any]) -> Micros:
        """Return the price of one picture."""
        return Micros(EACH)


def _came(answer: Any) -> int:
    data = answer.get("data") if isinstance(answer, dict) else None
    return len(data) if isinstance(data, list) else 0


def _prepare(asked: Asked, inputs: Mapping[str, Any]) -> dict[str, Any]:
    return {**asked.body, "model": inputs["model"]}


SAYS = text_at("error.message", "message")


def _work(path: str, title: str) -> Operation:
    return Operation(
        "POST",
        f"meta/v1/images/{path}",
        f"/v1/images/{path}",
        Pictures(),
        prepare=_prepare,
        reports=lambda answer: bool(_came(answer)),
        delivers=there("data[].url", "data[].b64_json"),
        price_version=VERSION,
        title=f"Meta Muse Image {title}",
    )


META = Vendor(
    name="meta",
    display="Meta",
    base_url="https://api.meta.ai",
    credential=bearer(),
    operations=(_work("generations", "Text to Image"), _work("edits", "Edit")),
    along={"image": DATA},
    judge=by_words(SAYS),
    says=SAYS,
)
