"""Reve: pictures made, edited and remixed; the answer is the picture itself.

A picture that breaks the rules comes as a 200 with a header that says so, and no client is shown
it: nothing is charged. More effort (`test_time_scaling`) multiplies the price, enlarging adds to
it; taking the background away costs nothing more by the node's badge. Prices: of August 2026.
Source: the vendor's own Python package, 0.1.9; what a violation is billed it does not say.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from common.errors import InvalidRequest
from common.money import usd
from proxy.catalogue import Gives, Operation, Vendor
from proxy.credentials import bearer
from proxy.dialect import Judged, Verdict
from proxy.pricing.shapes import Ruled, count, known, model_of, only
from proxy.vendors.states import by_words, text_at, there

if TYPE_CHECKING:
    from collections.abc import Callable

    from proxy.asked import Asked
    from proxy.dialect import Said
    from proxy.pricing import Quote

VERSION = "reve-2026-08"
UPSCALED = {
    "create": {1: "0.03432", 2: "0.0457", 3: "0.0591", 4: "0.0762"},
    "edit": {1: "0.0572", 2: "0.0686", 3: "0.0819", 4: "0.0991"},
}
"""USD by the factor of enlargement; 1: none."""
FAST = usd("0.01001")
VERSIONS = {
    "create": ("reve-create@20250915",),
    "edit": ("reve-edit@20250915", "reve-edit-fast@20251030"),
    "remix": ("reve-remix@20250915", "reve-remix-fast@20251030"),
}
FIELDS = (
    "prompt", "edit_instruction", "reference_image", "reference_images", "aspect_ratio", "version",
    "test_time_scaling", "postprocessing",
)  # fmt: skip
MOST_EFFORT = 15


def _priced(work: str) -> Ruled:
    def price(asked: Asked) -> Quote:
        """Price a picture by version, effort and enlargement."""
        only(asked.body, FIELDS)
        version = model_of(asked.body, VERSIONS[work], "version")
        effort = count(asked.body, "test_time_scaling", least=1, most=MOST_EFFORT, default=1)
        factor = _factor(asked.body.get("postprocessing"))
        table = UPSCALED["create" if work == "create" else "edit"]
        each = FAST if "fast" in version else usd(table[factor])
        return known(each * effort, version=version, effort=effort, factor=factor)

    return Ruled(price)


def _factor(steps: Any) -> int:
    """Return how much a picture is enlarged, at most once."""
    listed = [] if steps is None else steps
    if not isinstance(listed, list) or not all(isinstance(step, dict) for step in listed):
        raise InvalidRequest("postprocessing must be a list of objects.")
    factor = 1
    for step in listed:
        only(step, ("process", "upscale_factor"), "postprocessing")
        match step.get("process"):
            case "upscale" if factor == 1:
                factor = count(step, "upscale_factor", least=2, most=4, default=2)
            case "remove_background":
                pass
            case other:
                named = f"{other!r}"[:100]
                raise InvalidRequest(f"postprocessing has no price here with {named} (again).")
    return factor


def _says_yes(text: str) -> bool:
    return text.strip().lower() in ("true", "1", "yes")


def _judge_head(header: Callable[[bytes], str]) -> Judged | None:
    if _says_yes(header(b"x-reve-content-violation")):
        return Judged(Verdict.MODERATED)
    if code := header(b"x-reve-error-code"):
        return Judged(Verdict.MODERATED if "CONTENT" in code.upper() else Verdict.REJECTED)
    return None


BY_WORDS = by_words(text_at("error_code", "message"))


def _judge(said: Said) -> Judged | None:
    """Return what an answer in JSON means, which is what a client gets that asks for no picture."""
    if said.object.get("content_violation") is True:
        return Judged(Verdict.MODERATED)
    if said.status == 200 and said.object.get("error_code"):
        return Judged(Verdict.REJECTED)
    return BY_WORDS(said)


def _work(work: str) -> Operation:
    return Operation(
        "POST",
        f"reve/v1/image/{work}",
        f"/v1/image/{work}",
        _priced(work),
        gives=Gives.BYTES,
        judge_head=_judge_head,
        delivers=there("image"),
        price_version=VERSION,
        title=f"Reve {work.title()}",
    )


REVE = Vendor(
    name="reve",
    display="Reve",
    base_url="https://api.reve.com",
    credential=bearer(),
    operations=tuple(_work(work) for work in VERSIONS),
    judge=_judge,
    says=text_at("message"),
)
