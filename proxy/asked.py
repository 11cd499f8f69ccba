"""What a price may depend on: what was asked before, and what is known after."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from common.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Mapping
    from fractions import Fraction

    from proxy.forms import Form
    from proxy.inputs import Ours


@dataclass(slots=True)
class Asked:
    """What a client asks of an operation."""

    parts: Mapping[str, str] = field(default_factory=dict)
    """Of the path: what stands where the catalogue has a name."""
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    """Those that the operation passes on, in lower case."""
    body: dict[str, Any] = field(default_factory=dict)
    """The JSON object, or a form's text fields."""
    form: Form | None = None
    files: Mapping[str, Ours] = field(default_factory=dict)
    """The caller's files here that it names, by their addresses."""
    along: Mapping[str, bytes] = field(default_factory=dict)
    """The contents of those that are sent along, because the vendor cannot fetch them."""
    uploads: Mapping[str, Ours] = field(default_factory=dict)
    """Those that the vendor must be given first, by an upload of its own."""
    given: Mapping[str, str] = field(default_factory=dict)
    """What the vendor calls these, by their addresses, once it has them."""
    given_to: str | None = None
    """The account that they were given under: no other knows them."""
    measured: Mapping[str, Fraction] = field(default_factory=dict)
    """What was measured of the files that it names, by the field: seconds, frames or pixels."""
    caller: bytes = b""
    """What is the same for each call with a key, or of a sign-in, and of no other."""
    is_question: bool = False
    """Whether only a price is asked: files may be named whose content is not here."""
    told: Any = None
    """What the vendor says of the job that a submit names, before it is paid for."""
    available: int | None = None
    """Micros that the wallet has free, where the price wants to know (`Price.fits_wallet`)."""

    @property
    def client(self) -> str:
        """A name of whoever calls, for a vendor that tells our clients apart; it says no more."""
        named = b"client\0" + self.caller
        return hashlib.sha256(named).hexdigest()[:32] if self.caller else ""

    def text(self, name: str, *, most: int = 1000) -> str:
        """Return a text of the body, or raise InvalidRequest: an id, the name of a model."""
        value = self.body.get(name)
        if not isinstance(value, str) or not 0 < len(value) <= most:
            raise InvalidRequest(f"{name} must be a text of at most {most} characters.")
        return value


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of a call after the vendor worked; JSON values are as the vendor sent them."""

    submit: Any = None
    """The answer that accepted the job."""
    end: Any = None
    """The answer that is the result, or that told of the job's end; a stream's last line."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Of that answer, in lower case."""
    measured: Mapping[str, Fraction] = field(default_factory=dict)
    """What the delivered file measures (`seconds`); empty where it cannot be read."""

    @property
    def is_final(self) -> bool:
        """Whether nothing more will be known: then a price is due."""
        return self.end is not None
