"""Credits: what there is and of what it is made, how more comes in, and what came and went.

Everybody of a workspace sees what there is and may buy more; who pays sees the purchases and the
books; who may change how the workspace pays is told by their role, as for every credential.
"""

from __future__ import annotations

import re
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from allauth.account.decorators import reauthentication_required
from django.contrib import messages
from django.http import StreamingHttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import teams
from apikeys.authentication import scopes_of
from common.drf import base_url
from common.errors import AccessDisabled, InvalidRequest, PlatformError
from common.money import Micros, show
from common.streams import streamed
from credits.books import lots
from credits.gifts import vouchers
from credits.models import RefundAsk
from credits.payments import (
    automatic,
    customers,
    following,
    methods,
    purchases,
    receivables,
    stripe_api,
    tasks,
    topups,
    wanted_back,
)
from credits.statements import files
from dashboard.home import parts
from dashboard.money_forms import AutomaticForm, BackForm, BuyForm, VoucherForm, WarnForm
from dashboard.shell import page
from usage import reports

if TYPE_CHECKING:
    from uuid import UUID

    from django.http import HttpRequest, HttpResponse

    from accounts.sessions import Session

PURCHASES: Final = 10
MOVES: Final = 20
PAGE: Final = re.compile(r"[1-9][0-9]{0,5}")
NUMBER: Final = re.compile(r"[0-9]{1,18}")


@require_safe
@page
def credits_page(request: HttpRequest, session: Session) -> HttpResponse:
    """Show it, with the forms as they are filled in now."""
    return _credits(request, session)


@require_POST
@page
def buy(request: HttpRequest, session: Session) -> HttpResponse:
    """Begin a purchase, and show where it is paid: nothing is charged before that."""
    form = BuyForm(request.POST)
    if not form.is_valid():
        return _credits(request, session, buy=form, status=400)
    try:
        begun = topups.start(
            session.workspace_id,
            amount=form.cleaned_data["amount"],
            email=session.user.email,
            user_id=session.user.pk,
            base_url=base_url(request),
        )
    except PlatformError as refusal:
        return _credits(request, session, buy=form, status=form.refuse(refusal))
    shown = {"what": "purchase", "url": begun.checkout_url, "amount": begun.amount_micros}
    return render(request, "dashboard/pay.html", shown)


@require_POST
@page
def redeem(request: HttpRequest, session: Session) -> HttpResponse:
    """Redeem a code for the workspace, once."""
    form = VoucherForm(request.POST)
    if not form.is_valid():
        return _credits(request, session, voucher=form, status=400)
    try:
        entry = vouchers.redeem(session.workspace_id, form.cleaned_data["code"])
    except PlatformError as refusal:
        return _credits(request, session, voucher=form, status=form.refuse(refusal))
    given = {"amount": show(entry.amount_micros)}
    messages.success(request, _("%(amount)s of credits came in.") % given)
    return redirect("credits")


@require_POST
@page
def set_automatic(request: HttpRequest, session: Session) -> HttpResponse:
    """Set when credits are bought by themselves, with the card that is saved."""
    _require_paying(session)
    form = AutomaticForm(request.POST)
    if not form.is_valid():
        return _credits(request, session, automatic=form, status=400)
    try:
        automatic.configure(session.workspace_id, **form.cleaned_data)
    except PlatformError as refusal:
        return _credits(request, session, automatic=form, status=form.refuse(refusal))
    messages.success(request, _("Automatic top-up is set."))
    return redirect("credits")


@require_POST
@page
def save_card(request: HttpRequest, session: Session) -> HttpResponse:
    """Open the payment provider's page that saves a card for later."""
    _require_paying(session)
    opened = methods.start_setup(
        session.workspace_id,
        email=session.user.email,
        user_id=session.user.pk,
        base_url=base_url(request),
    )
    return render(request, "dashboard/pay.html", {"what": "card", "url": opened.url})


@require_POST
@page
def portal(request: HttpRequest, session: Session) -> HttpResponse:
    """Open the payment provider's page of invoices and cards."""
    _require_paying(session)
    back = f"{base_url(request)}/my/credits"
    url = customers.portal(session.workspace_id, email=session.user.email, return_url=back)
    return render(request, "dashboard/pay.html", {"what": "portal", "url": url})


@require_POST
@page
def warn(request: HttpRequest, session: Session) -> HttpResponse:
    """Set below which balance a mail is sent."""
    _require_paying(session)
    form = WarnForm(request.POST)
    if not form.is_valid():
        return _credits(request, session, warn=form, status=400)
    customers.warn_below(session.workspace_id, form.cleaned_data["below"] or Micros(0))
    messages.success(request, _("The warning is set."))
    return redirect("credits")


@require_http_methods(["GET", "HEAD", "POST"])
@page
def give_back(request: HttpRequest, session: Session, top_up_id: UUID) -> HttpResponse:
    """Ask how much of a purchase is wanted back; have it go back, or wait for staff."""
    _require_paying(session)
    most = wanted_back.most(session.workspace_id, top_up_id)  # Another's is not there.
    answer: HttpResponse = _give_back(request, session, top_up_id, most)
    return answer


