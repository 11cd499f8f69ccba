"""What members are called on pages, here and on the dashboard."""

from __future__ import annotations

from django.utils.translation import gettext as _


def role(name: str) -> str:
    """Return what a role in a team is called."""
    words = {"owner": _("Owner"), "billing": _("Billing"), "member": _("Member")}
    return words[name]
