"""A key that somebody published is disabled, with all that was made with it, and its owner is told.

Reports come in the form that GitHub's secret scanning gives them: a JSON list of tokens, signed
(ECDSA, P-256, SHA-256) over the bytes as they are, by a key whose public half its site publishes
under an identifier. A token that never was a key of ours changes nothing.

A key may have ended before, by the hand of whoever found it: what they made with it is disabled
all the same.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import logging
import threading
import time
import urllib.request
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext, gettext_noop

from apikeys import keys, states
from apikeys.models import ApiKey
from common.errors import InvalidRequest, Unavailable
from outbox import mails

if TYPE_CHECKING:
    from collections.abc import Iterator

log = logging.getLogger(__name__)

REPORTER = uuid.UUID(int=0)
"""Who disables a key because of a report: nobody of us."""
MOST_REPORTS = 5000
FETCH_SECONDS = 5
MOST_KEYS_BYTES = 1 << 20
FRESH_SECONDS = 24 * 3600
AGAIN_SECONDS = 60
"""Before that, an identifier that is unknown is not asked for again."""


@dataclass(frozen=True, slots=True)
class Judged:
    """What was found of one reported token."""

    token: str
    kind: str
    is_ours: bool

    def feedback(self) -> dict[str, str]:
        """Return what the reporter may learn: whether it was a key. The token is not repeated."""
        return {
            "token_hash": hashlib.sha256(self.token.encode("utf-8", "replace")).hexdigest(),
            "token_type": self.kind,
            "label": "true_positive" if self.is_ours else "false_positive",
        }


class Signers:
    """The public keys of whoever reports, by their identifiers; asked for again now and then."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[str, ec.EllipticCurvePublicKey] = {}
        self._asked_at = -2.0 * FRESH_SECONDS

    def of(self, identifier: str) -> ec.EllipticCurvePublicKey | None:
        """Return a key; None if there is none of that name. Raises Unavailable."""
        with self._lock:
            age = time.monotonic() - self._asked_at
            if age > FRESH_SECONDS or (identifier not in self._known and age > AGAIN_SECONDS):
                self._asked_at = time.monotonic()
                try:
                    self._known = _fetch(settings.LEAK_REPORT_KEYS_URL)
                except (OSError, ValueError) as exc:
                    log.warning("who reports leaked keys could not be looked up: %s", exc)
                    if identifier not in self._known:
                        raise Unavailable("Who signs cannot be looked up right now.") from exc
            return self._known.get(identifier)


signers = Signers()


def _fetch(url: str) -> dict[str, ec.EllipticCurvePublicKey]:
    """Ask the reporter's site for its public keys; raise OSError or ValueError."""
    request = urllib.request.Request(url, headers={"Accept": "application/json"})  # noqa: S310
    with urllib.request.urlopen(request, timeout=FETCH_SECONDS) as answer:  # noqa: S310  # nosec B310
        body = answer.read(MOST_KEYS_BYTES + 1)
    if len(body) > MOST_KEYS_BYTES:
        raise ValueError("the answer is too long")
    found = json.loads(body)
    listed = found.get("public_keys") if isinstance(found, dict) else None
    if not isinstance(listed, list):
        raise ValueError("the answer lists no keys")  # noqa: TRY004 - of the answer
    return dict(_read(listed))


def _read(listed: list[Any]) -> Iterator[tuple[str, ec.EllipticCurvePublicKey]]:
    for each in listed:
        try:
            key = load_pem_public_key(str(each["key"]).encode())
        except (UnsupportedAlgorithm, ValueError, KeyError, TypeError):
            continue
        if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
            yield str(each.get("key_identifier")), key


def verify(body: bytes, *, identifier: str, signature: str) -> None:
    """Raise InvalidRequest unless the bytes are signed as they are by the named key."""
    signer = signers.of(identifier) if identifier else None
    try:
        given = base64.b64decode(signature, validate=True)
        if signer is not None and given:
            signer.verify(given, body, ec.ECDSA(hashes.SHA256()))
            return
    except (InvalidSignature, binascii.Error, ValueError):
        pass
    raise InvalidRequest("The report is not signed by whom we believe.")


def report(body: bytes) -> list[Judged]:
    """Act on a report whose signature was verified; return what was found of each token."""
    try:
        listed = json.loads(body)
    except (ValueError, RecursionError) as exc:
        raise InvalidRequest("The report is not JSON.") from exc
    if not isinstance(listed, list) or len(listed) > MOST_REPORTS:
        raise InvalidRequest(f"A report is a list of at most {MOST_REPORTS} tokens.")
    judged = []
    for each in listed:
        if not isinstance(each, dict) or not isinstance(each.get("token"), str):
            raise InvalidRequest("Each of the list has a token.")
        token, url = each["token"].strip(), str(each.get("url") or "")
        judged.append(Judged(token, str(each.get("type") or ""), _leaked(token, url)))
    return judged


def _leaked(token: str, url: str) -> bool:
    """Disable the key that a token is, or was, and what was made with it; whether it is one."""
    if not keys.is_wellformed(token):
        return False
    key = ApiKey.objects.filter(digest__in=keys.digests(token)).select_related("user").first()
    if key is not None:
        _end(key, url)
    return key is not None


@transaction.atomic
def _end(key: ApiKey, url: str) -> None:
    """Disable a key and what was made with it, and write to its owner; again: nothing."""
    states.lock_owner(key.user_id)
    reason = gettext_noop("It was found published, and may be in anybody's hands.")
    # First: a run of it that begins now has made its key by then, or makes none.
    is_ended = states.seize(key, by=REPORTER, reason=reason)
    made = states.end_made(key, lambda each: states.seize(each, by=REPORTER, reason=reason))
    if not is_ended and not made:
        return
    with mails.in_language_of(key.user.email):
        mails.write(
            f"leak:{key.pk}:{timezone.now().isoformat()}",
            to=key.user.email,
            subject=gettext("Your API key %(prefix)s was found published") % {"prefix": key.prefix},
            text=_letter(key, made, url),
        )


def _letter(key: ApiKey, made: list[ApiKey], url: str) -> str:
    found = gettext("Your API key %(prefix)s… (%(name)s) was found where others can read it:")
    lines = [
        found % {"prefix": key.prefix, "name": key.name},
        "",
        f"    {' '.join(url.split())[:500] or gettext('where exactly is not said')}",
        "",
        gettext(
            "It was revoked before, and calls nothing. Look at your usage for calls that were not "
            "yours."
        )
        if key.revoked_at
        else gettext(
            "It is disabled, and calls nothing any more. Make another in its place, and look at "
            "your\nusage for calls that were not yours."
        ),
    ]
    if made:
        lines += ["", gettext("These keys were made with it, and are disabled, too:")]
        lines += [f"    {each.prefix}… ({each.name})" for each in made[:50]]
    if "keys:manage" in key.scopes:
        lines += ["", gettext("It could also make webhooks: look whether all of them are yours.")]
    return "\n".join(lines) + "\n"
