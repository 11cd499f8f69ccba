"""A machine gets a key of its own, though its ComfyUI is on plain http in a network of the house.

    waiting --code typed--> found --approved--> APPROVED --the machine has it--> taken
       '-----------------------'----------------------'-- refused, given up, or ten minutes over

The machine makes a key pair and a secret, and asks (by https); it gets a code, which it shows. A
member who is signed in types the code on our page, sees which machine asks, and approves. The
machine's key is made then, sealed for that public key, and kept only until the machine has it.

Where a code goes over plain http, whoever listens has learnt nothing: the code is good once, only
for somebody signed in, and gives the machine *their* credits. The check words (of the public key
and the code) are the same on both sides unless somebody stands between them.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from django.db import IntegrityError, transaction
from django.utils import timezone, translation
from django.utils.translation import gettext, gettext_noop
from nacl.exceptions import RuntimeError as WeakKey
from nacl.public import PublicKey, SealedBox

from accounts import teams
from apikeys import allowances, life, states
from apikeys.models import ApiKey, Pairing
from apikeys.rights import Rights
from audit import log
from common import proquints, ratelimits, rotating
from common.addresses import household
from common.errors import InvalidRequest, NotFound, RateLimited
from common.money import show
from common.personal import delete_in_steps
from outbox import mails

if TYPE_CHECKING:
    from uuid import UUID

    from django.db.models import QuerySet

    from accounts.models import User
    from apikeys.life import Giver
    from common.money import Micros

State = Pairing.State
OPEN: Final = (State.WAITING, State.FOUND, State.APPROVED)

ALPHABET: Final = "23456789BCDFGHJKMNPQRSTVWXYZ"
"""Of 28 signs that nobody takes for one another, and no vowel that makes a word."""
LENGTH: Final = 8
GOOD_FOR: Final = timedelta(minutes=10)
SECONDS: Final = int(GOOD_FOR.total_seconds())
MAY: Final = frozenset({"proxy", "usage:read"})
"""What the key of a machine may: what ComfyUI itself asks for."""
MOST_WAITING: Final = 1000
"""About so many at once: with fewer codes about, fewer are hit by guessing."""
MOST_BEGUN: Final = 30
"""From one household in ten minutes: a room of machines."""
MOST_ASKED: Final = 3000
"""From one household in a minute: that room, every few seconds."""
MOST_WRONG: Final = {"person": 10, "address": 30}
"""Codes that lead nowhere, in ten minutes."""
NONE: Final = "There is no such pairing."
BY_ITSELF: Final = "nobody took it"
KEPT_FOR: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Begun:
    """What a machine learns at the beginning; the code is kept nowhere."""

    pairing: Pairing
    code: str


def check_words(public_key: bytes, code: str) -> str:
    """Return what both sides show; clients/comfyui-credits works out the same."""
    return proquints.of(hashlib.sha256(b"pairing\0" + public_key + code.encode()).digest()[:4])


def begin(*, machine: str, public_key: bytes, secret_digest: bytes, address: str) -> Begun:
    """Have a machine wait, for ten minutes, for somebody who types its code."""
    ratelimits.take("pairing", household(address), most=MOST_BEGUN, seconds=SECONDS)
    _require_good(public_key)
    now = timezone.now()
    if Pairing.objects.filter(state=State.WAITING, expires_at__gt=now).count() >= MOST_WAITING:
        raise RateLimited(
            gettext("Too many machines wait for somebody. Try again in a minute."),
            headers={"Retry-After": "60"},
        )
    while True:
        signs = "".join(secrets.choice(ALPHABET) for _ in range(LENGTH))
        code = f"{signs[:4]}-{signs[4:]}"
        try:
            with transaction.atomic():
                made = Pairing.objects.create(
                    machine=_printable(machine) or "a machine without a name",
                    address=address[:45],
                    public_key=public_key,
                    words=check_words(public_key, code),
                    secret_digest=secret_digest,
                    code_digest=_digests(signs)[0],
                    expires_at=now + GOOD_FOR,
                )
        except IntegrityError:  # Somebody else shows this one.
            continue
        return Begun(made, code)


def find(typed: str, *, user: User, address: str) -> Pairing:
    """Return the machine that shows this code, for this person alone: a code is good once.

    Raises NotFound, and RateLimited for who has tried too many that lead nowhere.
    """
    tries = (("person", str(user.pk)), ("address", household(address)))
    for kind, who in tries:
        ratelimits.take(f"pairing-{kind}", who, most=MOST_WRONG[kind], seconds=SECONDS)
    signs = "".join(sign for sign in typed.upper() if sign.isalnum())
    now = timezone.now()
    waiting = Pairing.objects.filter(state=State.WAITING, expires_at__gt=now)
    row = waiting.filter(code_digest__in=_digests(signs)).first()
    if row is None or not waiting.filter(pk=row.pk).update(
        state=State.FOUND, code_digest=None, found_by=user
    ):
        raise NotFound(
            gettext("No machine shows this code now. Look again: a code is good for 10 minutes.")
        )
    for kind, who in tries:
        ratelimits.give_back(f"pairing-{kind}", who, seconds=SECONDS)
    row.refresh_from_db()
    return row


def found(pairing_id: UUID, *, user: User) -> Pairing:
    """Return a machine whose code this person typed; raise NotFound when it waits no more."""
    return _first(_found_by(pairing_id, user))


def _found_by(pairing_id: UUID, user: User) -> QuerySet[Pairing]:
    return Pairing.objects.filter(
        pk=pairing_id, found_by=user, state=State.FOUND, expires_at__gt=timezone.now()
    )


def _first(rows: QuerySet[Pairing]) -> Pairing:
    row = rows.first()
    if row is None:
        raise NotFound(gettext("This machine waits no more. Have it show another code."))
    return row


@transaction.atomic
def approve(
    pairing_id: UUID,
    giver: Giver,
    *,
    user: User,
    name: str,
    limit: Micros,
    per_day: Micros,
    days: int,
) -> ApiKey:
    """Make a key for the machine, sealed so that only it can open that; tell the member by mail.

    The key is of the giver's workspace, named, limited in one call and in a day, and ends by
    itself. A second time raises NotFound: the machine waits no more.
    """
    row = _first(_found_by(pairing_id, user).select_for_update(of=("self",)))
    # Both now, and in this order: a key is made under the first, its rule is set under the second,
    # and a key that was made refers to it, which locks it, too.
    states.lock_owner(user.pk)
    teams.locked(user.pk, giver.workspace_id)
    now = timezone.now()
    asked = Rights(scopes=MAY, call_limit=limit, expires_at=now + timedelta(days=days))
    whole, key = life.make(giver, name=name, description=f"Paired: {row.machine}", asked=asked)
    allowances.set_rule(giver.workspace_id, "key", str(key.pk), "day", per_day, by=user.pk)
    row.state, row.key = State.APPROVED, key
    row.box = SealedBox(PublicKey(bytes(row.public_key))).encrypt(whole.encode())
    row.expires_at = now + GOOD_FOR  # It asks again, however late it was approved.
    row.save(update_fields=["state", "key", "box", "expires_at"])
    log.note(
        "pairing.approved",
        actor=user.pk,
        subject=user.pk,
        workspace=giver.workspace_id,
        target=key.pk,
        after={"per_call_micros": limit, "per_day_micros": per_day, "days": days},
    )
    with mails.in_language_of(user.email):
        mails.write(
            f"pairing:{row.pk}",
            to=user.email,
            subject=gettext("A machine may use your credits now"),
            text=translation.gettext(LETTER)
            % {
                "machine": row.machine,
                "address": row.address,
                "name": key.name,
                "limit": show(limit),
                "per_day": show(per_day),
                "days": days,
            },
        )
    return key


LETTER = gettext_noop("""\
You approved a machine that calls itself "%(machine)s", at %(address)s.

