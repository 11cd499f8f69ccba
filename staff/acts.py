"""What staff do for a customer: money, pauses, people, keys, notes."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from django import forms
from django.conf import settings
from django.utils import timezone

from accounts import status
from accounts.models import User
from apikeys import states
from apikeys.models import ApiKey
from common.errors import InvalidRequest, NotFound
from common.money import Micros, show
from credits.books import freezes, limits
from credits.gifts import adjustments
from credits.models import Adjustment, Freeze, Refund, TopUp
from credits.payments import refund_asks
from dashboard.forms import DollarsField, Form
from desk import notes
from desk.roles import Right
from privacy import deletion
from staff import customers
from staff.pages import About, ReasonForm, act, customer_url, who

if TYPE_CHECKING:
    from django.http import HttpRequest

DIRECTIONS: Final = (
    ("gift", "Give, as a gift"),
    ("give", "Give, to correct a mistake"),
    ("take", "Take, to correct a mistake"),
)
MOST_DAYS: Final = 36_500


class AdjustForm(ReasonForm):
    """An amount, which way it goes, and until when it may be used."""

    what = forms.ChoiceField(label="What for", choices=DIRECTIONS)
    amount = DollarsField(label="Amount", least="0.000001")
    days = forms.IntegerField(
        label="Days until it expires",
        required=False,
        min_value=1,
        max_value=MOST_DAYS,
        help_text="Of what is given. Empty: never.",
    )
    field_order = ("what", "amount", "days", "reason")


@act(
    Right.ADJUST,
    title="Adjust credits",
    button="Adjust",
    about=customers.about,
    lead="Above the limit of one person it waits for a second.",
    form=AdjustForm,
)
def adjust(request: HttpRequest, given: dict[str, Any], workspace_id: UUID) -> str:
    """Give or take credits; what is above the limit waits."""
    days, taken = given["days"], given["what"] == "take"
    if taken and days:
        raise InvalidRequest("What is taken does not expire.")
    made = adjustments.request(
        workspace_id,
        amount=-given["amount"] if taken else given["amount"],
        reason=given["reason"],
        requested_by=who(request),
        is_gift=given["what"] == "gift",
        expires_at=timezone.now() + timedelta(days=days) if days else None,
    )
    if made.state == Adjustment.State.WAITING:
        return f"{show(given['amount'])} waits for a second person: it is above the limit."
    return f"{show(given['amount'])} {'taken' if taken else 'given'}."


class PauseForm(Form):
    """The sentence that refuses new calls."""

    reason = forms.CharField(
        label="What members read",
        max_length=300,
        help_text="Each refused call says it.",
    )


@act(
    Right.HELP,
    title="Pause new calls",
    button="Pause",
    about=customers.about,
    lead="Calls that run are settled; new ones are refused with your sentence.",
    form=PauseForm,
    is_grave=True,
)
def pause(request: HttpRequest, given: dict[str, Any], workspace_id: UUID) -> str:
    """Have no new hold be placed."""
    freezes.freeze(workspace_id, Freeze.Cause.STAFF, given["reason"], by=who(request))
    return "New calls are refused, with that sentence."


@act(Right.HELP, title="Take calls again", button="Take calls again", about=customers.about)
def release(request: HttpRequest, given: dict[str, Any], workspace_id: UUID) -> str:
    """Lift the pause of staff; what is owed may still pause it."""
    lifted = freezes.lift(workspace_id, Freeze.Cause.STAFF, by=who(request), reason=given["reason"])
    return "The pause is lifted." if lifted else "Staff kept no calls from it."


class SlotsForm(ReasonForm):
    """How many calls run at once."""

    how = forms.ChoiceField(
        label="Calls at once",
        choices=(("paid", "As many as were paid for"), ("any", "Any number"), ("most", "So many")),
    )
    most = forms.IntegerField(
        label="How many", required=False, min_value=0, max_value=limits.MOST_SLOTS,
        help_text="Where it is so many; 0 lets none run.",
    )  # fmt: skip
    field_order = ("how", "most", "reason")


@act(Right.HELP, title="Calls at once", button="Set", about=customers.about, form=SlotsForm)
def slots(request: HttpRequest, given: dict[str, Any], workspace_id: UUID) -> str:
    """Say how many calls may run at once."""
    if given["how"] == "most" and given["most"] is None:
        raise InvalidRequest("So many: how many?")
    most = {"paid": None, "any": -1}.get(given["how"], given["most"])
    limits.set_concurrency(workspace_id, most, by=who(request), reason=given["reason"])
    return "That many calls may run at once from now on."


class NoteForm(Form):
    """What to write down."""

    text = forms.CharField(
        label="Note",
        max_length=notes.MOST,
        widget=forms.Textarea({"rows": 4}),
        help_text="Staff alone read it here. It is in the archive that members may ask for.",
    )


@act(Right.HELP, title="Add a note", button="Add the note", about=customers.about, form=NoteForm)
def note(request: HttpRequest, given: dict[str, Any], workspace_id: UUID) -> str:
    """Write something down."""
    notes.write(workspace_id, given["text"], by=who(request))
    return "The note is added."


# --- Keys ---------------------------------------------------------------------------------------


def _key(key_id: UUID) -> ApiKey:
    found = ApiKey.objects.select_related("user").filter(pk=key_id).first()
    if found is None:
        raise NotFound("There is no such key.")
    return found


def about_key(key_id: UUID) -> About:
    """Return what an act on a key is about."""
    key = _key(key_id)
    facts = [("Key", f"{key.prefix} {key.name}"), ("Of", key.user.email)]
    facts += [("Now", states.told(key)), ("Made with it", f"{len(states.made_with(key))} keys")]
    return About("The customer", customer_url(key.workspace_id), facts)


@act(Right.HELP, title="Disable a key", button="Disable the key", about=about_key)
def disable_key(request: HttpRequest, given: dict[str, Any], key_id: UUID) -> str:
    """Let a key do nothing until it is enabled."""
    changed = states.disable(_key(key_id), by=who(request), reason=given["reason"])
    return "The key does nothing until it is enabled." if changed else "It did nothing before."


@act(Right.HELP, title="Enable a key", button="Enable the key", about=about_key)
def enable_key(request: HttpRequest, given: dict[str, Any], key_id: UUID) -> str:
    """Let a disabled key act again."""
    changed = states.enable(_key(key_id), by=who(request), reason=given["reason"])
    return "The key acts again." if changed else "It was enabled before."


class RevokeForm(ReasonForm):
    """Whether what a key made ends with it: of one that leaked it may be anybody's."""

    with_made = forms.BooleanField(
        label="Also the keys that were made with it", required=False, initial=True
    )


