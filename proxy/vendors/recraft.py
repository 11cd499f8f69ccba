"""Recraft: pictures, vector drawings, edits, styles; all of it answered at once.

The vendor's own spelling of the paths differs from the clients'. An error is often plain text. A
style of one's own may be a vector style, which costs twice as much: held so, and settled by the
`credits` of the answer (a thousandth of a dollar each), of which a raster picture takes 40.
Prices: the nodes' published ones of August 2026. A background is replaced at the price of each
picture, which the node shows as that of one run. Source: the vendor's pages.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from common.money import Micros, usd
from proxy.catalogue import PUBLIC, Operation, Takes, Vendor
from proxy.credentials import bearer
from proxy.dialect import DELIVERING, Judged, Verdict
from proxy.pricing import Quote
from proxy.pricing.shapes import One, Ruled, choice_of, count, known, model_of, one_only, only
from proxy.pricing.tokens import number
from proxy.vendors.states import OUT_OF_CREDIT, text_at, there

if TYPE_CHECKING:
    from collections.abc import Iterable

    from proxy.asked import Asked, Evidence
    from proxy.catalogue import Asset, Use
    from proxy.dialect import Said

VERSION = "recraft-2026-08"
STYLED = "recraftv3"
MODELS = {
    STYLED: usd("0.04"),
    "recraftv4": usd("0.04"),
    "recraftv4_vector": usd("0.08"),
    "recraftv4_pro": usd("0.25"),
    "recraftv4_pro_vector": usd("0.3"),
    "recraftv4_1": usd("0.035"),
    "recraftv4_1_vector": usd("0.08"),
    "recraftv4_1_pro": usd("0.21"),
    "recraftv4_1_pro_vector": usd("0.3"),
    "recraftv4_1_utility_pro": usd("0.21"),
}
RASTER, VECTOR = usd("0.04"), usd("0.08")
RASTER_CREDITS = 40
STYLES = ("realistic_image", "digital_illustration", "vector_illustration", "logo_raster", "any")
FIELDS = (
    "prompt", "negative_prompt", "n", "model", "style", "substyle", "style_id", "size", "strength",
    "controls", "random_seed", "response_format", "image_format",
)  # fmt: skip
CONTROLS = (
    "controls[colors][][rgb][]", "controls[background_color][rgb][]", "controls[no_text]",
    "controls[artistic_level]",
)  # fmt: skip
MOST = 6


@dataclass(frozen=True, slots=True)
class Drawn:
    """A picture by its model; of the third generation by its style, which the answer may tell."""

    fits_wallet: bool = False

    async def quote(self, asked: Asked) -> Quote:
        """Return the price, or with a style of one's own the higher of the two."""
        body = asked.body
        only(body, FIELDS)
        pictures = count(body, "n", least=1, most=MOST, default=1)
        model = STYLED if body.get("model") is None else model_of(body, MODELS)
        price = MODELS[model]
        if model == STYLED and body.get("style_id"):
            return Quote(Micros(VECTOR * pictures), {"model": model, "n": pictures, "own": True})
        if model == STYLED and body.get("style"):
            style = choice_of(body, "style", STYLES)
            price = VECTOR if style == "vector_illustration" else RASTER
        return known(price * pictures, model=model, n=pictures)

    def settle(self, inputs: dict[str, Any], evidence: Evidence) -> Micros | None:
        """Return the price; of an unsaid style that of a raster picture."""
        if "price" in inputs:
            return Micros(inputs["price"])
        if not evidence.is_final:
            return None
        pictures = inputs["n"]
        is_vector = _credits(evidence.end) > RASTER_CREDITS * pictures
        return Micros((VECTOR if is_vector else RASTER) * pictures)

    def least(self, inputs: dict[str, Any]) -> Micros:
        """Return the price of raster pictures, where the style is not said."""
        return Micros(inputs.get("price", RASTER * inputs["n"]))


