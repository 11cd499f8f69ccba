"""Receipts for others: for whom one works, or who keeps one's books.

An address shows one of them until a day, to whoever has it, and names nobody.

    /receipts/c<32 digits: the call>-<its last second, in hex>.<signature>

It needs no row and cannot be taken back, so it ends. What it leaves out: person, key, project and
workspace, what a client or a member called it, a vendor's words, and what a service of the
operator's told of a use, which may be any text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from django.core.signing import BadSignature, Signer
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from apikeys import recorded
from audit import log
from common.drf import base_url
from common.errors import AccessDisabled, InvalidRequest, NotFound
from dashboard import calls
from dashboard.shell import only, page
from runs import core, shown
from runs.models import Run
from usage import history, runs

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

    from accounts.sessions import Session

CALL, PRESS, RUN = "c", "p", "r"
"""Of what: a call, all calls of the press of Run that it belongs to, a run on a machine."""
WORDS: Final = {CALL: "call", PRESS: "press of Run", RUN: "run"}
"""As the audit log has it."""
FORM: Final = re.compile(r"([cpr])([0-9a-f]{32})-([0-9a-f]{8})")
DAYS: Final = (7, 30, 90)


@dataclass(frozen=True, slots=True)
class Shared:
    """Of what an address shows the receipt, and until when."""

    kind: str
    id: UUID
    until: datetime

    @property
    def token(self) -> str:
        """The part of an address that stands for it."""
        return _signer().sign(f"{self.kind}{self.id.hex}-{int(self.until.timestamp()):08x}")


def read(token: str) -> Shared:
    """Return what a token stands for.

    Raises NotFound if we did not make it, or its time is over.
    """
    try:
        found = FORM.fullmatch(_signer().unsign(token))
    except BadSignature:
        found = None
    if found is None:
        raise NotFound(_("There is no such receipt. Check the address, it may have been cut."))
    shared = Shared(found[1], UUID(found[2]), datetime.fromtimestamp(int(found[3], 16), UTC))
    if shared.until <= timezone.now():
        raise NotFound(_("The time of this address is over. Ask who gave it to you for another."))
    return shared


@require_safe
def receipt(request: HttpRequest, token: str) -> HttpResponse:
    """Show a receipt to whoever has its address."""
    try:
        shared = read(token)
        context = {"shared": shared, **_of(shared)}
    except NotFound as refusal:
        return render(request, "ui/nowhere.html", {"sentence": str(refusal)}, status=404)
    return render(request, "dashboard/receipt.html", context)


@require_safe
@page
def share_call(request: HttpRequest, session: Session, call_id: UUID) -> HttpResponse:
    """Give addresses of a call's receipt, and of its whole press of Run."""
    press = runs.of_call(session.workspace_id, calls.one(session, call_id))
    kinds = [CALL, PRESS] if press and press.calls > 1 else [CALL]
    return _share(request, session, kinds, call_id, back=reverse("call", args=[call_id]))


@require_safe
@page
def share_run(request: HttpRequest, session: Session, run_id: UUID) -> HttpResponse:
    """Give an address of the receipt of a run on a machine, once it has ended."""
    found = shown.one(session.workspace_id, run_id, user_id=only(session))
    if not found.has_ended:
        raise InvalidRequest(_("The run has not ended. Its receipt is made then."))
    return _share(request, session, [RUN], run_id, back=reverse("run", args=[run_id]))


def _share(
    request: HttpRequest, session: Session, kinds: list[str], of: UUID, *, back: str
) -> HttpResponse:
    if session.only_looks:
        raise AccessDisabled(_("Addresses are given by members themselves."))
    days = request.GET.get("days", str(DAYS[0]))
    if days not in map(str, DAYS):
        raise InvalidRequest(_("An address is good for 7, 30 or 90 days."))
    until = timezone.now() + timedelta(days=int(days))
    tokens = {kind: Shared(kind, of, until).token for kind in kinds}
    log.note(
        "receipt.shared",
        actor=session.user.pk,
        workspace=session.workspace_id,
        target=of,
        after={"of": [WORDS[kind] for kind in kinds], "until": until.isoformat()},
    )
    context = {
        "addresses": [
            (kind, base_url(request) + reverse("receipt", args=[token]))
            for kind, token in tokens.items()
        ],
        "until": until,
        "days": int(days),
        "choices": DAYS,
        "back": back,
    }
    return render(request, "dashboard/share.html", context)


def _of(shared: Shared) -> dict[str, Any]:
    """Return what the page of a receipt names. Raises NotFound where what it is of is gone."""
    if shared.kind == RUN:
        if run := Run.objects.select_related("worker").filter(pk=shared.id).first():
            return {"run": run, "receipt": core.receipt(run)}
    elif found := history.by_id(shared.id):
        workspace_id, call = found
        if shared.kind == CALL:
            told = call.vendor == recorded.VENDOR
            return {"call": replace(call, inputs={}) if told else call}
        if press := runs.of_call(workspace_id, call):
            return {"press": press, "calls": history.of_run(workspace_id, call)}
    raise NotFound(_("What this receipt is of is not kept any more."))


def _signer() -> Signer:
    return Signer(sep=".", salt="dashboard.receipts")