@act(
    Right.HELP, title="Revoke a key", button="Revoke the key", about=about_key, is_grave=True,
    form=RevokeForm, lead="For good, at once. Calls that run are settled.",
)  # fmt: skip
def revoke_key(request: HttpRequest, given: dict[str, Any], key_id: UUID) -> str:
    """End a key for good, and what was made with it unless that is to go on."""
    end = states.revoke_with_made if given["with_made"] else states.revoke
    ended = int(end(_key(key_id), by=who(request), reason=given["reason"]))
    if ended > 1:
        return f"{ended} keys are revoked, for good: it, and what was made with it."
    return "The key is revoked, for good." if ended else "It was revoked before."


# --- People -------------------------------------------------------------------------------------


def _person(user_id: UUID) -> User:
    found = User.objects.select_related("personal_workspace").filter(pk=user_id).first()
    if found is None:
        raise NotFound("There is no such person.")
    return found


def about_person(user_id: UUID) -> About:
    """Return what an act on a person is about."""
    user = _person(user_id)
    seat = user.memberships.order_by("created_at").first()
    own = getattr(user, "personal_workspace", None)
    where = own.pk if own else seat.workspace_id if seat else None
    back = customer_url(where) if where else "/staff/"
    state = "active" if user.is_active else f"deactivated: {user.status_reason}"
    return About(user.name or user.email, back, [("Mail", user.email), ("Now", state)])


@act(
    Right.HELP, title="Deactivate a person", button="Deactivate", about=about_person,
    lead="They and all their keys do nothing from now on. Credits and history stay.",
    is_grave=True,
)  # fmt: skip
def deactivate(request: HttpRequest, given: dict[str, Any], user_id: UUID) -> str:
    """Let a person and their keys do nothing."""
    if user_id == who(request):
        raise InvalidRequest("That is you: somebody else of staff would have to let you in again.")
    changed = status.deactivate(_person(user_id), by=who(request), reason=given["reason"])
    return "They are deactivated, with all keys." if changed else "They were before."


@act(Right.HELP, title="Let a person act again", button="Reactivate", about=about_person)
def reactivate(request: HttpRequest, given: dict[str, Any], user_id: UUID) -> str:
    """Let them act again."""
    changed = status.reactivate(_person(user_id), by=who(request), reason=given["reason"])
    return "They may act again." if changed else "They could before."


@act(
    Right.HELP, title="Enter a wish to be deleted", button="Send them the mail", about=about_person,
    lead="They confirm it by the link in a mail to their address: without that nothing is deleted.",
)  # fmt: skip
def enter_deletion(request: HttpRequest, given: dict[str, Any], user_id: UUID) -> str:
    """Ask somebody by mail whether they want to be deleted."""
    base = settings.PUBLIC_URL or f"{request.scheme}://{request.get_host()}"
    deletion.ask(_person(user_id), base_url=base, by=who(request), reason=given["reason"])
    return "They are asked to confirm it, by mail."


# --- Purchases ----------------------------------------------------------------------------------


def about_purchase(top_up_id: UUID) -> About:
    """Return what an act on a purchase is about."""
    found = TopUp.objects.filter(pk=top_up_id).first()
    if found is None:
        raise NotFound("There is no such purchase.")
    facts = [
        ("Customer", customers.name_of(customers.workspace_of(found.wallet_id))),
        ("Bought", show(Micros(found.amount_micros))),
        ("On", f"{found.created_at:%d %b %Y}"),
    ]
    return About(f"Purchase {found.pk}", f"/staff/purchases/{found.pk}", facts)


class RefundForm(ReasonForm):
    """How much goes back."""

    amount = DollarsField(
        label="Amount", required=False, least="0.01", help_text="Empty: all that is unspent."
    )
    field_order = ("amount", "reason")


@act(
    Right.ADJUST, title="Refund a purchase", button="Refund", about=about_purchase, form=RefundForm,
    lead="What is unspent goes back to the card, with its share of the tax. Above the limit of one "
    "person it waits for a second.",
)  # fmt: skip
def refund(request: HttpRequest, given: dict[str, Any], top_up_id: UUID) -> str:
    """Give back what is unspent, or ask for it."""
    made = refund_asks.request(
        top_up_id, amount=given["amount"], reason=given["reason"], requested_by=who(request)
    )
    if not isinstance(made, Refund):
        return f"{show(made.amount_micros)} waits for a second person: it is above the limit."
    if made.state == Refund.State.FAILED:
        raise InvalidRequest(f"The processor refused it: {made.failure}")
    return f"{show(made.cents * 10_000)} goes back."