It has a key of its own now, "%(name)s": for at most %(limit)s in one call and %(per_day)s in a
day, for %(days)s days.

Was that not you? Sign in, revoke the key, and change your password.
""")


@transaction.atomic
def refuse(pairing_id: UUID, *, user: User) -> None:
    """Let the machine go without; raise NotFound when it waits no more."""
    if not _found_by(pairing_id, user).update(state=State.REFUSED):
        raise NotFound(gettext("This machine waits no more."))
    log.note("pairing.refused", actor=user.pk, subject=user.pk, target=pairing_id)


# --- what the machine asks ----------------------------------------------------------------------


def asked_by(pairing_id: UUID, secret: str, *, address: str) -> Pairing:
    """Return a pairing to the machine that began it; raise NotFound to everybody else."""
    ratelimits.take("pairing-asked", household(address), most=MOST_ASKED, seconds=60)
    row = Pairing.objects.select_related("found_by").filter(pk=pairing_id).first()
    shown = hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
    if row is None or not hmac.compare_digest(shown, bytes(row.secret_digest)):
        raise NotFound(NONE)
    return row


def told(row: Pairing) -> str:
    """Return how a pairing stands, in a word."""
    is_over = row.state in OPEN and row.expires_at <= timezone.now()
    return "expired" if is_over else str(row.state)


def masked(email: str) -> str:
    """Return an address as its owner knows it again, and nobody else learns it: `m…@e….org`."""
    name, _, host = email.partition("@")
    return f"{name[:1]}…@{host[:1]}….{host.rpartition('.')[2]}"


@transaction.atomic
def take(row: Pairing) -> None:
    """Forget the sealed key: the machine has it. Again: nothing; raises NotFound if it has none."""
    now = Pairing.objects.select_for_update().filter(pk=row.pk).first()
    if now is None:
        raise NotFound(NONE)
    if now.state == State.TAKEN:
        return
    if told(now) != State.APPROVED:
        raise NotFound(gettext("There is no key to take."))
    Pairing.objects.filter(pk=now.pk).update(state=State.TAKEN, box=None)


def give_up(row: Pairing) -> None:
    """End it: the machine wants no key, or not that one, which is revoked. Again: nothing."""
    _end(row.pk, reason="the machine did not want it")


def tend() -> None:
    """Revoke the keys that no machine took in time, and forget what has been over for a day."""
    now = timezone.now()
    left = Pairing.objects.filter(state=State.APPROVED, expires_at__lte=now)
    for pairing_id in list(left.values_list("pk", flat=True)[:MOST_WAITING]):
        _end(pairing_id, reason=BY_ITSELF)
    delete_in_steps(Pairing.objects.filter(expires_at__lte=now - KEPT_FOR))


@transaction.atomic
def _end(pairing_id: UUID, *, reason: str) -> None:
    rows = Pairing.objects.select_for_update(of=("self",)).select_related("key")
    row = rows.filter(pk=pairing_id).first()
    if row is None:
        raise NotFound(NONE)
    if row.state in (State.TAKEN, State.REFUSED):
        return
    if row.key is not None:
        states.revoke(row.key, by=row.key.user_id, reason=reason)
    Pairing.objects.filter(pk=row.pk).update(state=State.REFUSED, code_digest=None, box=None)


def _digests(signs: str) -> list[bytes]:
    """Return what may be kept of a code: nothing that a stolen database could be searched by.

    The first is what is kept of a new one.
    """
    said = b"pairing\0" + signs.encode()
    return [hmac.digest(key, said, "sha256") for key in rotating.secret_keys()]


def _require_good(public_key: bytes) -> None:
    try:
        SealedBox(PublicKey(public_key)).encrypt(b"")
    except (WeakKey, ValueError, TypeError):
        raise InvalidRequest(gettext("public_key: 32 bytes of X25519, in base64.")) from None


def _printable(text: str) -> str:
    return "".join(sign for sign in text if sign.isprintable()).strip()[:60]
