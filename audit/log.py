"""Write down what somebody does, in the transaction that does it: both are there, or neither.

From where is known by whoever lets people in (a request's middleware, a command): it says so once,
by `coming_from`, and nothing in between passes it on.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from django.db.models import Q

from audit.models import Event

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from uuid import UUID


@dataclass(frozen=True, slots=True)
class Source:
    """From where something is done."""

    kind: str
    address: str = ""
    agent: str = ""


PROGRAM: Final = Source("program")
_source: ContextVar[Source] = ContextVar("audit_source", default=PROGRAM)


@contextmanager
def coming_from(source: Source) -> Iterator[None]:
    """Have what is written meanwhile say that it came from there."""
    token = _source.set(source)
    try:
        yield
    finally:
        _source.reset(token)


def note(
    action: str,
    *,
    actor: UUID | None = None,
    subject: UUID | None = None,
    workspace: UUID | None = None,
    target: object = "",
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
    reason: str = "",
) -> None:
    """Write down one thing that was done. What is given must name nobody but by id."""
    source = _source.get()
    Event.objects.create(
        action=action,
        actor_id=actor,
        subject_id=subject,
        workspace_id=workspace,
        target=_text(target, 200),
        before=dict(before or {}),
        after=dict(after or {}),
        reason=_text(reason, 300),
        source=source.kind,
        address=_text(source.address, 45),
        agent=_text(source.agent, 200),
    )


def of_subject(user_id: UUID, *, most: int = 50) -> list[Event]:
    """Return what was done to a person, newest first: as they may read it themselves."""
    return list(Event.objects.filter(subject_id=user_id).order_by("-id")[:most])


def forget_where(user_id: UUID) -> int:
    """Blank from where somebody acted, for whoever erases them; return how many rows said it.

    Who failed to sign in as them was nobody, and mostly was them. From where staff acted stays.
    """
    mine = Q(actor_id=user_id) | Q(actor_id=None, subject_id=user_id)
    return Event.objects.filter(mine).exclude(address="", agent="").update(address="", agent="")


def _text(value: object, most: int) -> str:
    """Return a text that PostgreSQL takes: without NUL, and not longer than its column."""
    return str(value).replace("\0", "").encode("utf-8", "replace").decode()[:most]
