"""Endpoints by their owner's hand: made, changed, rotated, tried out, removed; what was sent there.

A secret is shown by who makes or rotates it, and never again. The one for addresses that runs name
can be read, for there is nobody to whom it could be shown when it is made.
"""

from __future__ import annotations

import logging
import uuid
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext

from audit import log as audit
from common import ratelimits, sealing
from common.errors import InvalidRequest, NotFound
from webhooks import addresses, events, sending, signing
from webhooks.models import TEST, TYPES, Delivery, Endpoint

if TYPE_CHECKING:
    from collections.abc import Collection
    from uuid import UUID

log = logging.getLogger(__name__)

MOST: Final = 20
OVERLAP: Final = timedelta(hours=24)
"""So long both secrets sign."""
MOST_LISTED: Final = 200
MADE_AN_HOUR: Final = 60
"""For each, a name is looked up while somebody waits."""
TRIED_AN_HOUR: Final = 60
RESENT_AN_HOUR: Final = 1000


def of(workspace_id: UUID) -> list[Endpoint]:
    """Return the endpoints of a workspace, oldest first."""
    own = Endpoint.objects.filter(workspace_id=workspace_id).exclude(url="")
    return list(own.order_by("created_at", "id")[:MOST])


def one(workspace_id: UUID, endpoint_id: UUID, *, locked: bool = False) -> Endpoint:
    """Return one; raise NotFound: another's is as if it were not there."""
    rows = Endpoint.objects.select_for_update() if locked else Endpoint.objects.all()
    found = rows.filter(pk=endpoint_id, workspace_id=workspace_id).first()
    if found is None:
        raise NotFound(gettext("There is no such webhook."))
    return found


def make(
    workspace_id: UUID, *, url: str, types: Collection[str], name: str, by: UUID
) -> tuple[Endpoint, str]:
    """Make one; return it with its secret, for the only time.

    Raises InvalidWebhookUrl, RateLimited, or InvalidRequest for types that there are not, and
    beyond MOST.
    """
    told = _types(types)
    _take("made", workspace_id, MADE_AN_HOUR)
    whole = addresses.require_reachable(url)
    secret = signing.new_secret()
    with transaction.atomic():
        # All that makes one here waits for the row that each workspace has but once.
        Endpoint.objects.select_for_update().get(pk=events.for_runs(workspace_id).pk)
        if Endpoint.objects.filter(workspace_id=workspace_id).exclude(url="").count() >= MOST:
            raise InvalidRequest(
                gettext("A workspace has at most %(most)s webhooks. Remove one.") % {"most": MOST}
            )
        made = Endpoint.objects.create(
            workspace_id=workspace_id,
            url=whole,
            name=name,
            events=told,
            secret=signing.seal(secret),
        )
        audit.note(
            "webhook.made",
            actor=by,
            workspace=workspace_id,
            target=made.pk,
            after={"events": told},
        )
    made.refresh_from_db()
    return made, secret


def change(
    workspace_id: UUID,
    endpoint_id: UUID,
    *,
    by: UUID,
    types: Collection[str] | None = None,
    on: bool | None = None,
) -> Endpoint:
    """Have one be told other things, or switch it on or off; what is not said stays.

    What waits when it is switched off is given up.
    """
    told = None if types is None else _types(types)
    with transaction.atomic():
        found = one(workspace_id, endpoint_id, locked=True)
        before = {"events": found.events, "on": found.off_at is None}
        if told is not None:
            found.events = told
        if on is True and found.off_at is not None:
            found.off_at, found.off_reason, found.failing_since = None, "", None
            found.told_at = None
        elif on is False and found.off_at is None:
            found.off_at = timezone.now()
            sending.give_up(found.pk, because="The endpoint is off.")
        found.save()
        audit.note(
            "webhook.changed",
            actor=by,
            workspace=workspace_id,
            target=found.pk,
            before=before,
            after={"events": found.events, "on": found.off_at is None},
        )
    return found


@transaction.atomic
def rotate(workspace_id: UUID, endpoint_id: UUID, *, by: UUID) -> tuple[Endpoint, str]:
    """Give one another secret, and return it for the only time; the old one signs for OVERLAP more.

    Of three in a row, the first signs no more.
    """
    found, secret = one(workspace_id, endpoint_id, locked=True), signing.new_secret()
    found.old_secret, found.old_secret_until = found.secret, timezone.now() + OVERLAP
    found.secret = signing.seal(secret)
    found.save(update_fields=["secret", "old_secret", "old_secret_until"])
    audit.note("webhook.rotated", actor=by, workspace=workspace_id, target=found.pk)
    return found, secret


