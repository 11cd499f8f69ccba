"""What somebody who looks at the half year is told: who to sign in as, and where to begin."""

from __future__ import annotations

import base64
import hmac
import struct
import time
from typing import TYPE_CHECKING, Any

from local.halfyear.cast import LUMEN, SCHOOL, STAFF

if TYPE_CHECKING:
    from local.halfyear.stage import Play

STEP_SECONDS, DIGITS = 30, 6


def told(made: Play) -> dict[str, Any]:
    """Return it, as it is kept in `halfyear.json`."""
    people, staff = made.cast.people, made.cast.staff
    return {
        "password": made.cast.password,
        "members": {
            people["mina"].user.email: f"owner of {LUMEN}, and of a second team, {SCHOOL}",
            people["jonas"].user.email: f"sees to the money of {LUMEN} (role: billing)",
            people["tomasz"].user.email: "a member, with limits that were met",
            people["nadia"].user.email: "alone; a payment of hers is disputed",
            people["otto"].user.email: "alone; owes what his bank took back, and new calls wait",
            people["rosa"].user.email: "asked to be deleted, and has days of grace left",
        },
        "staff": {
            staff[role].email: {"role": role, "secret": made.cast.secrets[role]}
            for role in (*STAFF, "all")
        },
        "pages": pages(made),
        "calls": sum(made.callers.statuses.values()),
        "statuses": {str(each): n for each, n in sorted(made.callers.statuses.items())},
    }


def pages(made: Play) -> dict[str, str]:
    """Return where there is much to see, and what is there."""
    from credits.models import TopUp
    from runs.models import Run
    from usage.models import Call, Refusal

    team = made.wallet(LUMEN)
    call = Call.objects.filter(workspace_id=team, outcome="delivered").latest("charged_micros")
    refusal = Refusal.objects.filter(workspace_id=team).latest("last_at")
    bought = TopUp.objects.filter(wallet_id=team).latest("created_at")
    run = Run.objects.filter(workspace_id=team).latest("created_at")
    return {
        "/my/": "where a member is",
        "/my/usage/spend": "what was spent, by vendor, key, member and project",
        f"/my/usage/{call.pk}": "the receipt of a call",
        f"/my/refusals#{refusal.pk}": "why was I refused",
        f"/my/runs/{run.pk}": "a run on the house's machine",
        "/my/credits": "the money of a team",
        f"/staff/customers/{team}": "the same team, as support sees it",
        f"/staff/purchases/{bought.pk}": "a purchase",
        "/staff/money": "what waits for a second person",
        "/staff/prices": "the price book",
        "/staff/margin": "what is left of each vendor",
        "/staff/books": "the books, and their proof",
    }


def lines(kept: dict[str, Any], base_url: str) -> list[str]:
    """Return it as it is printed."""
    made = ["", "Half a year was lived through here. Everybody's password: " + kept["password"], ""]
    made += [f"  {mail}\n      {what}" for mail, what in kept["members"].items()]
    made += ["", "Staff, who are asked for a code besides (`python3 dev.py code ADDRESS` says it):"]
    made += [f"  {mail}  {each['role']}" for mail, each in kept["staff"].items()]
    made += ["", "Pages to begin with:"]
    made += [f"  {base_url}{path}\n      {what}" for path, what in kept["pages"].items()]
    return [*made, ""]


def code(secret: str, at: float | None = None) -> str:
    """Return what an authenticator app shows for a secret now (RFC 6238)."""
    moment = time.time() if at is None else at
    step = struct.pack(">Q", int(moment) // STEP_SECONDS)
    key = base64.b32decode(secret + "=" * (-len(secret) % 8))
    digest = hmac.digest(key, step, "sha1")
    start = digest[-1] & 15
    (number,) = struct.unpack(">I", digest[start : start + 4])
    return str((number & 0x7FFFFFFF) % 10**DIGITS).zfill(DIGITS)
