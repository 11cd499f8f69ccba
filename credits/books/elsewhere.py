"""A wallet that leaves for another cell, or has left (config/cells): nothing of it is spent here.

Its pause says so, and that is what a call, a posting and a page read of a wallet anyway: one that
stays pays nothing for it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from common.errors import AccessDisabled, Moved, Moving
from common.told import kept
from credits.models import Account

if TYPE_CHECKING:
    from uuid import UUID

    from common.errors import PlatformError

MOVING: Final = kept(
    "This workspace is being moved to another machine. Try again in a minute; nothing was charged."
)
MOVED: Final = kept(
    "This workspace has moved: it is at %(address)s now, with all of its keys. Use that address; "
    "nothing was charged."
)
_MOVED: Final = re.compile(
    re.escape(MOVED).replace(re.escape("%(address)s"), r"(?P<address>\S+)"), re.DOTALL
)


def refusal(frozen_reason: str) -> PlatformError:
    """Return what is answered to who would spend from a wallet that is paused for that reason.

    Where it is only moving, waiting helps; where it has moved, the answer says to where.
    """
    if frozen_reason == MOVING:
        return Moving(MOVING)
    if found := _MOVED.fullmatch(frozen_reason):
        return Moved(frozen_reason, address=found["address"])
    return AccessDisabled(frozen_reason)


def is_leaving(frozen_reason: str) -> bool:
    """Whether a wallet that is paused for that reason leaves, or has left."""
    return frozen_reason == MOVING or _MOVED.fullmatch(frozen_reason) is not None


def require_here(wallet: Account) -> None:
    """Raise Moving or Moved unless the wallet stays here; its row was read under its lock."""
    if wallet.frozen_reason and is_leaving(wallet.frozen_reason):
        raise refusal(wallet.frozen_reason)


def require_not_gone(wallet: Account) -> None:
    """Raise Moved if the wallet has left; one that is about to may still be read."""
    if wallet.frozen_reason and wallet.frozen_reason != MOVING:
        require_here(wallet)


def require_wallet_here(wallet_id: UUID) -> None:
    """Raise Moving or Moved unless the wallet stays here, as it looks now."""
    require_here(Account.objects.only("frozen_reason").get(pk=wallet_id))
