"""The vendors: with which of them we have a contract, and whether it is them that we ask."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings

from common.errors import ProviderDisabled
from config.doctor.verdicts import Verdict, failed, ok, warning
from proxy.vendors import catalogue

if TYPE_CHECKING:
    from collections.abc import Iterator

    from proxy.catalogue import Vendor


def look() -> Iterator[Verdict]:
    """Say for each vendor whether it can be called."""
    vendors = list(catalogue().vendors.values())
    for vendor in vendors:
        yield from _of(vendor)
    if all(map(_problem, vendors)):
        sentence = "None has a credential: there is nothing to call, and nothing to sell."
        yield failed("vendors", sentence, "Set the VENDOR_... of those you have contracts with.")
    if settings.SANDBOX_OPERATIONS:
        sentence = "SANDBOX_OPERATIONS is on: members can call, and pay for, what is none."
        yield warning("vendors", sentence, "Set SANDBOX_OPERATIONS=0 where members are real.")


def _of(vendor: Vendor) -> Iterator[Verdict]:
    check, prefix = f"vendor {vendor.name}", f"VENDOR_{vendor.name.upper()}_"
    given = {n: v for n, v in settings.VENDOR_SETTINGS.items() if n.startswith(prefix) and v}
    for name, value in given.items():
        if "replace-this" in value or value != value.strip():
            sentence = f"{name} is an example's, or has blanks around it: the vendor refuses us."
            yield failed(check, sentence, f"Put into {name} what the vendor gave you.")
            return
    if problem := _problem(vendor):
        if any(not name.endswith("_BASE_URL") for name in given):
            yield failed(check, problem, f"Look at your {prefix}... again (.env.example).")
            return
        sentence = f"{vendor.display} is switched off: it has no credential here."
        yield warning(check, sentence, f"Set {prefix}... (.env.example) if you have a contract.")
    elif vendor.address() != vendor.base_url.rstrip("/"):
        sentence = f"{vendor.display} is asked at {vendor.address()}, not at its own address."
        yield warning(check, sentence, f"Unset VENDOR_BASE_URL and {prefix}BASE_URL.")
    else:
        yield ok(check, f"{vendor.display} has a credential.")


def _problem(vendor: Vendor) -> str:
    """Return why a vendor cannot be called with what is set; empty if it can."""
    try:
        vendor.account()
    except ProviderDisabled as problem:
        return str(problem)
    return ""
