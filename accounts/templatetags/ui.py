"""Parts of a page that templates name: an icon, and a field as the stylesheet wants it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import template
from django.forms import Select
from django.templatetags.static import static
from django.utils.html import format_html
from django.utils.translation import gettext_lazy, override

from common.told import told

if TYPE_CHECKING:
    from django.forms import BoundField
    from django.utils.safestring import SafeString

register = template.Library()
register.filter("told", told)
LABELS = {
    "Email": gettext_lazy("Mail"),
    "Current Password": gettext_lazy("Current password"),
    "New Password": gettext_lazy("New password"),
    "New Password (again)": gettext_lazy("New password, again"),
    "Password (again)": gettext_lazy("Password, again"),
    "Authenticator code": gettext_lazy("Code"),
}
"""By what allauth calls a field in English, whatever the language of the page."""
PASSWORDS = {
    "password": "",
    "oldpassword": "",
    "password1": gettext_lazy("12 characters or more. A few words are fine."),
}
"""Beside the first two stands how to come by another."""


@register.simple_tag
def icon(name: str) -> SafeString:
    """Return an icon of the sprite; a word always stands beside it."""
    where = static("ui/vendor/icons.svg")
    return format_html(
        '<svg class="icon" aria-hidden="true"><use href="{}#{}"></use></svg>', where, name
    )


@register.simple_tag
def control(field: BoundField) -> SafeString:
    """Return what is filled in of a field, tied to its help and to what is wrong with it."""
    attributes: dict[str, Any] = {"placeholder": ""}
    if not isinstance(field.field.widget, Select):  # One has the look by its name.
        attributes["class"] = "input"
    told = [f"{field.auto_id}-help"] * bool(help(field))
    if field.errors:
        attributes["aria-invalid"] = "true"
        told.append(f"{field.auto_id}-wrong")
    if told:
        attributes["aria-describedby"] = " ".join(told)
    return field.as_widget(attrs=attributes)


@register.filter
def label(field: BoundField) -> str:
    """Return what a field is called, in our words where allauth's are others."""
    with override("en"):
        known = str(field.label)
    return str(LABELS.get(known, field.label))


@register.filter
def help(field: BoundField) -> str:  # noqa: A001 - templates name it
    """Return what helps to fill a field in; passwords are all helped by one sentence."""
    if field.name in PASSWORDS:
        return str(PASSWORDS[field.name])
    return str(field.help_text)


@register.filter
def is_check(field: BoundField) -> bool:
    """Whether a field is ticked, so that its words stand behind it."""
    return getattr(field.field.widget, "input_type", "") == "checkbox"
