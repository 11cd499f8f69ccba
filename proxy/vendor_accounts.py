"""Accounts with vendors, as staff and owners write them. Nobody reads their secrets back.

Each change is one transaction: the row, what was done in the audit log (without a secret), and a
new revision, by which every process sees it within seconds (vault.py). Writers wait for each other
at the revision: so two at once make one row, and who reads a revision finds all that was before.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.db import connection, transaction
from django.utils import timezone

from audit import log
from common import sealing
from common.errors import InvalidRequest, NotFound, PlatformError
from credits.books import reasons
from proxy import vault
from proxy.credentials import DEFAULT, Account, account_of, settings_of
from proxy.models import Job, VendorAccount
from proxy.vendors import catalogue

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime
    from uuid import UUID

    from proxy.catalogue import Vendor
    from proxy.credentials import Scheme

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
MOST_WEIGHT = 1000
SECRET_LIMIT = 20_000
NOT_TO_BRING = frozenset({"CREDENTIALS"})
"""Settings that a member does not give: a file's place, and an address that gives tokens."""

REVISE = """
    INSERT INTO proxy_vendorrevision (id, number) VALUES (1, 1)
        ON CONFLICT (id) DO UPDATE SET number = proxy_vendorrevision.number + 1
"""
ROUSE = "DELETE FROM shared_cache WHERE key = %s"


class JobsRunning(PlatformError):
    """What is to be removed still has jobs at the vendor that only it can ask for."""

    code = "jobs_running"
    status = 409


@dataclass(frozen=True, slots=True)
class Shown:
    """An account as anybody may see it: nothing of its secrets."""

    vendor: str
    name: str
    weight: int
    is_on: bool
    off_reason: str
    settings: tuple[str, ...]
    """The names of what it holds."""
    changed_at: datetime | None
    running_jobs: int = 0


# --- The operator's -----------------------------------------------------------------------------


@transaction.atomic
def add(vendor_name: str, name: str, given: Mapping[str, str], *, by: UUID, reason: str) -> bool:
    """Have an account of that name with these settings; False if it was there, and has new ones.

    Under the same name it is the same account at the vendor, with another key: jobs go on.
    """
    vendor, reason = vendor_of(vendor_name), reasons.given(reason, to="This")
    if not NAME.fullmatch(name) or name in (DEFAULT, vault.OWN):
        raise InvalidRequest(
            "An account's name is of a-z, 0-9, - and _, like second; default is the environment's, "
            "and own a workspace's."
        )
    settings = _checked(vendor, given)
    revise()
    found, is_new = VendorAccount.objects.update_or_create(
        vendor=vendor.name,
        name=name,
        workspace_id=None,
        defaults={
            "sealed": vault.sealed(settings),
            "changed_by": by,
            "changed_at": timezone.now(),
            "removed_at": None,
        },
    )
    _note("added" if is_new else "renewed", found, by, reason, after={"settings": sorted(settings)})
    return is_new


@transaction.atomic
def remove(vendor_name: str, name: str, *, by: UUID, reason: str, abandon: bool = False) -> int:
    """Take an account and its secrets away; return how many jobs run under it.

    Those cannot be asked for any more: so it needs `abandon`, else JobsRunning is raised. Nothing
    is charged for them.
    """
    reason = reasons.given(reason, to="This")
    revise()
    found = _written(vendor_name, name)
    if name == DEFAULT:
        raise InvalidRequest("The environment's account goes with its settings: unset them.")
    return _remove(found, by=by, reason=reason, abandon=abandon)


@transaction.atomic
def weigh(vendor_name: str, name: str, weight: int, *, by: UUID, reason: str) -> None:
    """Give an account a share of the calls, against the weights of the others."""
    reason = reasons.given(reason, to="This")
    if not 1 <= weight <= MOST_WEIGHT:
        raise InvalidRequest(f"A weight is from 1 to {MOST_WEIGHT}; to give it none, disable it.")
    revise()
    found = _written(vendor_name, name, by=by)
    before, found.weight = found.weight, weight
    _save(found, by, "weight")
    _note("weighed", found, by, reason, before={"weight": before}, after={"weight": weight})


@transaction.atomic
def disable(vendor_name: str, name: str, *, by: UUID, reason: str) -> bool:
    """Give an account no new calls, and say why; what was begun under it goes on there."""
    reason = reasons.given(reason, to="This")
    revise()
    found = _written(vendor_name, name, by=by)
    was_on, found.off_reason = not found.off_reason, reason
    _save(found, by, "off_reason")
    _note("disabled", found, by, reason)
    return was_on


@transaction.atomic
def enable(vendor_name: str, name: str, *, by: UUID, reason: str) -> bool:
    """Give it calls again; False if it has them."""
    reason = reasons.given(reason, to="This")
    revise()
    found = _written(vendor_name, name, by=by)
    was_off, found.off_reason = bool(found.off_reason), ""
    _save(found, by, "off_reason")
    _note("enabled", found, by, reason)
    return was_off


