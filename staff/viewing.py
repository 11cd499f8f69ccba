"""Looking at a member's pages as they see them: to read, for a while, and known to the member.

Who looks stays themselves; their session names the member, and this middleware alone gives a
request below /my/ to the member's eyes. It holds these rules for every page there is, and will be:

- nothing but GET and HEAD is answered, and in a transaction that the database lets write nothing;
- nothing but the pages below /my/: no page of security, no API, nothing that shows a secret;
- it ends by a button, after SECONDS, and with the right to it.

Both ends are in the audit log, under the member: they read them on their page of security.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction
from django.http import HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse

from accounts import teams
from audit import log
from common import db, ids
from common.errors import AccessDisabled, InvalidRequest, NotFound
from desk import roles
from desk.roles import Right
from staff import customers
from staff.pages import About, act, click, who
from usage import sums

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.http import HttpRequest, HttpResponseBase

    from accounts.models import User

SESSION_KEY: Final = "viewing"
"""Where the session of somebody of staff names whom they look as."""
SECONDS: Final = 15 * 60
SEEN: Final = "/my/"
OWN: Final = ("/staff/", "/static/")
"""Where who looks is themselves meanwhile."""
SAFE: Final = frozenset({"GET", "HEAD"})
READ_ONLY: Final = "You look as a member: nothing can be changed. Stop looking first."
NOT_SHOWN: Final = "You look as a member: of theirs only the pages below /my/ are shown."
BY_ITSELF: Final = frozenset(("X-Api-Key", "Authorization"))
"""Headers of what shows who it is with each request."""


@dataclass(frozen=True, slots=True)
class Viewing:
    """Who is looked as, for which workspace, and until when (seconds since 1970)."""

    member: User
    workspace_id: UUID
    until: float

    @property
    def minutes(self) -> int:
        """How many are left, a part of one counted whole."""
        return max(1, -int(-(self.until - time.time()) // 60))


class AsMember:
    """Has who looks as a member see the member's pages, and do nothing there."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer the request: as the member where it is to be shown, refused where it is not."""
        # What asks by key or token has no session, whatever cookies come along: none is read.
        has_none = settings.SESSION_COOKIE_NAME not in request.COOKIES
        if has_none or request.path.startswith(OWN) or not BY_ITSELF.isdisjoint(request.headers):
            return self._get_response(request)
        if SESSION_KEY not in request.session or request.path == reverse("account_logout"):
            return self._get_response(request)
        viewing = _of(request)
        if viewing is None:
            _end(request, why="its time was over, or its right")
            return redirect("staff:home")
        if request.method not in SAFE:
            return _refused(request, viewing, READ_ONLY)
        if not request.path.startswith(SEEN):
            return _refused(request, viewing, NOT_SHOWN)
        return self._seen(request, viewing)

    def _seen(self, request: HttpRequest, viewing: Viewing) -> HttpResponseBase:
        sums.catch_up(viewing.workspace_id)
        request.user = viewing.member
        request.viewing = viewing  # type: ignore[attr-defined]  # For sessions.of, and the frame.
        with transaction.atomic(), sums.as_they_are():
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION READ ONLY")
            answer = self._get_response(request)
            transaction.set_rollback(True)
        return answer

    def process_exception(
        self, request: HttpRequest, exception: Exception
    ) -> HttpResponseBase | None:
        """Say that a page is not shown which would have written something."""
        viewing = getattr(request, "viewing", None)
        if viewing is None or not db.is_read_only(exception):
            return None
        return _refused(request, viewing, READ_ONLY)


def _of(request: HttpRequest) -> Viewing | None:
    """Return whom the session names, if who looks may still, and the member is still there."""
    told: Any = request.session[SESSION_KEY]
    member, workspace = ids.read(told.get("member")), ids.read(told.get("workspace"))
    if member is None or workspace is None or told.get("until", 0) <= time.time():
        return None
    if Right.HELP not in roles.rights(request.user):
        return None
    try:
        found = _person(workspace, member)
    except NotFound:
        return None
    return Viewing(found, workspace, told["until"]) if _may_be_seen(found) else None


def _person(workspace_id: UUID, user_id: UUID) -> User:
    """Return somebody of a customer, or raise NotFound."""
    seat = teams.members(workspace_id).filter(user_id=user_id).first()
    if seat is None:
        raise NotFound("Nobody of that customer has this id.")
    return seat.user


def _may_be_seen(member: User) -> bool:
    return member.is_active and not member.is_staff


def _refused(request: HttpRequest, viewing: Viewing, sentence: str) -> HttpResponse:
    refusal = AccessDisabled(sentence)
    if request.path.startswith(SEEN) or "text/html" in request.headers.get("Accept", ""):
        shown = {"viewing": viewing, "sentence": sentence}
        return render(request, "staff/viewing_refused.html", shown, status=refusal.status)
    return JsonResponse(refusal.body_at(request.path), status=refusal.status)


def _end(request: HttpRequest, *, why: str) -> bool:
    told: Any = request.session.pop(SESSION_KEY, None)
    if told is None:
        return False
    log.note(
        "member.view_ended",
        actor=who(request),
        subject=ids.read(told.get("member")),
        workspace=ids.read(told.get("workspace")),
        reason=why,
    )
    return True


# --- Beginning and ending -----------------------------------------------------------------------


def about_member(workspace_id: UUID, user_id: UUID) -> About:
    """Return who is meant, of which customer."""
    about = customers.about(workspace_id)
    person = _person(workspace_id, user_id)
    return About(about.name, about.back, [("Person", person.email)])


@act(
    Right.HELP, title="Look as a member", button="Look", about=about_member,
    lead="You read their pages as they do, for a quarter of an hour, and change nothing. They see "
    "on their page of security that you did, and why.",
)  # fmt: skip
def view_as(
    request: HttpRequest, given: dict[str, Any], workspace_id: UUID, user_id: UUID
) -> HttpResponse:
    """Have who asks see the member's pages from now on."""
    if not _may_be_seen(_person(workspace_id, user_id)):
        raise InvalidRequest("Nobody looks as who is of staff, or is deactivated.")
    _end(request, why="another member is looked at")
    with transaction.atomic():
        log.note(
            "member.viewed",
            actor=who(request),
            subject=user_id,
            workspace=workspace_id,
            after={"seconds": SECONDS},
            reason=given["reason"],
        )
    request.session[SESSION_KEY] = {
        "member": str(user_id),
        "workspace": str(workspace_id),
        "until": time.time() + SECONDS,
    }
    return redirect("home")


@click(Right.HELP, back="staff:home")
def stop_viewing(request: HttpRequest) -> str:
    """Have who asks be themselves again everywhere."""
    ended = _end(request, why="who looked ended it")
    return "You are yourself again." if ended else "You looked as nobody."
