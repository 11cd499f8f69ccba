"""The keys that sign access tokens: one signs, the next is published before it does.

    published --> signs --> verifies --> gone
       a day      a month    until the last token that it signed can be renewed no more

A private key is kept sealed under SECRET_KEY: whoever has only the database signs nothing. One that
only an older SECRET_KEY opens is sealed anew; one that cannot be opened any more signs no more, and
another takes its place at once.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import secrets
import threading
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import orjson
from django.db import IntegrityError, transaction
from django.utils import timezone
from joserfc.jwk import ECKey
from nacl.exceptions import CryptoError
from nacl.secret import SecretBox

from accounts.models import SigningKey
from common import rotating
from common.errors import Unauthorized

if TYPE_CHECKING:
    from collections.abc import Iterable

CURVE = "P-256"
ALGORITHM = "ES256"
SIGNS_FOR = timedelta(days=30)
AHEAD = timedelta(days=1)
STAYS_FOR = timedelta(days=2)
"""After another signs: longer than a token lives and can be renewed (tokens.py)."""
FRESH_SECONDS = 60
AGAIN_SECONDS = 5
"""Before that, an unknown key is not looked for again."""

PUBLISHED = "SELECT number, kid, public::text, sealed, signs_at FROM accounts_signingkey"


@dataclass(frozen=True, slots=True)
class Loaded:
    """A key as a process has it."""

    number: int
    kid: str
    public: ECKey
    sealed: bytes
    signs_at: datetime


class Ring:
    """What one process knows of the keys; `load` or `take` brings it up to date."""

    def __init__(self) -> None:
        self._keys: dict[str, Loaded] = {}
        self._loaded_at = float("-inf")
        self._lock = threading.Lock()

    def is_due(self, kid: str | None = None) -> bool:
        """Whether the table is to be read again: a minute is over, or a key is unknown."""
        age = time.monotonic() - self._loaded_at
        return age > FRESH_SECONDS or (kid not in self._keys and age > AGAIN_SECONDS)

    def take(self, rows: Iterable[tuple[Any, ...]]) -> None:
        """Take what `PUBLISHED` returned."""
        read = (
            Loaded(number, kid, ECKey.import_key(orjson.loads(public)), bytes(sealed), signs_at)
            for number, kid, public, sealed, signs_at in rows
        )
        self._keys = {key.kid: key for key in read}
        self._loaded_at = time.monotonic()

    def load(self, kid: str | None = None) -> None:
        """Read the table by Django's connection, if that is due."""
        with self._lock:
            if self.is_due(kid):
                self.reload()

    def reload(self) -> None:
        """Read it now."""
        names = ("number", "kid", "public", "sealed", "signs_at")
        rows = SigningKey.objects.values_list(*names)
        self.take((n, kid, orjson.dumps(public), sealed, at) for n, kid, public, sealed, at in rows)

    def public(self, kid: str) -> ECKey:
        """Return the key that verifies; raise Unauthorized for one that is not published."""
        found = self._keys.get(kid)
        if found is None:
            raise Unauthorized("This token was signed by nobody here. Sign in again.")
        return found.public

    def published(self) -> list[dict[str, Any]]:
        """Return all as JSON Web Keys, with what is said of each."""
        return [
            {**key.public.as_dict(private=False), "kid": kid, "alg": ALGORITHM, "use": "sig"}
            for kid, key in sorted(self._keys.items())
        ]

    def signer(self) -> tuple[str, ECKey]:
        """Return the key that signs now, and its id; there is always one, if need be a new one."""
        self.load()
        now = timezone.now()
        due = sorted(
            (key for key in self._keys.values() if key.signs_at <= now),
            key=lambda key: key.number,
            reverse=True,
        )
        for key in due:
            if (private := _opened(key.sealed)) is not None:
                return key.kid, private
        make(after=max((key.number for key in self._keys.values()), default=0), signs_at=now)
        self.reload()
        return self.signer()


ring = Ring()


def make(*, after: int, signs_at: datetime) -> None:
    """Make the key after that number; where somebody else has, theirs is the one."""
    private = ECKey.generate_key(CURVE)
    try:
        with transaction.atomic():
            SigningKey.objects.create(
                number=after + 1,
                kid=secrets.token_hex(8),
                public=private.as_dict(private=False),
                sealed=_closed(private),
                signs_at=signs_at,
            )
    except IntegrityError:
        if not SigningKey.objects.filter(number__gt=after).exists():
            raise


def tend() -> None:
    """Publish the next key a day before it signs; let go of those that verify nothing any more."""
    now = timezone.now()
    ordered = list(SigningKey.objects.order_by("number"))
    newest = ordered[-1] if ordered else None
    if newest is None:
        make(after=0, signs_at=now)
    elif newest.signs_at + SIGNS_FOR - AHEAD <= now:
        make(after=newest.number, signs_at=now + AHEAD)
    for key, successor in itertools.pairwise(ordered):
        if successor.signs_at + STAYS_FOR <= now:
            key.delete()


@transaction.atomic
def begin(*, at_once: bool) -> datetime:
    """Have another key sign, in a day, and return when; no token ends by that.

    `at_once` is for a key that somebody else may have: the new one signs now, and all others are
    gone. A process refuses their tokens within a minute, but for those that it has verified before:
    they end with their quarter of an hour, or with the process. Sign-ins stay: programs renew.
    """
    numbers = list(SigningKey.objects.select_for_update().values_list("number", flat=True))
    signs_at = timezone.now() if at_once else timezone.now() + AHEAD
    make(after=max(numbers, default=0), signs_at=signs_at)
    if at_once:
        SigningKey.objects.filter(number__in=numbers).delete()
    return signs_at


def reseal() -> int:
    """Have every private key sealed under the SECRET_KEY of today; return how many were not."""
    changed = 0
    for number in list(SigningKey.objects.values_list("number", flat=True)):
        with transaction.atomic():
            row = SigningKey.objects.select_for_update().filter(number=number).first()
            if row is None or _opened(row.sealed, rotating.secret_keys()[:1]) is not None:
                continue
            if (private := _opened(row.sealed)) is not None:
                SigningKey.objects.filter(number=number).update(sealed=_closed(private))
                changed += 1
    return changed


def _closed(private: ECKey) -> bytes:
    return _box(rotating.secret_keys()[0]).encrypt(orjson.dumps(private.as_dict(private=True)))


def _opened(sealed: bytes | memoryview[int], keys: tuple[bytes, ...] = ()) -> ECKey | None:
    for key in keys or rotating.secret_keys():
        with contextlib.suppress(CryptoError, ValueError):
            return ECKey.import_key(orjson.loads(_box(key).decrypt(bytes(sealed))))
    return None


def _box(secret_key: bytes) -> SecretBox:
    secret = hashlib.sha512(secret_key).digest()
    return SecretBox(hashlib.blake2b(key=secret, person=b"signing keys", digest_size=32).digest())
