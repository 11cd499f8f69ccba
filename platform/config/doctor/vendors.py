"""The vendors: with which of them we have a contract, and whether it is them that we ask."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.conf import settings

from common import sealing
from common.errors import ProviderDisabled
from config.doctor.verdicts import Verdict, failed, ok, warning
from proxy import vault
from proxy.credentials import DEFAULT
from proxy.models import VendorAccount
from proxy.vendors import catalogue

if TYPE_CHECKING:
    from collections.abc import Iterator

    from proxy.catalogue import Operation, Vendor


def look() -> Iterator[Verdict]:
    """Say for each vendor whether it can be called."""
    vendors = list(catalogue().vendors.values())
    for vendor in vendors:
        yield _of(vendor)
    if unknown := sorted(set(settings.VENDOR_SETTINGS) - _known(vendors)):
        sentence = f"No vendor reads {', '.join(unknown)}."
        yield warning("vendors", sentence, "Mistyped? Compare with .env.example; else unset it.")
    if settings.SANDBOX_OPERATIONS:
        sentence = "SANDBOX_OPERATIONS is on: members can call, and pay for, what is none."
        yield warning("vendors", sentence, "Set SANDBOX_OPERATIONS=0 where members are real.")


def look_at_accounts() -> Iterator[Verdict]:
    """Say of the accounts that are written whether they can be opened, and whether any is left."""
    rows = list(VendorAccount.objects.filter(removed_at=None).order_by("vendor", "name"))
    sealed = [row for row in rows if row.sealed]
    closed = [row for row in sealed if not vault.opens(row.sealed)]
    if closed:
        named = ", ".join(dict.fromkeys(_called(row) for row in closed))
        sentence = f"{len(closed)} written accounts cannot be opened, and are not used: {named}."
        mend = "Put back the pepper in KEY_PEPPERS that sealed them, or write them anew."
        yield failed("vendor accounts", sentence, mend)
    old = sum(1 for row in sealed if not row.sealed.startswith(sealing.newest()))
    if old and not closed:
        sentence = f"{old} of {len(sealed)} written accounts are sealed by an older pepper."
        yield warning("vendor accounts", sentence, "A worker seals them anew within the day.")
    elif not closed:
        by = f", sealed by pepper {sealing.newest().rstrip(':')}" if sealed else ""
        yield ok("vendor accounts", f"{len(sealed)} are written{by}.")
    yield from _callable(rows, closed)


def _called(row: VendorAccount) -> str:
    return f"{row.vendor}/{row.name}" + (" (a workspace's)" if row.workspace_id else "")


def _callable(rows: list[VendorAccount], closed: list[VendorAccount]) -> Iterator[Verdict]:
    """Say which vendors have accounts, and can be called under none of them."""
    ours = [row for row in rows if row.workspace_id is None]
    off = {row.vendor for row in ours if row.name == DEFAULT and row.off_reason}
    used = {row.vendor for row in ours if row.sealed and not row.off_reason and row not in closed}
    set_up = {name for name, vendor in catalogue().vendors.items() if not _problem(vendor)}
    for name in sorted(({row.vendor for row in ours} | off) - used - (set_up - off)):
        sentence = "It has accounts, but each is off or cannot be opened: its calls are refused."
        mend = f"manage.py vendor account enable {name} ..., or vendor off {name} with a sentence."
        yield failed(f"vendor {name}", sentence, mend)
    if not used and not set_up - off:
        sentence = "None has a credential: there is nothing to call, and nothing to sell."
        mend = "Set the VENDOR_... of those you have contracts with, or write accounts."
        yield failed("vendors", sentence, mend)


def _of(vendor: Vendor) -> Verdict:
    check, names = f"vendor {vendor.name}", credentials_of(vendor)
    given = {name: value for name in names if (value := settings.VENDOR_SETTINGS.get(name))}
    for name, value in given.items():
        if "replace-this" in value or _has_blanks(value):
            sentence = f"{name} is an example's, or has blanks around it: the vendor refuses us."
            return failed(check, sentence, f"Put into {name} what the vendor gave you.")
    problem = _problem(vendor)
    if problem and given:
        sentence = f"{vendor.display} {problem}"
        return failed(check, sentence, f"Mend {', '.join(given)} (.env.example says how).")
    if problem:
        sentence = f"{vendor.display} has no credential in the environment: it is off, but where an"
        sentence += " account is written."
        return warning(check, sentence, f"If you have a contract, set some of {', '.join(names)}.")
    if vendor.address() != vendor.base_url.rstrip("/"):
        sentence = f"{vendor.display} is asked at {vendor.address()}, not at its own address."
        return warning(check, sentence, f"Unset VENDOR_BASE_URL and {_prefix(vendor)}BASE_URL.")
    if off := [each for each in vendor.operations if _problem(vendor, each)]:
        sentence = f"{len(off)} operations of {vendor.display} cannot be called: each of them"
        return warning(check, f"{sentence} {_problem(vendor, off[0])}", "See its settings.")
    return ok(check, f"{vendor.display} has a credential.")


def _has_blanks(value: str) -> bool:
    """Whether blanks stand around a secret; around the JSON of a key file they do no harm."""
    return value != value.strip() and not value.lstrip().startswith("{")


def _problem(vendor: Vendor, operation: Operation | None = None) -> str:
    """Return why it cannot be called, without its name; empty if it can be."""
    try:
        vendor.account(operation)
    except ProviderDisabled as exc:
        return str(exc).removeprefix(f"{vendor.display} ")
    return ""


def _prefix(vendor: Vendor) -> str:
    return f"VENDOR_{vendor.name.upper()}_"


def credentials_of(vendor: Vendor) -> list[str]:
    """Return the names of all settings that its credentials are made of."""
    schemes = [vendor.credential, *(each.credential for each in vendor.operations)]
    names = {
        name: None
        for scheme in schemes
        if scheme is not None
        for name in (*scheme.required, *scheme.optional, *scheme.public)
    }
    return [_prefix(vendor) + name for name in names]


def _known(vendors: list[Vendor]) -> set[str]:
    addresses = {name for name in settings.VENDOR_SETTINGS if name.endswith("BASE_URL")}
    fees = {f"{_prefix(vendor)}OWN_FEE_MICROS" for vendor in vendors}
    every = {name for vendor in vendors for name in credentials_of(vendor)}
    return {*addresses, *fees, *every, "VENDOR_SANDBOX_KEY"}
