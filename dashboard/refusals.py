"""Why calls were refused: the limit that decided, what was left of it, and one thing to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from accounts import teams
from common import pages
from dashboard.shell import only, page
from usage import refusals
from usage.refusals import Remedy, Wanted

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

    from accounts.sessions import Session
    from usage.refusals import Refused

ON_A_PAGE: Final = 30


@require_safe
@page
def why(request: HttpRequest, session: Session) -> HttpResponse:
    """Show what was refused lately, the newest first."""
    whose = only(session)
    than = pages.identity(request.GET.get("older") or None)
    found, older = refusals.older(
        session.workspace_id, Wanted(user_id=whose), than=than, limit=ON_A_PAGE
    )
    is_owner = session.role == teams.Role.OWNER
    shown = {
        "rows": [(each, _button(each, is_owner=is_owner)) for each in found],
        "older": pages.sealed(f"{older}") if older else "",
        "is_first": than is None,
        "is_everybodys": whose is None,
    }
    return render(request, "dashboard/refusals.html", shown)


def _button(one: Refused, *, is_owner: bool) -> tuple[str, str] | None:
    """Return the words and the address of what helps; None where nothing but time does."""
    limits = f"{reverse('limits')}"
    match one.remedy:
        case Remedy.ADD_CREDITS:
            return _("Add credits"), reverse("credits")
        case Remedy.RAISE_BUDGET if one.whose == "key" and one.key_id:
            return _("Change the key's limits"), reverse("key_change", args=[one.key_id])
        case Remedy.RAISE_BUDGET:
            return (_("Raise the limit") if is_owner else _("Ask for more")), limits
        case Remedy.CHANGE_KEY if one.key_id:
            return _("Change what the key may"), reverse("key_change", args=[one.key_id])
        case Remedy.ALLOW_VENDOR if is_owner:
            return _("Allow the provider"), reverse("team_vendors")
        case Remedy.WAIT if one.limit == "concurrency":
            return _("See what runs"), reverse("home")
    return None
