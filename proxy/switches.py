"""Vendors and operations that staff switched off, with the sentence that members read.

New calls are refused everywhere within seconds (vault.py), before anything is held; what was begun
goes on: its polls, its results, its end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import transaction
from django.utils import timezone

from audit import log
from common.errors import InvalidRequest
from credits.books import reasons
from proxy import vendor_accounts
from proxy.models import VendorSwitch

if TYPE_CHECKING:
    from uuid import UUID


@transaction.atomic
def switch_off(vendor_name: str, path: str, sentence: str, *, by: UUID) -> None:
    """Refuse new calls of a vendor, or of one operation, with that sentence; jobs go on."""
    vendor, sentence = (
        vendor_accounts.vendor_of(vendor_name),
        reasons.given(sentence, to="What members read"),
    )
    if path and all(each.path != path for each in vendor.operations):
        raise InvalidRequest(f"{vendor.name} has no operation {path[:200]}.")
    vendor_accounts.revise()
    VendorSwitch.objects.update_or_create(
        vendor=vendor.name,
        operation=path,
        defaults={"sentence": sentence, "changed_by": by, "changed_at": timezone.now()},
    )
    log.note("vendor.switched_off", actor=by, target=path or vendor.name, reason=sentence)


@transaction.atomic
def switch_on(vendor_name: str, path: str, *, by: UUID, reason: str) -> bool:
    """Serve it again; False if it was not off."""
    vendor, reason = vendor_accounts.vendor_of(vendor_name), reasons.given(reason, to="This")
    vendor_accounts.revise()
    gone, _ = VendorSwitch.objects.filter(vendor=vendor.name, operation=path).delete()
    if gone:
        log.note("vendor.switched_on", actor=by, target=path or vendor.name, reason=reason)
    return bool(gone)
