"""The sandbox's own operations: what the vendors that we have do not do yet, for tests and trials.

In the catalogue only where `SANDBOX_OPERATIONS` is on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from common.money import Micros, usd
from proxy.catalogue import Gives, Kind, Operation, Takes, Vendor
from proxy.credentials import bearer
from proxy.dialect import Judged, Verdict
from proxy.pricing import Flat, Quote, whole

if TYPE_CHECKING:
    from proxy.asked import Asked, Evidence

VERSION = "sandbox-1"


@dataclass(frozen=True, slots=True)
class PerUnit:
    """By what the vendor reports: `usage.units`; at most `most_units` of the request."""

    unit: Micros
    fits_wallet: bool = False

    async def quote(self, asked: Asked) -> Quote:
        """Hold the most units that the request allows."""
        most = whole(asked.body, "most_units", default=1, least=1, most=1000)
        return Quote(Micros(self.unit * most), {"most_units": most})

    def settle(self, inputs: dict[str, Any], evidence: Evidence) -> Micros | None:
        """Charge the units used."""
        usage = evidence.end.get("usage") if isinstance(evidence.end, dict) else None
        units = usage.get("units") if isinstance(usage, dict) else None
        return Micros(self.unit * (units if isinstance(units, int) and units >= 0 else 1))


def _says(body: Any) -> str:
    detail = body.get("detail") if isinstance(body, dict) else None
    return detail if isinstance(detail, str) else ""


def _judge_line(line: Any) -> Judged | None:
    """Return what a line means: there are ten, and one may say what is wrong."""
    if not isinstance(line, dict):
        return Judged(Verdict.UNKNOWN)
    if "error" in line:
        return Judged(Verdict.REJECTED, f"{line['error']}")
    return Judged(Verdict.DONE) if line.get("line") == 9 else None


CENT = Flat(usd("0.01"))
SANDBOX = Vendor(
    name="sandbox",
    display="Sandbox",
    base_url="http://127.0.0.1:9",
    credential=bearer(),
    operations=(
        Operation(
            "POST", "sandbox/v1/echo", "/v1/echo", PerUnit(usd("0.001")), price_version=VERSION
        ),
        Operation(
            "POST", "sandbox/v1/image", "/v1/image", CENT, gives=Gives.BYTES, price_version=VERSION
        ),
        Operation(
            "POST",
            "sandbox/v1/stream",
            "/v1/stream",
            CENT,
            gives=Gives.BYTES,
            query=("bytes", "seconds"),
            price_version=VERSION,
        ),
        Operation("POST", "sandbox/v1/free", "/v1/echo", kind=Kind.FREE),
        Operation(
            "POST",
            "sandbox/v1/lines",
            "/v1/lines",
            CENT,
            gives=Gives.LINES,
            judge_line=_judge_line,
            price_version=VERSION,
        ),
        Operation(
            "POST",
            "sandbox/v1/upload",
            "/v1/upload",
            CENT,
            takes=Takes.STREAM,
            gives=Gives.BYTES,
            price_version=VERSION,
        ),
    ),
    says=_says,
)
