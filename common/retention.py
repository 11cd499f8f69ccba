"""For how many days each kind of data is kept, unless the operator says otherwise."""

from __future__ import annotations

from typing import Final

DEFAULTS: Final = {
    "mails": 90,
    "addresses": 180,
    "audit": 1000,
    "payment_events": 90,
    "invitations": 90,
    "sign_ins": 90,
    "findings": 1000,
    "certificates": 1095,
    "refusals": 90,
}
"""Mails that went out; from where people acted; what they did; what the payment provider told;
invitations and sign-ins of programs that ended; findings that were closed; deletions that were
done; calls that a limit refused."""
LEAST: Final = dict.fromkeys(DEFAULTS, 1) | {"audit": 400, "payment_events": 31}
"""The audit log refuses to lose what is younger; events are listed again for thirty days."""


def read(text: str) -> dict[str, int]:
    """Read `mails:30,audit:800`; what is not named is as by default. Raises ValueError."""
    found = dict(DEFAULTS)
    for part in filter(None, (each.strip() for each in text.split(","))):
        name, _, days = part.partition(":")
        if name not in DEFAULTS:
            raise ValueError(f"knows {', '.join(DEFAULTS)}, and no {name[:40]!r}")
        if not (days.isdecimal() and LEAST[name] <= int(days[:6]) <= 36_500):
            raise ValueError(f"needs {LEAST[name]} days or more for {name}")
        found[name] = int(days)
    return found
