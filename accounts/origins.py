"""From where people may sign in: a table of origins, compared exactly, never as parts of a text.

    https://comfy.example.org        that origin
    https://*.example.org            each below it, and not itself

An origin must be secure: https, or http on this machine (localhost, 127.0.0.1, [::1]), which is
always allowed, at whatever port, and so is PUBLIC_URL. A key works from anywhere.
"""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING, Final, NamedTuple

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone
from django.utils.translation import gettext

from accounts.models import AllowedOrigin, RefusedOrigin
from audit import log
from common.errors import InvalidRequest, NotFound, OriginNotAllowed
from credits.books import reasons

if TYPE_CHECKING:
    from uuid import UUID

USUAL: Final = {"http": 80, "https": 443}
THIS_MACHINE: Final = frozenset(("localhost", "127.0.0.1", "[::1]"))
FORM: Final = re.compile(
    r"([hH][tT]{2}[pP][sS]?)://([^\s/?#@\\:\[\]]+|\[[0-9a-fA-F:.]+\])(?::([0-9]{1,5}))?"
)
READ_OTHERWISE: Final = re.compile("[\u00df\u1e9e\u03c2\u200c\u200d]")
"""Sharp s, final sigma, joiners: to Python's IDNA others, or nothing; to browsers, themselves."""
LABEL: Final = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
LONGEST: Final = 253
MOST_REFUSED: Final = 2000
"""So many refused origins are kept; whoever makes up more of them is not written down."""

NOTE_REFUSED = """
INSERT INTO accounts_refusedorigin AS known (origin, tries, first_at, last_at)
SELECT %(origin)s, 1, now(), now()
 WHERE EXISTS (SELECT FROM accounts_refusedorigin WHERE origin = %(origin)s)
    OR (SELECT count(*) FROM accounts_refusedorigin) < %(most)s
    ON CONFLICT (origin) DO UPDATE SET tries = known.tries + 1, last_at = now(), hidden_at = NULL
"""


class Origin(NamedTuple):
    """An origin in its one form: lower case, no trailing dot, punycode, no usual port."""

    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        usual = USUAL[self.scheme] == self.port
        return f"{self.scheme}://{self.host}" + ("" if usual else f":{self.port}")

    @property
    def is_this_machine(self) -> bool:
        """Whether it is the machine on which the browser runs."""
        return self.host in THIS_MACHINE

    @property
    def is_secure(self) -> bool:
        """Whether browsers take it for one where secrets may be typed."""
        return self.scheme == "https" or self.is_this_machine


def read(text: str) -> Origin | None:
    """Return the origin that a text is; None if it is none, or more than one.

    `null`, `file://`, names and passwords, paths, and hosts that browsers read otherwise are none:
    these can be written in punycode.
    """
    found = FORM.fullmatch(text)
    if found is None:
        return None
    scheme, port = found[1].lower(), int(found[3] or USUAL[found[1].lower()])
    host = _host(found[2])
    if host is None or not 0 < port < 1 << 16:
        return None
    return Origin(scheme, host, port)


def _host(text: str) -> str | None:
    """Return a host in its one form; None if it is none."""
    if text.startswith("["):
        try:
            return f"[{ipaddress.IPv6Address(text[1:-1]).compressed}]"
        except ValueError:
            return None
    if READ_OTHERWISE.search(text):
        return None
    try:
        name = text.encode("idna").decode().lower().removesuffix(".")
    except UnicodeError:
        return None
    labels = name.split(".")
    if len(name) > LONGEST or not all(map(LABEL.fullmatch, labels)):
        return None
    if re.fullmatch(r"[0-9]+|0x[0-9a-f]*", labels[-1]):  # Browsers read an address there.
        try:
            return str(ipaddress.IPv4Address(name))
        except ValueError:
            return None
    return name


def is_allowed(text: str) -> bool:
    """Whether people may sign in from an origin."""
    origin = read(text)
    if origin is None or not origin.is_secure:
        return False
    if origin.is_this_machine or origin == read(settings.PUBLIC_URL):
        return True
    return AllowedOrigin.objects.filter(pattern__in=_patterns(origin)).exists()


def _patterns(origin: Origin) -> list[str]:
    """Return every text in the table that would allow an origin."""
    labels = origin.host.split(".")
    above = [".".join(labels[n:]) for n in range(1, len(labels) - 1)]
    return [str(origin), *(str(origin._replace(host=f"*.{host}")) for host in above)]


def check(text: str) -> None:
    """Raise OriginNotAllowed, and write the origin down, unless people may sign in from it."""
    if is_allowed(text):
        return
    origin = read(text)
    with connection.cursor() as cursor:
        shown = _shown(str(origin or text))
        cursor.execute(NOTE_REFUSED, {"origin": shown, "most": MOST_REFUSED})
    raise refusal(origin or text)


def refusal(origin: Origin | str) -> OriginNotAllowed:
    """Return why nobody signs in from there, and what to do instead."""
    must = gettext("ask whoever runs this to allow it")
    if isinstance(origin, str) or not origin.is_secure:
        must = gettext("it must be https, or localhost")
    sentence = gettext(
        "Nobody signs in from %(origin)s here: %(must)s. An API key works from anywhere: make one "
        "on our own pages, and give it to ComfyUI instead of signing in."
    )
    return OriginNotAllowed(sentence % {"origin": _shown(str(origin)), "must": must})


def _shown(text: str) -> str:
    """Return a text that may be stored and shown, however odd it is."""
    return "".join(sign if sign.isprintable() else "?" for sign in text)[:300] or "nowhere"


def pattern(text: str) -> str:
    """Return an origin, or one with `*.` before its host, in its one form.

    Raises InvalidRequest with what is wrong about it.
    """
    text = text.strip().removesuffix("/")
    below = "://*." in text
    origin = read(text.replace("://*.", "://", 1))
    if origin is None:
        raise InvalidRequest(
            gettext("An origin is like https://comfy.example.org, without a path.")
        )
    if not origin.is_secure:
        raise InvalidRequest(
            gettext("%(origin)s is not secure: it must be https, or localhost.")
            % {"origin": origin}
        )
    if not below:
        return str(origin)
    if origin.scheme != "https" or "." not in origin.host or origin.host[-1].isdigit():
        raise InvalidRequest(gettext("What is below a name is like https://*.example.org."))
    return str(origin._replace(host=f"*.{origin.host}"))


@transaction.atomic
def allow(text: str, *, by: UUID, reason: str) -> bool:
    """Let people sign in from an origin; False if they may already."""
    wanted, reason = pattern(text), reasons.given(reason, to="This")
    _, is_new = AllowedOrigin.objects.get_or_create(
        pattern=wanted, defaults={"added_by": by, "reason": reason}
    )
    RefusedOrigin.objects.filter(origin=wanted).delete()
    if is_new:
        log.note("origin.allowed", actor=by, target=wanted, reason=reason)
    return is_new


@transaction.atomic
def remove(text: str, *, by: UUID, reason: str) -> None:
    """Let nobody sign in from an origin any more; raises NotFound if it is not in the table."""
    wanted, reason = pattern(text), reasons.given(reason, to="This")
    gone, _ = AllowedOrigin.objects.filter(pattern=wanted).delete()
    if not gone:
        raise NotFound(gettext("%(wanted)s is not in the table.") % {"wanted": wanted})
    log.note("origin.removed", actor=by, target=wanted, reason=reason)


def hide(text: str) -> bool:
    """Show a refused origin no more until it is tried again; False if it is not there."""
    shown = RefusedOrigin.objects.filter(origin=text.strip(), hidden_at=None)
    return bool(shown.update(hidden_at=timezone.now()))
