"""Under which account a call goes, and which is next where that one is not served.

made under an account --> that one, alone     (a job, a file, a voice: no other knows it)
a workspace's own     --> that one, alone     (it pays the vendor; nobody else does for it)
else                  --> the operator's, by weight; the next one only where the vendor
                          certainly did nothing, and said why: 401, 402, 403, 429, or its words
"""

from __future__ import annotations

import collections
import re
from typing import TYPE_CHECKING

from django.conf import settings

from common import logs, metrics
from common.cached import from_settings
from common.errors import InvalidRequest, ProviderDisabled
from common.money import Micros
from proxy import findings
from proxy.dialect import Verdict
from proxy.process import soon

if TYPE_CHECKING:
    from collections.abc import Sequence

    from apikeys.callers import Caller
    from proxy.catalogue import Route, Use
    from proxy.credentials import Account
    from proxy.dialect import Said
    from proxy.process import Platform

MOST_TRIES = 3
"""Accounts that one call is sent under, at most."""
UNSERVED_SECONDS = 60
"""So long an account rests that is not served: its key, its credit, its plan."""
BUSY_SECONDS, MOST_BUSY_SECONDS = 5, 60
"""And one that has too much at once, unless the vendor says for how long."""
REMEMBERED = 10_000
"""Callers whose workspace is known. A key's, as a token's, is the same for ever."""
GONE = "was made under an account that is there no more."

_workspaces: collections.OrderedDict[bytes, str] = collections.OrderedDict()


async def candidates(
    platform: Platform, route: Route, caller: Caller, uses: Sequence[Use]
) -> list[Account]:
    """Return the accounts that a call may go under, the first to try at the front.

    Raises ProviderDisabled if there is none, InvalidRequest if what it uses is of several.
    """
    vault, vendor, operation = platform.vault, route.vendor, route.operation
    if not vault.has_written(vendor.name):
        return [vendor.account(operation)]
    workspace = ""
    if vault.has_own(vendor.name):
        workspace = await _workspace(platform, vendor.name, caller)
    if uses and (made := await platform.books.made_under(vendor.name, uses)):
        return [_of_its_maker(platform, route, made, workspace)]
    own = vault.own(vendor, operation, workspace) if workspace else None
    return [own] if own is not None else vault.in_order(vendor, operation)[:MOST_TRIES]


def _of_its_maker(platform: Platform, route: Route, made: set[str], workspace: str) -> Account:
    """Return the account under which all that a request names was made."""
    if len(made) > 1:
        raise InvalidRequest(
            f"This request names ids that were made under several accounts with "
            f"{route.vendor.display}, which know nothing of each other. Make them anew."
        )
    (name,) = made
    return of_maker(platform, route, name, workspace=workspace)


def of_maker(platform: Platform, route: Route, name: str, *, workspace: str) -> Account:
    """Return the account under which something was made; raise ProviderDisabled if it is gone."""
    vendor, operation = route.vendor, route.operation
    found = platform.vault.named(vendor, operation, name, workspace=workspace)
    if found is None:
        raise ProviderDisabled(f"What this names at {vendor.display} {GONE}")
    return found


async def _workspace(platform: Platform, vendor: str, caller: Caller) -> str:
    """Return whose call it is, asked once for each key in this process."""
    if caller.token is not None:
        return str(caller.token.workspace_id)
    known = _workspaces.get(caller.name)
    if known is None:
        known = await platform.books.may_call(vendor, caller)
        _workspaces[caller.name] = known
        if len(_workspaces) > REMEMBERED:
            _workspaces.popitem(last=False)
    return known


async def unserved(
    platform: Platform, account: Account, verdict: Verdict, said: Said, *, call: str = ""
) -> None:
    """Let an account rest that a vendor does not serve, and tell the operator if that is news.

    A workspace's own is its owner's affair: it neither rests nor is told of here.
    """
    if account.is_own:
        account.forget_minted()
        return
    if verdict is Verdict.BUSY:
        seconds = _busy_seconds(said.retry_after)
        if platform.vault.rest(account, seconds):
            soon(platform.vault.tell(platform.books, account, seconds))
        return
    account.forget_minted()
    metrics.outcome(account.vendor, "account")
    logs.line(
        level="error", event="vendor_account", vendor=account.vendor, account=account.name,
        status=said.status, call=call,
    )  # fmt: skip
    if platform.vault.rest(account, UNSERVED_SECONDS):
        soon(platform.vault.tell(platform.books, account, UNSERVED_SECONDS))
        await findings.unserved(platform.books, account.vendor, account.name, said.status)


def _busy_seconds(told: str) -> int:
    if not re.fullmatch(r"\d{1,4}", told):
        return BUSY_SECONDS
    return max(1, min(int(told), MOST_BUSY_SECONDS))


@from_settings
def own_fee(vendor: str) -> Micros:
    """Return what a call under a workspace's own account costs here, in the place of its price."""
    return Micros(int(settings.VENDOR_SETTINGS.get(f"VENDOR_{vendor.upper()}_OWN_FEE_MICROS", 0)))
