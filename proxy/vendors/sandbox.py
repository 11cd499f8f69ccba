"""The sandbox's own operations: what the vendors that we have do not do yet, for tests and trials.

In the catalogue only where `SANDBOX_OPERATIONS` is on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from common.money import Micros, usd
from proxy.catalogue import Kind, Operation, Vendor
from proxy.pricing import Flat, Quote, whole

if TYPE_CHECKING:
    from fractions import Fraction

VERSION = "sandbox-1"


@dataclass(frozen=True, slots=True)
class PerUnit:
    """By what the vendor reports: `usage.units`; at most `most_units` of the request."""

    unit: Micros
    reads_body: bool = True
    reads_answer: bool = True

    def quote(self, asked: dict[str, Any]) -> Quote:
        """Hold the most units that the request allows."""
        most = whole(asked, "most_units", default=1, least=1, most=1000)
        return Quote(Micros(self.unit * most), {"most_units": most})

    def settle(self, inputs: dict[str, Any], answer: dict[str, Any]) -> Micros | None:
        """Charge the units used."""
        usage = answer.get("usage")
        units = usage.get("units") if isinstance(usage, dict) else None
        return Micros(self.unit * (units if isinstance(units, int) and units >= 0 else 1))

    def measured(self, inputs: dict[str, Any], seconds: Fraction | None) -> Micros:
        """Nothing is left to measure: `settle` always knows."""
        raise AssertionError("priced by its answer")


def _says(body: dict[str, Any]) -> str:
    detail = body.get("detail")
    return detail if isinstance(detail, str) else ""


CENT = Flat(usd("0.01"))
SANDBOX = Vendor(
    name="sandbox",
    display="Sandbox",
    base_url="http://127.0.0.1:9",
    hosts=(),
    credential=lambda key: {"authorization": f"Bearer {key}"},
    operations=(
        Operation("POST", "v1/echo", "/v1/echo", PerUnit(usd("0.001")), price_version=VERSION),
        Operation("POST", "v1/image", "/v1/image", CENT, price_version=VERSION),
        Operation(
            "POST",
            "v1/stream",
            "/v1/stream",
            CENT,
            query=("bytes", "seconds"),
            price_version=VERSION,
        ),
        Operation("POST", "v1/free", "/v1/echo", kind=Kind.FREE),
        Operation("POST", "v1/lines", "/v1/lines", CENT, price_version=VERSION),
        Operation("POST", "v1/upload", "/v1/upload", CENT, json_body=False, price_version=VERSION),
    ),
    says=_says,
)
