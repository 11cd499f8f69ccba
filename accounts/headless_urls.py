"""allauth's addresses for scripts, below /_allauth/, without those that nobody here has a use for.

Accounts have no telephone; what allauth answers there to somebody without one is a 500. And what it
reads as JSON is read strictly before: Python's own reader, which it uses, breaks at a number of
thousands of digits, and takes halves of surrogates, which no hash and no database does.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from allauth.headless import urls as headless
from allauth.headless.constants import Client
from allauth.headless.mfa.views import SignupWebAuthnView
from django.urls.resolvers import URLResolver

from accounts import doors
from common import strict_json
from common.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.http import HttpRequest, HttpResponseBase

    View = Callable[..., HttpResponseBase]

UNUSED = "phone"


class PasskeySignUpView(SignupWebAuthnView):  # type: ignore[misc]  # It has no types.
    """As allauth has it, which breaks where nobody has begun to sign up."""

    def get_input_class(self) -> Any:
        """Return what is read, if somebody began; who did not is told so, unread (409)."""
        is_late = self.request.method == "PUT" and self._require_stage() is not None
        return None if is_late else super().get_input_class()


INSTEAD = {"webauthn/signup": PasskeySignUpView.as_api_view(client=Client.BROWSER)}


def _strict(view: View) -> View:
    """Answer what is no JSON, or some that nobody could keep, before allauth reads it."""

    @functools.wraps(view)
    def answered(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        try:
            strict_json.loads(request.body)
        except InvalidRequest as refusal:
            return doors.refused(request, refusal)
        return view(request, *args, **kwargs)

    return answered


def _ours(patterns: list[Any]) -> list[Any]:
    """Take the unused out of the list and of every list in it; have the others read strictly."""
    patterns[:] = [each for each in patterns if not str(each.pattern).startswith(UNUSED)]
    for each in patterns:
        if isinstance(each, URLResolver):
            _ours(each.url_patterns)
        else:
            each.callback = _strict(INSTEAD.get(str(each.pattern), each.callback))
    return patterns


app_name = headless.app_name
urlpatterns = _ours(headless.urlpatterns)
