"""Which mails somebody gets, and how they leave one out: on their page, or by the mail itself.

What concerns money that moved, a secret that leaked or their being deleted is always told. Of the
others each is as it comes until its reader says otherwise (`User.mails_otherwise`).

    /notices/<32 digits: the person>-<the kind>.<signature>

stands in each mail of theirs (RFC 8058): one request by a mail program leaves them out, and a page
with a button does it for who follows the link. It is good for as long as they are there: it can
only have fewer mails come.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from django.conf import settings
from django.core.signing import BadSignature, Signer
from django.db import transaction
from django.http import HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext, gettext_lazy
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from accounts import doors
from accounts.models import User
from audit import log
from common.errors import NotFound, PlatformError

if TYPE_CHECKING:
    from collections.abc import Collection

    from django.http import HttpRequest
    from django.utils.functional import _StrPromise

FORM: Final = re.compile(r"([0-9a-f]{32})-([a-z_]{1,32})")


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of mails."""

    name: str
    title: _StrPromise
    about: _StrPromise
    comes: bool = True
    """Whether it comes where nobody said otherwise."""


LOW, LIMIT, SUMMARY, WEBHOOK = "low_balance", "limit_reached", "summary", "webhook_off"
OPTIONAL: Final = (
    Kind(
        LOW,
        gettext_lazy("Low balance"),
        gettext_lazy("When what is available falls below the amount that is set on Credits."),
    ),
    Kind(
        LIMIT,
        gettext_lazy("A limit is reached"),
        gettext_lazy("When a budget of yours, or of a workspace of yours, refused a call; daily."),
    ),
    Kind(
        WEBHOOK,
        gettext_lazy("A webhook is off"),
        gettext_lazy("When we send nothing to your program any more, because it did not answer."),
    ),
    Kind(
        SUMMARY,
        gettext_lazy("Monthly summary"),
        gettext_lazy("What was spent in the month before, in each workspace of yours."),
        comes=False,
    ),
)
ALWAYS: Final = (
    Kind("receipts", gettext_lazy("Purchases, refunds, disputes"),
         gettext_lazy("The receipt of what you bought, and what became of your money.")),
    Kind("keys", gettext_lazy("A key was found published"),
         gettext_lazy("It is disabled at once, and you are told where it was found.")),
    Kind("account", gettext_lazy("Your account"),
         gettext_lazy("Codes, changes of how you sign in, invitations, answers to your asks.")),
    Kind("deletion", gettext_lazy("Steps of a deletion"),
         gettext_lazy("That it was asked for, when it happens, and that it is done.")),
)  # fmt: skip
KINDS: Final = {each.name: each for each in OPTIONAL}


def comes(user: User, kind: str) -> bool:
    """Whether somebody gets mails of a kind that may be left out."""
    return KINDS[kind].comes != (kind in user.mails_otherwise)


def wanted(address: str, kind: str) -> bool:
    """Whether whoever reads at that address wants such mails; who is unknown here gets them."""
    user = User.objects.filter(email=address.lower()).first()
    return KINDS[kind].comes if user is None else comes(user, kind)


@transaction.atomic
def choose(user_id: UUID, kinds: Collection[str]) -> None:
    """Have somebody get these of the kinds that may be left out, and no other."""
    _save(_locked(user_id), set(kinds))


@transaction.atomic
def end(user_id: UUID, kind: str) -> None:
    """Have somebody get no more mails of a kind; of the others what they get stays."""
    user = _locked(user_id)
    _save(user, _chosen(user) - {kind})


def _locked(user_id: UUID) -> User:
    return User.objects.select_for_update(no_key=True).get(pk=user_id)


def _chosen(user: User) -> set[str]:
    return {each.name for each in OPTIONAL if comes(user, each.name)}


def _save(user: User, kinds: set[str]) -> None:
    """Write it down, with the person's row locked: who ends two kinds at once ends both."""
    before, after = _chosen(user), kinds & KINDS.keys()
    if before == after:
        return
    otherwise = [each.name for each in OPTIONAL if each.comes != (each.name in kinds)]
    User.objects.filter(pk=user.pk).update(mails_otherwise=otherwise)
    log.note(
        "mails.chosen",
        actor=user.pk,
        subject=user.pk,
        before={"kinds": sorted(before)},
        after={"kinds": sorted(after)},
    )


def leaving(address: str, kind: str) -> str:
    """Return where such mails to an address are left out; nothing where we cannot say."""
    user = User.objects.filter(email=address.lower()).first()
    if user is None or not settings.PUBLIC_URL:
        return ""
    return f"{settings.PUBLIC_URL}/notices/{_signer().sign(f'{user.pk.hex}-{kind}')}"


@csrf_exempt  # A mail program posts; the signature says for whom.
@require_http_methods(["GET", "HEAD", "POST"])
def leave_out(request: HttpRequest, token: str) -> HttpResponse:
    """Show what would be left out; a post does it. Again is fine."""
    try:
        user, kind = _read(token)
    except PlatformError as refusal:
        return doors.refused(request, refusal, title=gettext("There is no such mail"))
    if request.method == "POST":
        end(user.pk, kind.name)
        user.refresh_from_db()
    shown: dict[str, Any] = {"kind": kind, "comes": comes(user, kind.name)}
    return render(request, "accounts/notices.html", shown)


def _read(token: str) -> tuple[User, Kind]:
    """Return for whom a token is, and of which mails. Raises NotFound."""
    try:
        found = FORM.fullmatch(_signer().unsign(token))
    except BadSignature:
        found = None
    user = User.objects.filter(pk=UUID(found[1])).first() if found else None
    if found is None or user is None or found[2] not in KINDS:
        raise NotFound(gettext("Check the address: it may have been cut."))
    return user, KINDS[found[2]]


def _signer() -> Signer:
    return Signer(sep=".", salt="accounts.notices")
