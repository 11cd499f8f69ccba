"""allauth's addresses for scripts, below /_allauth/, without those that nobody here has a use for.

Accounts have no telephone; what allauth answers there to somebody without one is a 500.
"""

from __future__ import annotations

from typing import Any

from allauth.headless import urls as headless
from django.urls.resolvers import URLResolver

UNUSED = "phone"


def _without_unused(patterns: list[Any]) -> list[Any]:
    """Take the unused out of the list, and of every list in it."""
    patterns[:] = [each for each in patterns if not str(each.pattern).startswith(UNUSED)]
    for each in patterns:
        if isinstance(each, URLResolver):
            _without_unused(each.url_patterns)
    return patterns


app_name = headless.app_name
urlpatterns = _without_unused(headless.urlpatterns)