def _credits(answer: Any) -> int:
    return number(answer.get("credits")) if isinstance(answer, dict) else 0


def _edited(*files: str) -> Ruled:
    """Return the price of pictures made of a picture."""

    def price(asked: Asked) -> Quote:
        """Price the pictures that are made of one, by their number."""
        _check(asked, files)
        if asked.body.get("model") is not None:
            model_of(asked.body, (STYLED,))
        pictures = count(asked.body, "n", least=1, most=MOST, default=1)
        return known(RASTER * pictures, n=pictures)

    return Ruled(price)


def _flat(amount: str, *files: str) -> Ruled:
    def price(asked: Asked) -> Quote:
        """Price one work, always the same."""
        _check(asked, files)
        one_only(asked.body)
        return known(usd(amount))

    return Ruled(price)


def _check(asked: Asked, files: tuple[str, ...]) -> None:
    assert asked.form is not None, "a form was read"
    asked.form.check_files(*files)
    only(asked.body, (*FIELDS, *CONTROLS))


TEXTS = text_at("message", "error", "code", "error.message")


def _says(body: Any) -> str:
    return TEXTS(body)


def _judge(said: Said) -> Judged | None:
    """Return what an error means, which may be a line of plain text."""
    if said.status in DELIVERING:
        return None
    text = said.body[:500].decode(errors="replace")
    return Judged(Verdict.OPERATOR) if OUT_OF_CREDIT.search(text) else None


def _style(asked: Asked) -> Iterable[Use]:
    """Return the style of one's own: another's is nobody's, one of the public library is."""
    found = asked.body.get("style_id")
    named = isinstance(found, str) and re.fullmatch(r"[!-~]{1,200}", found)
    return [("style", f"{found}", PUBLIC)] if named else []


def _made(answer: Any) -> Iterable[Asset]:
    found = answer.get("id") if isinstance(answer, dict) else None
    return [("style", found)] if isinstance(found, str) and 0 < len(found) <= 1000 else []


PICTURES = ("data[].url", "data[].b64_json", "image.url", "image.b64_json")


def _form(path: str, title: str, price: Ruled, *, one_file: bool = False) -> Operation:
    return Operation(
        "POST",
        f"recraft/images/{path}",
        f"/v1/images/{path}",
        price,
        takes=Takes.FORM,
        sends_form=True,
        # Clients have sent the only picture under either name.
        file_names={"image": "file"} if one_file else {},
        repeated=CONTROLS[:2],
        uses=_style,
        delivers=there(*PICTURES),
        price_version=VERSION,
        title=f"Recraft {title}",
    )


ONE = ("file", "image")
RECRAFT = Vendor(
    name="recraft",
    display="Recraft",
    base_url="https://external.api.recraft.ai",
    credential=bearer(),
    operations=(
        Operation(
            "POST",
            "recraft/image_generation",
            "/v1/images/generations",
            Drawn(),
            uses=_style,
            reports=lambda answer: bool(_credits(answer)),
            delivers=there(*PICTURES),
            price_version=VERSION,
            title="Recraft Image",
        ),
        _form("imageToImage", "Image to Image", _edited("image")),
        _form("inpaint", "Inpaint", _edited("image", "mask")),
        _form("replaceBackground", "Replace Background", _edited("image")),
        _form("removeBackground", "Remove Background", _flat("0.01", *ONE), one_file=True),
        _form("vectorize", "Vectorize", _flat("0.01", *ONE), one_file=True),
        _form("crispUpscale", "Crisp Upscale", _flat("0.004", *ONE), one_file=True),
        _form("creativeUpscale", "Creative Upscale", _flat("0.25", *ONE), one_file=True),
        Operation(
            "POST",
            "recraft/styles",
            "/v1/styles",
            One(usd("0.04")),
            takes=Takes.FORM,
            sends_form=True,
            makes=_made,
            delivers=there("id"),
            price_version=VERSION,
            title="Recraft Style",
        ),
    ),
    judge=_judge,
    says=_says,
)
