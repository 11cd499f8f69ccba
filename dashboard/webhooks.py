"""Webhooks: to whom a workspace's happenings are told, and what was told them.

For who sees all of a workspace: its owner and billing. A secret stands in one answer, to the form
that made it, and never again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from django import forms
from django.contrib import messages
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import teams
from common.errors import AccessDisabled, InvalidRequest, PlatformError
from dashboard.forms import Form
from dashboard.shell import page
from dashboard.words import event_word
from webhooks import endpoints
from webhooks.models import TYPES

if TYPE_CHECKING:
    from uuid import UUID

    from django.http import HttpRequest, HttpResponse

    from accounts.sessions import Session

ON_A_PAGE: Final = 50


class EventsForm(Form):
    """What an endpoint is told."""

    types = forms.MultipleChoiceField(
        label=gettext_lazy("Tell it when"), widget=forms.CheckboxSelectMultiple
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        offered: Any = self.fields["types"]
        offered.choices = [(each, event_word(each)) for each in TYPES]


class EndpointForm(EventsForm):
    """Where to, and what of."""

    url = forms.CharField(
        label=gettext_lazy("Address"),
        max_length=2000,
        help_text=gettext_lazy("Of your program, public, by https."),
        widget=forms.URLInput({"autocomplete": "off", "placeholder": "https://"}),
    )
    name = forms.CharField(
        label=gettext_lazy("Name"),
        max_length=100,
        required=False,
        help_text=gettext_lazy("So that you know it again."),
        widget=forms.TextInput({"autocomplete": "off"}),
    )
    field_order = ("url", "name", "types")


@require_safe
@page
def webhooks(request: HttpRequest, session: Session) -> HttpResponse:
    """Show the endpoints of the workspace."""
    _require_all(session)
    context = {
        "endpoints": endpoints.of(session.workspace_id),
        "of_runs": endpoints.of_runs(session.workspace_id),
    }
    return render(request, "dashboard/webhooks.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@page
def new(request: HttpRequest, session: Session) -> HttpResponse:
    """Make one, and show its secret for the only time."""
    _require_all(session)
    form = EndpointForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        given = form.cleaned_data
        try:
            made, secret = endpoints.make(
                session.workspace_id,
                url=given["url"],
                types=given["types"],
                name=given["name"],
                by=session.user.pk,
            )
        except PlatformError as refusal:
            form.refuse(refusal)
        else:
            context = {"one": made, "secret": secret}
            return render(request, "dashboard/webhook_made.html", context)
    return render(request, "dashboard/webhook_new.html", {"form": form}, status=form.status)


@require_http_methods(["GET", "HEAD", "POST"])
@page
def webhook(request: HttpRequest, session: Session, endpoint_id: UUID) -> HttpResponse:
    """Show one, with what was sent there; change what it is told."""
    _require_all(session)
    found = endpoints.one(session.workspace_id, endpoint_id)
    form = EventsForm(request.POST or None, initial={"types": found.events})
    if request.method == "POST" and form.is_valid():
        try:
            endpoints.change(
                session.workspace_id,
                endpoint_id,
                by=session.user.pk,
                types=form.cleaned_data["types"],
            )
        except PlatformError as refusal:
            form.refuse(refusal)
        else:
            messages.success(request, _("It is told so from the next event on."))
            return redirect("webhook", endpoint_id)
    context = {
        "one": found,
        "form": form,
        "sent": endpoints.sent(session.workspace_id, endpoint_id)[:ON_A_PAGE],
        "most": ON_A_PAGE,
    }
    return render(request, "dashboard/webhook.html", context, status=form.status)


@require_POST
@page
def rotate(request: HttpRequest, session: Session, endpoint_id: UUID) -> HttpResponse:
    """Give one another secret, and show that for the only time."""
    _require_all(session)
    found, secret = endpoints.rotate(session.workspace_id, endpoint_id, by=session.user.pk)
    context = {"one": found, "secret": secret, "is_new": True}
    return render(request, "dashboard/webhook_made.html", context)


@require_POST
@page
def switch(request: HttpRequest, session: Session, endpoint_id: UUID) -> HttpResponse:
    """Switch one on, or off."""
    _require_all(session)
    endpoints.one(session.workspace_id, endpoint_id)
    wanted = request.POST.get("on")
    if wanted not in ("yes", "no"):
        raise InvalidRequest(_("On, or off?"))
    endpoints.change(session.workspace_id, endpoint_id, by=session.user.pk, on=wanted == "yes")
    if wanted == "yes":
        messages.success(request, _("It is on: what happens from now on is told there."))
    else:
        messages.success(request, _("It is off: what waited is not sent any more."))
    return redirect("webhook", endpoint_id)


@require_POST
@page
def try_out(request: HttpRequest, session: Session, endpoint_id: UUID) -> HttpResponse:
    """Have a message sent that tells of nothing."""
    _require_all(session)
    try:
        endpoints.try_out(session.workspace_id, endpoint_id, by=session.user.pk)
    except InvalidRequest as refusal:
        messages.error(request, str(refusal))
    else:
        messages.success(request, _("A test is on its way. Look again in a moment."))
    return redirect("webhook", endpoint_id)


@require_POST
@page
def remove(request: HttpRequest, session: Session, endpoint_id: UUID) -> HttpResponse:
    """Take one away, with the list of what was sent."""
    _require_all(session)
    endpoints.remove(session.workspace_id, endpoint_id, by=session.user.pk)
    messages.success(request, _("The webhook is removed."))
    return redirect("webhooks")


@require_POST
@page
def resend(request: HttpRequest, session: Session, delivery_id: UUID) -> HttpResponse:
    """Send a message once more."""
    _require_all(session)
    endpoint_id = endpoints.of_delivery(session.workspace_id, delivery_id)
    try:
        endpoints.resend(session.workspace_id, delivery_id, by=session.user.pk)
    except InvalidRequest as refusal:
        messages.error(request, str(refusal))
    else:
        messages.success(request, _("It is sent again, under the same id."))
    return redirect("webhook", endpoint_id)


def _require_all(session: Session) -> None:
    """Raise AccessDisabled for who sees only what is their own."""
    if session.role not in teams.SEES:
        raise AccessDisabled(_("Webhooks tell of the whole workspace: they are its owner's."))