def shown(vendor_name: str = "") -> list[Shown]:
    """Return the operator's accounts, those of the environment among them."""
    vendors = [vendor_of(vendor_name)] if vendor_name else list(catalogue().vendors.values())
    rows = VendorAccount.objects.filter(workspace_id=None, removed_at=None)
    written = {(row.vendor, row.name): row for row in rows.order_by("vendor", "name")}
    found = []
    for vendor in vendors:
        default = _environments(vendor)
        if default.settings:
            row = written.get((vendor.name, DEFAULT))
            found.append(_shown(row, default.settings) if row else _plain(vendor, default.settings))
        found += [
            _shown(row, vault.names(row.sealed, vendor=row.vendor, name=row.name))
            for (named, name), row in written.items()
            if named == vendor.name and name != DEFAULT
        ]
    return found


def settings_for(vendor_name: str) -> list[str]:
    """Return the names of the settings that an account with a vendor may hold."""
    vendor = vendor_of(vendor_name)
    return sorted({name for scheme in _schemes(vendor) for name in settings_of(scheme)})


def read_settings(text: str) -> dict[str, str]:
    """Read settings: lines of NAME=value, or one JSON object of texts. Raises InvalidRequest."""
    if text.lstrip().startswith("{"):
        try:
            found = json.loads(text)
        except ValueError:
            raise InvalidRequest("This is no JSON that can be read.") from None
        if all(isinstance(value, str) for value in found.values()):
            return dict(found)
        raise InvalidRequest("Each setting is a text; of a key file, the whole file as one text.")
    lines = [line.partition("=") for line in text.splitlines() if line.strip()]
    if not lines or any(not sign for _, sign, _ in lines):
        raise InvalidRequest("Settings are lines like KEY=..., or one JSON object.")
    return {name.strip(): value.strip() for name, _, value in lines}


# --- A workspace's own --------------------------------------------------------------------------


@transaction.atomic
def bring(workspace_id: UUID, vendor_name: str, given: Mapping[str, str], *, by: UUID) -> bool:
    """Have a workspace's calls of a vendor go under its own account; False if it had one.

    From then on they cost the stated fee, and never go under the operator's.
    """
    vendor = vendor_of(vendor_name)
    if refused := sorted(NOT_TO_BRING & set(given)):
        raise InvalidRequest(f"settings: {', '.join(refused)} cannot be given for a workspace.")
    settings = _checked(vendor, given)
    revise()
    found, is_new = VendorAccount.objects.update_or_create(
        vendor=vendor.name,
        workspace_id=workspace_id,
        defaults={
            "name": vault.OWN,
            "sealed": vault.sealed(settings),
            "changed_by": by,
            "changed_at": timezone.now(),
            "removed_at": None,
        },
    )
    _note("added" if is_new else "renewed", found, by, "", after={"settings": sorted(settings)})
    return is_new


@transaction.atomic
def take_away(workspace_id: UUID, vendor_name: str, *, by: UUID, abandon: bool = False) -> int:
    """Remove it with its secrets; raises as `remove` does. New calls cost their price again."""
    revise()
    return _remove(_own(workspace_id, vendor_name), by=by, reason="", abandon=abandon)


def own(workspace_id: UUID, vendor_name: str) -> Shown:
    """Return what may be seen of a workspace's own account; raise NotFound if it has none."""
    found = _own(workspace_id, vendor_name)
    return _shown(found, vault.names(found.sealed, vendor=found.vendor, name=found.name))


def reseal() -> int:
    """Have every secret sealed by the newest pepper; return how many were not."""
    newest, changed = sealing.newest(), 0
    old = VendorAccount.objects.exclude(sealed="").exclude(sealed__startswith=newest)
    for pk in list(old.values_list("pk", flat=True)):
        with transaction.atomic():
            revise()
            found = VendorAccount.objects.select_for_update().filter(pk=pk).first()
            if found and found.sealed and not found.sealed.startswith(newest):
                text = sealing.unseal(found.sealed, purpose=vault.PURPOSE)
                found.sealed = sealing.seal(text, purpose=vault.PURPOSE)
                found.save(update_fields=["sealed"])
                changed += 1
    return changed


# --- Parts --------------------------------------------------------------------------------------


def revise() -> None:
    """Take this change's turn, and have all processes read anew once it is committed.

    None rests any more: somebody has mended something, and all are tried anew.
    """
    with connection.cursor() as cursor:
        cursor.execute(REVISE)
        cursor.execute(ROUSE, [vault.RESTING])


def vendor_of(name: str) -> Vendor:
    """Return a vendor of the catalogue, or raise NotFound."""
    found = catalogue().vendors.get(name)
    if found is None:
        raise NotFound(f"There is no vendor {name[:100]}.")
    return found


