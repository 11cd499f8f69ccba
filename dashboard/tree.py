"""The tree of allowances, as the page of limits shows it.

    workspace ---> each member who has none of their own
        |-------> project
        '-------> member ---> key

Only who has a limit stands in it, and who is above them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from django.utils.translation import gettext_lazy as _

from accounts import teams
from apikeys import allowances, authentication, life
from credits.books.allowances import EACH
from dashboard.words import named

if TYPE_CHECKING:
    from uuid import UUID

    from accounts.sessions import Session
    from credits.books.allowances import Standing

MOST_NAMED: Final = 1000
WHOLE: Final = _("The whole workspace")
EACH_MEMBER: Final = _("Each member, where they have no limit of their own")
ANOTHERS: Final = _("The key of a member")


@dataclass(frozen=True, slots=True)
class Node:
    """Somebody with limits, and whoever is below them."""

    kind: str
    of: str
    name: str
    rules: list[Standing]
    below: list[Node] = field(default_factory=list)
    key: UUID | None = None
    """The key whose page says more."""


def tree(session: Session) -> Node:
    """Return it, as much as one's role may see."""
    rules = _rules(session)
    each_member = rules.get((EACH, ""), [])
    members = _members(session, rules)
    projects = sorted(of for kind, of in rules if kind == "project")
    shown = {key.of for each in members for key in each.below}
    others = [of for kind, of in rules if kind == "key" and of not in shown]
    return Node(
        "workspace",
        "",
        str(WHOLE),
        rules.get(("workspace", ""), []),
        [
            *([Node(EACH, "", str(EACH_MEMBER), each_member)] if each_member else []),
            *(Node("project", of, of, rules["project", of]) for of in projects),
            *members,
            *(Node("key", of, str(ANOTHERS), rules["key", of]) for of in others),
        ],
    )


def _rules(session: Session) -> dict[tuple[str, str], list[Standing]]:
    """Return the limits by whose they are: a member, a project's name, a key's family."""
    found: dict[tuple[str, str], list[Standing]] = {}
    for each in allowances.standing(session.workspace_id, by=session.user.pk):
        of = {"workspace": "", EACH: "", "key": each.owner}.get(
            each.kind, each.owner.partition("/")[2]
        )
        found.setdefault((each.kind, of), []).append(each)
    return found


def _members(session: Session, rules: dict[tuple[str, str], list[Standing]]) -> list[Node]:
    """Return who has limits, or keys that have, with these below them."""
    here = teams.members(session.workspace_id)
    if session.role not in teams.SEES:
        here = here.filter(user_id=session.user.pk)
    known = life.visible(authentication.giver(session)).order_by("created_at", "id")
    # Of all rotations of a key the newest stands for them.
    newest = {str(key.family): key for key in known.filter(revoked_at=None)[:MOST_NAMED]}
    keys: dict[UUID, list[Node]] = {}
    for family, key in newest.items():
        if own := rules.get(("key", family)):
            node = Node("key", family, key.name, own, key=key.pk)
            keys.setdefault(key.user_id, []).append(node)
    nodes = [
        Node(
            "member",
            str(each.user_id),
            named(each.user),
            rules.get(("member", str(each.user_id)), []),
            keys.get(each.user_id, []),
        )
        for each in here[:MOST_NAMED]
    ]
    return [each for each in nodes if each.rules or each.below]
