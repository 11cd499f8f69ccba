"""The page about one's own data: what is kept, all of it as a file, and how one leaves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

from allauth.account.decorators import reauthentication_required
from asgiref.sync import sync_to_async
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext
from django.views.decorators.http import require_POST, require_safe

from accounts import doors, leaving
from common.drf import base_url
from common.errors import PlatformError
from credits.books import lots
from credits.models import Lot
from privacy import deletion, exports

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from typing import IO

    from django.http import HttpRequest

BLOCK_BYTES = 256 << 10


@require_safe
@login_required
def privacy(request: HttpRequest) -> HttpResponse:
    """Show what is kept, one's archives, and how one's deletion stands."""
    user: Any = request.user
    asked = deletion.of(user.pk)
    person = leaving.gather(user)
    left = [lots.contents(each) for each in person.workspaces]
    shown = {
        "kept": settings.RETENTION_DAYS,
        "books_years": settings.BOOKS_YEARS,
        "grace_days": settings.DELETION_GRACE_DAYS,
        "uploads_hours": settings.UPLOADS_HOURS,
        "archives": exports.of(user.pk),
        "deletion": asked,
        "blocked": deletion.in_the_way(asked) if asked else {},
        "paid_left": sum(each.left(Lot.Kind.PAID) for each in left),
        "granted_left": sum(each.left(Lot.Kind.GRANTED) for each in left),
        "teams": leaving.teams_in_the_way(user.pk),
    }
    return render(request, "privacy/privacy.html", shown)


@require_POST
@login_required
def ask_archive(request: HttpRequest) -> HttpResponse:
    """Have an archive be made."""
    user: Any = request.user
    return _done(
        request,
        lambda: exports.ask(user.pk, base_url=base_url(request)),
        gettext("The archive is being made. A mail says when it is ready."),
    )


@require_safe
@login_required
@reauthentication_required  # type: ignore[untyped-decorator]
def archive(request: HttpRequest, export_id: UUID) -> Any:
    """Give an archive to its owner, who has just signed in again."""
    user: Any = request.user
    try:
        found, file = exports.opened(user.pk, export_id)
    except PlatformError as refusal:
        return doors.refused(request, refusal, title=gettext("There is no such archive"))
    return StreamingHttpResponse(
        _blocks(file),
        content_type="application/zip",
        headers={
            "Content-Disposition": f'attachment; filename="archive-{found.asked_at:%Y-%m-%d}.zip"',
            "Content-Length": str(found.size_bytes),
        },
    )


@require_POST
@login_required
def ask_deletion(request: HttpRequest) -> HttpResponse:
    """Ask to be deleted: a mail asks whether it was them."""
    user: Any = request.user
    gives_up = request.POST.get("gives_up") == "yes"
    return _done(
        request,
        lambda: deletion.ask(user, base_url=base_url(request), gives_up=gives_up),
        gettext("A mail to %(email)s has the link by which you confirm it.")
        % {"email": user.email},
    )


@require_POST
@login_required
def stay(request: HttpRequest) -> HttpResponse:
    """Stay after all."""
    user: Any = request.user
    asked = deletion.of(user.pk)
    if asked is None:
        return redirect("privacy")
    return _done(
        request, lambda: deletion.cancel(asked.pk), gettext("You stay. Your keys work again.")
    )


def _done(request: HttpRequest, act: Any, sentence: str) -> HttpResponse:
    """Do it, and say on the page what came of it."""
    try:
        act()
    except PlatformError as refusal:
        messages.error(request, str(refusal))
    else:
        messages.success(request, sentence)
    return redirect("privacy")


async def _blocks(file: IO[bytes]) -> AsyncIterator[bytes]:
    """Send a file as its client takes it."""
    try:
        while block := await sync_to_async(file.read)(BLOCK_BYTES):
            yield block
    finally:
        await sync_to_async(file.close)()
