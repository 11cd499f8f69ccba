"""Whether something may be sent to an address: the guard's rules, in the words of webhooks."""

from __future__ import annotations

from asgiref.sync import async_to_sync
from django.utils.translation import gettext

from common.errors import InvalidWebhookUrl
from common.outside import guard


def require(url: str) -> str:
    """Return the address as it will be asked; raise InvalidWebhookUrl for what never could be.

    Its name is not looked up: that is done for each try, in the worker.
    """
    return _read(url).url


def require_reachable(url: str) -> str:
    """Do the same, and see that its name leads to the public internet now: for who types it in."""
    target = _read(url)
    try:
        async_to_sync(guard.look_up)(target)
    except guard.NotAllowed as refusal:
        raise _refused(refusal) from None
    return target.url


def _read(url: str) -> guard.Target:
    try:
        return guard.read(url)
    except guard.NotAllowed as refusal:
        raise _refused(refusal) from None


def _refused(refusal: guard.NotAllowed) -> InvalidWebhookUrl:
    return InvalidWebhookUrl(gettext("url: the address %(refusal)s.") % {"refusal": refusal})
