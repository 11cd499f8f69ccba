"""Who is there: members, their teams and keys, and staff with a role each.

They come by the functions that pages call. All have one password, and staff a second factor.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from uuid import UUID

LUMEN = "Lumen Yard"
SCHOOL = "Hochschule für Bewegtbild und generative Gestaltung, Klasse Halvorsen-Lindqvist"
NAMES = {
    "mina": "Mina Okafor",
    "jonas": "Jonas Weber",
    "priya": "Priya Raghunathan",
    "tomasz": "Tomasz Wiśniewski-Kowalczyk",
    "aiko": "Aiko 佐藤",
    "bo": "Bo Li",
    "prof": "Prof. Dr. Annelise Halvorsen-Lindqvist",
    "emre": "Emre Yildirim",
    "student": "Maximiliane von Hohenstein-Castell zu Schönborn",
    "nadia": "Nadia Haddad",
    "otto": "Otto Brandt",
    "rosa": "Rosa Delgado",
}
MAILS = {"student": "maximiliane.von-hohenstein-castell-zu-schoenborn"}
STAFF = {
    "support": "Sam of support",
    "finance": "Fay of finance",
    "operations": "Olga of operations",
    "auditor": "Axel, auditor",
}
EVERY_ROLE = "grace"


@dataclass
class Person:
    """Somebody, with the keys that they made, by name."""

    user: Any
    keys: dict[str, str] = field(default_factory=dict)
    pays: dict[str, UUID] = field(default_factory=dict)
    """The wallet that each of these keys spends from."""

    @property
    def home(self) -> UUID:
        """Their personal workspace."""
        found: UUID = self.user.personal_workspace.pk
        return found


@dataclass
class Cast:
    """Everybody, by their short names, and the teams."""

    password: str
    people: dict[str, Person] = field(default_factory=dict)
    staff: dict[str, Any] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)
    """Of staff's second factors, by role."""
    teams: dict[str, Any] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Person:
        return self.people[name]


def come(cast: Cast, *names: str) -> None:
    """Have people sign up; each has confirmed the address."""
    from accounts.signup import sign_up, verify_email

    for name in names:
        mail = f"{MAILS.get(name, name)}@example.org"
        user = sign_up(email=mail, password=cast.password, name=NAMES[name])
        verify_email(user)
        cast.people[name] = Person(user)


def employ(cast: Cast) -> None:
    """Have somebody of staff for each role, and one who has them all."""
    from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret

    from accounts import status
    from accounts.signup import sign_up, verify_email
    from desk import roles

    everybody = {**{role: (role, name, [role]) for role, name in STAFF.items()}}
    everybody["all"] = (EVERY_ROLE, "Grace, who has every role", list(roles.ROLES))
    for role, (mail, name, wanted) in everybody.items():
        user = sign_up(email=f"{mail}@staff.example.org", password=cast.password, name=name)
        verify_email(user)
        status.appoint(user, by=None)
        roles.assign(user, wanted, by=None)
        cast.secrets[role] = generate_totp_secret()
        TOTP.activate(user, cast.secrets[role])
        cast.staff[role] = user


def found(cast: Cast, name: str, *, owner: str) -> Any:
    """Have a team, and return it."""
    from accounts import teams

    cast.teams[name] = teams.create(owner=cast[owner].user, name=name)
    return cast.teams[name]


def join(cast: Cast, team: str, *names: str, role: str = "member", by: str) -> None:
    """Have people be asked into a team, and follow."""
    from accounts import invitations, teams

    place = cast.teams[team]
    for name in names:
        user = cast[name].user
        invitations.invite(
            place.pk, email=user.email, role=teams.Role(role), by=cast[by].user, base_url="http://x"
        )
        # The link lies in a mail alone; whoever follows it comes in by the row that it names.
        row = invitations.pending(place.pk).get(email=user.email)
        _follow(row, user)


def _follow(row: Any, user: Any) -> None:
    """Follow the link of the mail that was written for that invitation."""
    from accounts import invitations
    from outbox.models import Mail

    text = Mail.objects.get(key=f"invitation:{row.pk}").text
    token = text.split("/invitations/", 1)[1].split()[0]
    invitations.accept(token, user=user)


def key(
    cast: Cast,
    name: str,
    called: str,
    *,
    at: UUID,
    scopes: tuple[str, ...] = ("proxy", "usage:read", "runs"),
    project: str = "",
    pace: int | None = None,
    amounts: Any = None,
    **rights: Any,
) -> str:
    """Have somebody make a key of a workspace, and return it."""
    from accounts import teams
    from apikeys import limited
    from apikeys.life import Giver
    from apikeys.models import SCOPES
    from apikeys.rights import Rights

    user = cast[name].user
    is_owner = teams.seat(user.pk, at).role == teams.Role.OWNER
    giver = Giver(user.pk, at, Rights(scopes=frozenset(SCOPES)), everybodys=is_owner)
    whole, _ = limited.make(
        giver,
        name=called,
        asked=Rights(scopes=frozenset(scopes), **rights),
        limits=limited.Limits(project, pace, amounts or {}),
    )
    cast[name].keys[called] = whole
    cast[name].pays[called] = at
    return whole


def password() -> str:
    """Return what all of them sign in with."""
    return secrets.token_urlsafe(12)