@reauthentication_required  # type: ignore[untyped-decorator]  # It has no types.
def _give_back(
    request: HttpRequest, session: Session, top_up_id: UUID, most: Micros
) -> HttpResponse:
    if request.method == "POST":
        form = BackForm(request.POST)
        if form.is_valid():
            try:
                made = wanted_back.request(
                    session.workspace_id, top_up_id, by=session.user.pk, **form.cleaned_data
                )
            except PlatformError as refusal:
                form.refuse(refusal)
            else:
                messages.success(request, _came_of(made))
                return redirect("credits")
    else:
        form = BackForm(initial={"amount": most, "key": uuid4()})
    shown = {"form": form, "most": most, "purchase": top_up_id}
    return render(request, "dashboard/give_back.html", shown, status=form.status)


def _came_of(made: RefundAsk) -> str:
    if made.state == RefundAsk.State.DONE:
        return _("The refund is made. Banks take five to ten days to show it.")
    return _("You asked for it. It waits for staff, and a mail says what they decide.")


@require_POST
@page
def keep_after_all(request: HttpRequest, session: Session, ask_id: UUID) -> HttpResponse:
    """Want a purchase back no more."""
    _require_paying(session)
    made = wanted_back.take_back(session.workspace_id, ask_id, by=session.user.pk)
    if made.refund_id is not None:
        messages.error(request, _("It was given back already."))
    else:
        messages.success(request, _("You keep these credits."))
    return redirect("credits")


@require_safe
@page
def statement(request: HttpRequest, session: Session) -> Any:
    """Send what moved in some days as a file that can be verified."""
    _require_seeing(session)
    first, last = _day(request, "from"), _day(request, "to")
    form = files.FORMS.get(request.GET.get("format", "csv"))
    if first is None or form is None:
        raise InvalidRequest(_("Choose the first day, and a form of the file."))
    until = last + timedelta(days=1) if last and last < timezone.now().date() else None
    cut = files.cut(session.workspace_id, first=first, until=until)
    make, content_type = form
    name = f"{cut.name}.{request.GET.get('format', 'csv')}"
    return StreamingHttpResponse(
        streamed(files.pages(cut, make())),
        content_type=content_type,
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


def _credits(
    request: HttpRequest, session: Session, *, status: int = 200, **forms: Any
) -> HttpResponse:
    workspace = session.workspace_id
    if not session.only_looks and following.watched(workspace):
        tasks.hurry(tasks.check_purchases)
    wallet, wish = lots.contents(workspace), automatic.standing(workspace)
    pays = "billing:manage" in scopes_of(session)
    shown = {
        "wallet": wallet,
        "parts": parts(wallet),
        "due": receivables.due_of(workspace),
        "sells": stripe_api.is_configured(),
        "pays": pays,
        "wish": wish,
        "buy": BuyForm(),
        "voucher": VoucherForm(),
        "automatic": AutomaticForm(initial=AutomaticForm.filled(wish)),
        "warn": WarnForm(initial={"below": customers.low_balance(workspace) or None}),
        "today": timezone.now().date(),
        "sees": session.role in teams.SEES,
        **(_books(request, workspace) if session.role in teams.SEES else {}),
        **forms,
    }
    return render(request, "dashboard/credits.html", shown, status=status)


def _books(request: HttpRequest, workspace: UUID) -> dict[str, Any]:
    """Return what was bought, and what else came and went."""
    number = request.GET.get("purchases", "")
    at = int(number) if PAGE.fullmatch(number) else 1
    older = request.GET.get("older", "")
    bought = purchases.page_of(workspace, page=at, limit=PURCHASES)
    moves = reports.moves(
        workspace, limit=MOVES + 1, older_than=int(older) if NUMBER.fullmatch(older) else None
    )
    return {
        "bought": bought.purchases,
        "back": wanted_back.standing(workspace, bought.purchases),
        "newer_purchases": at - 1,
        "older_purchases": at + 1 if at * PURCHASES < bought.total else 0,
        "moves": moves[:MOVES],
        "older_moves": moves[MOVES - 1].number if len(moves) > MOVES else 0,
    }


def _require_paying(session: Session) -> None:
    if "billing:manage" not in scopes_of(session):
        raise AccessDisabled(_("For this one is owner or billing of the workspace."))


def _require_seeing(session: Session) -> None:
    if session.role not in teams.SEES:
        raise AccessDisabled(_("For this one is owner or billing of the workspace."))


def _day(request: HttpRequest, name: str) -> date | None:
    text = request.GET.get(name, "")
    try:
        day = date.fromisoformat(text) if text else None
    except ValueError:
        day = date.max
    if day is not None and day.year == date.max.year:
        raise InvalidRequest(_("A day is written like 2026-11-27."))
    return day
