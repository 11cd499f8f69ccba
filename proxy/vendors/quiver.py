"""Quiver AI: drawings as SVG, in the answer itself. One price for a drawing, by the model.

The vendor would stream, or draw several: both have no price. Its errors have a word in `code`.
Source: its own package for JavaScript, 0.4.4. Prices: the nodes' of August 2026.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from common.errors import InvalidRequest
from common.money import usd
from proxy.along import Inside
from proxy.catalogue import Operation, Vendor
from proxy.credentials import bearer
from proxy.dialect import DELIVERING, Judged, Verdict
from proxy.pricing.shapes import Ruled, known, model_of, one_only, only
from proxy.vendors.states import text_at, there

if TYPE_CHECKING:
    from proxy.asked import Asked
    from proxy.dialect import Said
    from proxy.pricing import Quote

VERSION = "quiver-2026-08"
MODELS = {
    "arrow-1.1": usd("0.286"),
    "arrow-1.1-max": usd("0.3575"),
    "arrow-preview": usd("0.429"),
}
FIELDS = (
    "model", "prompt", "instructions", "references", "image", "auto_crop", "target_size",
    "temperature", "top_p", "presence_penalty", "max_output_tokens", "n", "stream",
)  # fmt: skip
OPERATOR = re.compile(r"credit|weekly_limit|frozen|api_key|unauthori[sz]ed|forbidden", re.I)
CODE, SAYS = text_at("code"), text_at("message")


def price(asked: Asked) -> Quote:
    """Price one drawing by its model."""
    only(asked.body, FIELDS)
    one_only(asked.body)
    if asked.body.get("stream"):
        raise InvalidRequest("stream has no price here. Please leave it out.")
    model = model_of(asked.body, MODELS)
    return known(MODELS[model], model=model)


def _judge(said: Said) -> Judged | None:
    if said.status in DELIVERING:
        return None
    return Judged(Verdict.OPERATOR) if OPERATOR.search(CODE(said.json)) else None


def _draw(path: str, title: str) -> Operation:
    return Operation(
        "POST",
        f"quiver/v1/svgs/{path}",
        f"/v1/svgs/{path}",
        Ruled(price),
        delivers=there("data[].svg"),
        price_version=VERSION,
        title=f"Quiver {title}",
    )


QUIVER = Vendor(
    name="quiver",
    display="Quiver AI",
    base_url="https://api.quiver.ai",
    credential=bearer(),
    operations=(_draw("generations", "Text to SVG"), _draw("vectorizations", "Image to SVG")),
    along={"image": Inside({"url": "base64"})},
    judge=_judge,
    says=SAYS,
)
