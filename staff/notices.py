"""What all members are told, and whether new calls are taken: banners, and maintenance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone

from common.errors import NotFound
from credits.books import reasons
from dashboard.forms import Form
from desk import banners, maintenance
from desk.models import Banner
from desk.roles import Right
from staff.money import names_of
from staff.pages import About, InstantField, ReasonForm, act, page, who

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse

LEVELS = (("info", "To know"), ("warning", "To mind"), ("trouble", "Something does not work"))


@page(Right.READ)
def notice_list(request: HttpRequest) -> HttpResponse:
    """Show what is told, what will be, and whether new calls are paused."""
    found, under_way = banners.listed(), maintenance.now()
    people = {each.by for each in found} | ({under_way.by} if under_way else set())
    shown = {
        "found": found,
        "maintenance": under_way,
        "now": timezone.now(),
        "names": names_of(people),
    }
    return render(request, "staff/notices.html", shown)


class BannerForm(Form):
    """The words, how grave they are, and when they stand there."""

    words = forms.CharField(
        label="Words", max_length=banners.MOST, help_text="Above each page, as they are."
    )
    level = forms.ChoiceField(label="How grave", choices=LEVELS)
    begins_at = InstantField(label="From", required=False, help_text="Empty: from now on.")
    ends_at = InstantField(
        label="Until", required=False, help_text="Empty: until it is taken down."
    )
    for_staff = forms.BooleanField(label="For staff alone", required=False)


def about_notices() -> About:
    """Return where both lead back to."""
    return About("Notices", reverse("staff:notices"))


@act(
    Right.OPERATE, title="Put up a banner", button="Put it up", about=about_notices, form=BannerForm
)
def put_up_banner(request: HttpRequest, given: dict[str, Any]) -> str:
    """Have pages say something."""
    given["begins_at"] = given["begins_at"] or timezone.now()
    made = banners.put_up(**given, by=who(request))
    return "It stands there now." if made.begins_at <= timezone.now() else "It will stand there."


def about_banner(banner_id: int) -> About:
    """Return which one is meant."""
    found = Banner.objects.filter(pk=banner_id).first()
    if found is None:
        raise NotFound("There is no such banner.")
    return About("Notices", reverse("staff:notices"), [("Banner", found.words)])


@act(Right.OPERATE, title="Take it down", button="Take it down", about=about_banner, form=Form)
def take_down_banner(request: HttpRequest, given: dict[str, Any], banner_id: int) -> str:
    """Have no page say it any more."""
    gone = banners.take_down(banner_id, by=who(request))
    return "It is gone." if gone else "It was gone before."


class MaintenanceForm(Form):
    """What members read, and when it is thought to be over."""

    sentence = forms.CharField(
        label="What members read",
        max_length=reasons.MOST,
        help_text="Each refused call says it, and each page.",
    )
    until = InstantField(
        label="Over by",
        required=False,
        help_text="Clients are told to come back then. It ends when you end it.",
    )


@act(
    Right.OPERATE, title="Pause all new calls", button="Pause them", about=about_notices,
    lead="From now on no call and no run begins. What runs goes on, and is settled.",
    form=MaintenanceForm, is_grave=True,
)  # fmt: skip
def begin_maintenance(request: HttpRequest, given: dict[str, Any]) -> str:
    """Place no new holds."""
    is_new = maintenance.begin(given["sentence"], until=given["until"], by=who(request))
    return "New calls are paused." if is_new else "They were paused; your sentence stands now."


@act(Right.OPERATE, title="Take calls again", button="Take calls again", about=about_notices,
     form=ReasonForm)  # fmt: skip
def end_maintenance(request: HttpRequest, given: dict[str, Any]) -> str:
    """Place holds again."""
    ended = maintenance.end(by=who(request), reason=given["reason"])
    return "Calls are taken again." if ended else "They were not paused."
