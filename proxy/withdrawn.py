"""What vendors have given up: refused before anything is held, with the date and a way out.

Nodes of earlier years still send it. A mirror may still have it: where the operator put an address
of their own in the vendor's place, it is sent there. The sandbox is in the place of all vendors,
and is as most of them are today: what it does not do any more is refused before it, too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.utils import timezone

from common.errors import InvalidRequest
from proxy import catalogue

if TYPE_CHECKING:
    from collections.abc import Mapping


def today() -> str:
    """Return the day, like 2026-09-15."""
    return timezone.now().date().isoformat()


@dataclass(frozen=True, slots=True)
class Gone:
    """Since when it is not there any more, and what to use now."""

    on: str
    """The day, like 2026-09-15; empty where nobody said it."""
    instead: str = ""
    is_played: bool = True
    """Whether the sandbox, in the place of all vendors (VENDOR_BASE_URL), still has it."""

    @property
    def is_to_come(self) -> bool:
        """Whether the day was announced, and is not there yet."""
        return self.on > today()


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """Models or operations that one vendor has withdrawn."""

    vendor: str
    display: str
    gone: Mapping[str, Gone]

    def check(self, name: str) -> None:
        """Raise InvalidRequest for what is gone, unless the vendor's address is moved."""
        found = self.gone.get(name)
        if found is None or found.is_to_come or self._may_have(found):
            return
        instead = f" Use {found.instead} instead." if found.instead else ""
        day = f" on {found.on}" if found.on else ""
        raise InvalidRequest(f"{self.display} withdrew {name}{day}.{instead}")

    def _may_have(self, gone: Gone) -> bool:
        if not catalogue.moved_to(self.vendor):
            return False
        return gone.is_played or catalogue.is_moved_alone(self.vendor)