def _schemes(vendor: Vendor) -> list[Scheme]:
    own = [each.credential for each in vendor.operations if each.credential is not None]
    return [vendor.credential, *own]


def _checked(vendor: Vendor, given: Mapping[str, str]) -> dict[str, str]:
    """Return settings by which something of the vendor can be signed, or raise InvalidRequest."""
    known = sorted({name for scheme in _schemes(vendor) for name in settings_of(scheme)})
    if unknown := sorted(set(given) - set(known)):
        raise InvalidRequest(
            f"settings: {vendor.display} has no {', '.join(unknown)[:200]}, but {', '.join(known)}."
        )
    settings = {name: value.strip() for name, value in given.items() if value.strip()}
    for name, value in settings.items():
        # A header takes no line break; a key file's JSON has them, and goes into none.
        if len(value) > SECRET_LIMIT or (name != "CREDENTIALS" and not _goes_into_a_header(value)):
            raise InvalidRequest(f"settings: {name} is too long, or holds what no key does.")
    if not any(_signs(scheme, vendor, settings) for scheme in _schemes(vendor)):
        raise InvalidRequest(
            f"settings: {vendor.display} needs more of {', '.join(known)} to be called."
        )
    return settings


def _goes_into_a_header(value: str) -> bool:
    return value.isascii() and value.isprintable()


def _signs(scheme: Scheme, vendor: Vendor, settings: dict[str, str]) -> bool:
    own = {name: value for name, value in settings.items() if name in settings_of(scheme)}
    return not scheme.problem(Account(vendor.name, own, frozenset(scheme.public)))


def _written(vendor_name: str, name: str, *, by: UUID | None = None) -> VendorAccount:
    """Return an account's row; of the environment's one is made by who says something of it."""
    vendor = vendor_of(vendor_name)
    rows = VendorAccount.objects.filter(vendor=vendor.name, name=name, workspace_id=None)
    found = rows.filter(removed_at=None).first()
    if found is None and name == DEFAULT and by is not None:
        return VendorAccount(vendor=vendor.name, name=DEFAULT, changed_by=by)
    if found is None:
        raise NotFound(f"{vendor.display} has no account {name[:100]} here.")
    return found


def _own(workspace_id: UUID, vendor_name: str) -> VendorAccount:
    vendor = vendor_of(vendor_name)
    found = VendorAccount.objects.filter(
        vendor=vendor.name, workspace_id=workspace_id, removed_at=None
    ).first()
    if found is None:
        raise NotFound(f"This workspace has no account of its own with {vendor.display}.")
    return found


def _remove(found: VendorAccount, *, by: UUID, reason: str, abandon: bool) -> int:
    running = _running(found)
    if running and not abandon:
        raise JobsRunning(
            f"{running} {'job runs' if running == 1 else 'jobs run'} under this account, and no "
            "other can ask for them: their results would be lost, and cost nothing here. Wait "
            "until they have ended, or abandon them."
        )
    found.sealed, found.removed_at = "", timezone.now()
    _save(found, by, "sealed", "removed_at")
    _note("removed", found, by, reason, after={"abandoned_jobs": running})
    return running


def _running(row: VendorAccount) -> int:
    jobs = Job.objects.filter(vendor=row.vendor, account=row.name, ended_at=None)
    if row.workspace_id is not None:
        jobs = jobs.filter(workspace_id=row.workspace_id)
    return jobs.count()


def _save(row: VendorAccount, by: UUID, *fields: str) -> None:
    row.changed_by, row.changed_at = by, timezone.now()
    if row.pk is None:
        row.save()
    else:
        row.save(update_fields=[*fields, "changed_by", "changed_at"])


def _note(
    what: str,
    row: VendorAccount,
    by: UUID,
    reason: str,
    *,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
) -> None:
    log.note(
        f"vendor_account.{what}",
        actor=by,
        workspace=row.workspace_id,
        target=f"{row.vendor}/{row.name}",
        before=before,
        after=after,
        reason=reason,
    )


def _environments(vendor: Vendor) -> Account:
    """Return all that the environment holds for a vendor."""
    names: Iterable[str] = {name for scheme in _schemes(vendor) for name in settings_of(scheme)}
    return account_of(vendor.name, tuple(sorted(names)), ())


def _plain(vendor: Vendor, settings: Mapping[str, str]) -> Shown:
    names = tuple(sorted(settings))
    return Shown(
        vendor.name, DEFAULT, 100, is_on=True, off_reason="", settings=names, changed_at=None
    )


def _shown(row: VendorAccount, settings: Iterable[str]) -> Shown:
    return Shown(
        vendor=row.vendor,
        name=row.name,
        weight=row.weight,
        is_on=not row.off_reason,
        off_reason=row.off_reason,
        settings=tuple(sorted(settings)),
        changed_at=row.changed_at,
        running_jobs=_running(row),
    )
