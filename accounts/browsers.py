"""What a browser calls itself, in words that its owner knows it by."""

from __future__ import annotations

from typing import Final

from django.utils import translation
from django.utils.translation import gettext, gettext_noop

BROWSERS: Final = (
    ("Edg", "Edge"),
    ("OPR", "Opera"),
    ("Firefox", "Firefox"),
    ("FxiOS", "Firefox"),
    ("CriOS", "Chrome"),
    ("Chrome", "Chrome"),
    ("Safari", "Safari"),
)
"""In this order: each names those below it, too."""
SYSTEMS: Final = (
    ("iPhone", gettext_noop("an iPhone")),
    ("iPad", gettext_noop("an iPad")),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("Mac OS X", gettext_noop("a Mac")),
    ("Linux", "Linux"),
)
LONGEST: Final = 60


def name(agent: str) -> str:
    """Return it, like `Firefox on Linux`; what is no browser is shown as it calls itself."""
    browser = next((word for sign, word in BROWSERS if sign in agent), "")
    if not browser:
        return agent[:LONGEST] or gettext("Something without a name")
    system = next((word for sign, word in SYSTEMS if sign in agent), "")
    if not system:
        return browser
    words = {"browser": browser, "system": translation.gettext(system)}
    return gettext("%(browser)s on %(system)s") % words
