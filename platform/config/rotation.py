"""Another secret in the place of one: what is written into the environment file, and when.

    begin   the next one is known, and makes nothing yet
    use     it makes what is new; the old one is known still
    drop    the old one is known no more

After each, every program is started again, one by one. A step that the one before has not prepared,
or by which somebody would lose something, is refused. The dates stand in the audit log, with a
fingerprint in the place of each secret.
"""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, Literal

from django.conf import settings
from django.utils import timezone

from accounts import factors, signingkeys
from apikeys import keys
from audit import log
from audit.models import Event
from common import rotating
from common.errors import InvalidRequest
from privacy import steps
from proxy import vendor_accounts
from runs import workers
from webhooks import endpoints

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from uuid import UUID

    from config.envfile import EnvironmentFile

Secret = Literal["pepper", "secret-key"]
RESEAL: Final[Mapping[str, Callable[[], int]]] = {
    "accounts with vendors": vendor_accounts.reseal,
    "second factors": factors.reseal,
    "secrets of webhooks": endpoints.reseal,
    "tokens of machines": workers.reseal,
    "deletions that run": steps.reseal,
    "keys that sign tokens": signingkeys.reseal,
}
"""Everything that is kept in a box, and how it gets into one of the newest secret."""
A_YEAR: Final = timedelta(days=365)


class NotYet(InvalidRequest):
    """A step that would lose something, or was not prepared."""


def begin(which: Secret, file: EnvironmentFile, *, by: UUID, reason: str) -> None:
    """Have the next secret known: what one machine makes with it, the others must understand."""
    _require_same(file)
    if which == "pepper":
        if settings.KEY_PEPPER_NEXT is not None:
            raise NotYet(f"Pepper {settings.KEY_PEPPER_NEXT} is next already: go on with `use`.")
        version, made = rotating.pepper() + 1, secrets.token_hex(32)
        file.write({"KEY_PEPPER_NEXT": f"{version}:{made}"})
        _note("begun", which, made, by, reason)
        return
    if file.get("SECRET_KEY_NEXT"):
        raise NotYet("The next SECRET_KEY is there already: go on with `use`.")
    made = secrets.token_urlsafe(50)
    file.write({"SECRET_KEY_NEXT": made})
    _note("begun", which, made, by, reason)


def use(which: Secret, file: EnvironmentFile, *, by: UUID, reason: str) -> None:
    """Have the next secret make what is new, and the one of now be known still."""
    _require_same(file)
    if which == "pepper":
        version = settings.KEY_PEPPER_NEXT
        if version is None:
            raise NotYet("No pepper is next: `begin` first, and restart every program.")
        file.write({"KEY_PEPPERS": _written(settings.KEY_PEPPERS), "KEY_PEPPER_NEXT": ""})
        _note("used", which, settings.KEY_PEPPERS[version].hex(), by, reason)
        return
    made = file.get("SECRET_KEY_NEXT")
    if not made:
        raise NotYet("No SECRET_KEY is next: `begin` first, and restart every program.")
    older = [settings.SECRET_KEY, *older_secret_keys()]
    file.write({"SECRET_KEY": made, "SECRET_KEY_NEXT": "", "SECRET_KEY_FALLBACKS": ",".join(older)})
    _note("used", which, made, by, reason)


def drop(
    which: Secret, file: EnvironmentFile, *, by: UUID, reason: str, abandon: bool = False
) -> int:
    """Have the old secrets known no more; return how many keys are lost by that.

    Raises NotYet where something needs them: keys that were not used since (`abandon` gives these
    up), what is sealed, or what SECRET_KEY signed and is good still (`abandon`: that ends).
    """
    _require_same(file)
    if which == "pepper":
        return _drop_peppers(file, by=by, reason=reason, abandon=abandon)
    if not older_secret_keys():
        raise NotYet("No older SECRET_KEY is known.")
    good_until = (used_at("secret-key") or timezone.now()) + signed_for()
    if good_until > timezone.now() and not abandon:
        raise NotYet(
            f"What the old SECRET_KEY signed (sessions, links, addresses of files) is good until"
            f" {good_until:%Y-%m-%d}. --abandon ends it now: who is signed in has to do so again."
        )
    signingkeys.reseal()
    file.write({"SECRET_KEY_FALLBACKS": ""})
    _note("dropped", which, settings.SECRET_KEY, by, reason)
    return 0


