"""Everything that a scene of the half year needs."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import ip_network
from typing import Any

from local.halfyear.calling import Callers
from local.halfyear.cast import Cast
from local.halfyear.clock import Clock
from local.halfyear.programs import Programs

VIDEO = "/proxy/veo/{model}/generate"
PICTURE = "/proxy/bfl/flux-2-pro/generate"


@dataclass
class Play:
    """Who is there, what runs, and what time it is."""

    programs: Programs
    clock: Clock
    cast: Cast
    callers: Callers
    dice: random.Random
    hooks: str
    receiver: Any
    few: bool
    say: Callable[[str], None]
    things: dict[str, Any] = field(default_factory=dict)
    """What a later scene comes back to."""

    def by(self, role: str) -> Any:
        """Return who of staff has that role."""
        return self.cast.staff[role].pk

    def wallet(self, team: str) -> Any:
        """Return the wallet of a team."""
        return self.cast.teams[team].pk

    def has(self, wallet: Any, dollars: str) -> bool:
        """Whether so much of a wallet can be spent now."""
        from credits.models import Account

        return bool(Account.objects.get(pk=wallet).available_micros >= usd(dollars))


def usd(dollars: str) -> Any:
    """Return dollars as micros."""
    from common.money import usd as micros

    return micros(dollars)


def networks(*names: str) -> Any:
    """Return networks as a key has them."""
    return frozenset(map(ip_network, names))