def reseal() -> int:
    """Have every secret sealed by the newest pepper; return how many endpoints had an older one."""
    return sealing.reseal(Endpoint.objects.all(), "secret", "old_secret", purpose=signing.PURPOSE)


@transaction.atomic
def remove(workspace_id: UUID, endpoint_id: UUID, *, by: UUID) -> None:
    """Take one away, with what waits for it and the list of what was sent."""
    found = one(workspace_id, endpoint_id, locked=True)
    if not found.url:
        raise InvalidRequest(gettext("This stands for the addresses that runs name, and stays."))
    found.delete()
    audit.note("webhook.removed", actor=by, workspace=workspace_id, target=endpoint_id)


@transaction.atomic
def try_out(workspace_id: UUID, endpoint_id: UUID, *, by: UUID) -> Delivery:
    """Have a message sent that tells of nothing; raises RateLimited."""
    _take("tried", workspace_id, TRIED_AN_HOUR)
    found = one(workspace_id, endpoint_id, locked=True)
    if not found.url:
        raise InvalidRequest(gettext("This has no address: runs name theirs."))
    if found.off_at is not None:
        raise InvalidRequest(gettext("The webhook is off. Switch it on first."))
    made = Delivery.objects.create(
        endpoint=found,
        key=f"test:{uuid.uuid4()}",
        type=TEST,
        body=events.message(TEST, {"endpoint_id": str(found.pk)}),
    )
    audit.note("webhook.tried", actor=by, workspace=workspace_id, target=found.pk)
    return made


def sent(workspace_id: UUID, endpoint_id: UUID) -> list[Delivery]:
    """Return what was sent to one, or waits, newest first."""
    found = one(workspace_id, endpoint_id)
    return list(found.deliveries.order_by("-created_at", "id")[:MOST_LISTED])


def of_delivery(workspace_id: UUID, delivery_id: UUID) -> UUID:
    """Return to which one a message was sent; raise NotFound for another's."""
    mine = Delivery.objects.filter(pk=delivery_id, endpoint__workspace_id=workspace_id)
    found = mine.values_list("endpoint_id", flat=True).first()
    if found is None:
        raise NotFound(gettext("There is no such message."))
    return found


def of_runs(workspace_id: UUID) -> Endpoint | None:
    """Return what stands for the addresses that runs name, if a run named one."""
    return Endpoint.objects.filter(workspace_id=workspace_id, url="").first()


@transaction.atomic
def resend(workspace_id: UUID, delivery_id: UUID, *, by: UUID) -> Delivery:
    """Send a message once more, now, under its own id; one that waits is only hurried.

    Raises NotFound for another's, InvalidRequest where its endpoint is off, and RateLimited.
    """
    _take("resent", workspace_id, RESENT_AN_HOUR)
    mine = Delivery.objects.filter(pk=delivery_id, endpoint__workspace_id=workspace_id)
    found = mine.select_related("endpoint").first()
    if found is None:
        raise NotFound(gettext("There is no such message."))
    if one(workspace_id, found.endpoint_id, locked=True).off_at is not None:
        raise InvalidRequest(gettext("The webhook is off. Switch it on first."))
    mine.update(next_try_at=Now(), delivered_at=None)
    audit.note("webhook.resent", actor=by, workspace=workspace_id, target=delivery_id)
    found.refresh_from_db()
    return found


def secret_for_runs(workspace_id: UUID) -> str:
    """Return what signs messages to addresses that runs of a workspace name.

    One that no pepper opens any more signs nothing: then it is another from now on.
    """
    found = events.for_runs(workspace_id)
    try:
        return signing.unseal(found.secret)
    except signing.Unreadable:
        sealed = signing.seal(signing.new_secret())
        Endpoint.objects.filter(pk=found.pk, secret=found.secret).update(secret=sealed)
        return signing.unseal(events.for_runs(workspace_id).secret)


def _take(what: str, workspace_id: UUID, most: int) -> None:
    ratelimits.take(f"webhook-{what}", str(workspace_id), most=most, seconds=3600)


def _types(given: Collection[str]) -> list[str]:
    unknown = sorted(set(given) - set(TYPES))
    if unknown or not given:
        raise InvalidRequest(
            gettext("events: at least one of %(types)s.") % {"types": ", ".join(TYPES)}
        )
    return [each for each in TYPES if each in given]