def _drop_peppers(file: EnvironmentFile, *, by: UUID, reason: str, abandon: bool) -> int:
    kept = {v: p for v, p in settings.KEY_PEPPERS.items() if v >= rotating.pepper()}
    if len(kept) == len(settings.KEY_PEPPERS):
        raise NotYet("No older pepper is known.")
    reseal()
    waiting = keys_of_older_peppers()
    if waiting and not abandon:
        raise NotYet(
            f"{waiting} living keys were not used since, and are known by an older pepper alone."
            " Wait, or revoke them, or --abandon them: nobody can use them then."
        )
    in_use = {v: p for v, p in kept.items() if v != settings.KEY_PEPPER_NEXT}
    file.write({"KEY_PEPPERS": _written(in_use)})
    _note("dropped", "pepper", kept[rotating.pepper()].hex(), by, reason, lost=waiting)
    return waiting


def signed_for() -> timedelta:
    """Return longer than anything that SECRET_KEY signs is good.

    Sessions are for two weeks, links of deletions up to 25 days, files of runs as long as kept.
    """
    return timedelta(days=max(28, settings.RUNS_KEEP_DAYS + 1))


def reseal() -> dict[str, int]:
    """Have everything that is kept sealed by the newest secrets; return how much was not."""
    return {name: act() for name, act in RESEAL.items()}


def keys_of_older_peppers() -> int:
    """Return how many living keys have their digest under an older pepper."""
    return keys.living().filter(pepper_version__lt=rotating.pepper()).count()


def older_secret_keys() -> list[str]:
    """Return what was SECRET_KEY and is known still, without what will be."""
    return [each for each in settings.SECRET_KEY_FALLBACKS if each != settings.SECRET_KEY_NEXT]


def used_at(which: Secret) -> datetime | None:
    """Return since when the secret of now makes what is new; None if that was never written."""
    pepper = settings.KEY_PEPPERS[rotating.pepper()].hex()
    mark = fingerprint(pepper if which == "pepper" else settings.SECRET_KEY)
    found = Event.objects.filter(action="secret.used", target=which, after__fingerprint=mark)
    return found.order_by("id").values_list("at", flat=True).last()


def fingerprint(secret: str) -> str:
    """Return by what a secret is told from others in the log; nobody gets from there to it."""
    return hashlib.blake2b(secret.encode(), person=b"fingerprint", digest_size=6).hexdigest()


def _written(peppers: Mapping[int, bytes]) -> str:
    return ",".join(f"{version}:{pepper.hex()}" for version, pepper in sorted(peppers.items()))


def _require_same(file: EnvironmentFile) -> None:
    """Refuse a file that is not what this program runs on: it would undo what that knows."""
    ours = {"SECRET_KEY": settings.SECRET_KEY}
    if {name: file.get(name) for name in ours} != ours or not _has_peppers(file):
        raise InvalidRequest(
            f"{file.path} is not what this program runs on: read it into the environment first."
        )


def _has_peppers(file: EnvironmentFile) -> bool:
    both = file.get("KEY_PEPPERS") + file.get("KEY_PEPPER_NEXT")
    return all(pepper.hex() in both for pepper in settings.KEY_PEPPERS.values())


def _note(
    what: str, which: Secret, made: str, by: UUID, reason: str, *, lost: int | None = None
) -> None:
    after: dict[str, object] = {"fingerprint": fingerprint(made)}
    if lost:
        after["lost"] = lost
    log.note(f"secret.{what}", actor=by, target=which, after=after, reason=reason)
