"""What a member used of a service of the operator's own, told by that service (contract 4.9).

What is recorded is a call like any other: it has its entry, its receipt and its place in the
history, and is taken from the wallet and from the budgets of workspace and member, or it is refused
and nothing is written. It holds and captures in one transaction, under an id that follows from the
wallet and the record's own id: told again, it is the record that is there.

No price of ours says what it costs: the service does. So one record may not cost more than one of
staff may take alone.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import orjson
from django.conf import settings
from django.db import connection, transaction

from apikeys import budgets
from audit import log
from common.errors import IdempotencyMismatch, InvalidRequest
from common.money import Micros, show
from credits.books import batches, holds, ledger
from usage import record
from usage.models import Call

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from uuid import UUID

    from credits.books.allowances import Owner

VENDOR: Final = "operator"
"""What the history calls who did it."""
USUAL: Final = "usage"
"""The operation of a record that names none."""
HOLD_SECONDS: Final = 60
"""Longer than the transaction; nobody ever sees that hold open."""
CLOCKS: Final = timedelta(minutes=5)
"""By so much the clock of a service may be ahead of ours."""
SPACE: Final = uuid.UUID("5e0b8d7a-3f0c-4c55-9a51-6f3f4b1d2c90")
MOST_FACTS: Final = 20
LONGEST_NAME: Final = 64
LONGEST: Final = {"api_name": 100, "model": 200, "job_id": 64}
LONGEST_TEXT: Final = 200
LARGEST_NUMBER: Final = 1 << 53
SETTLE: Final = batches.settle_many(columns=record.COLUMNS, record=record.RECORD)


@dataclass(frozen=True, slots=True)
class Used:
    """What a service tells of one use."""

    charge: Micros
    title: str = ""
    operation: str = USUAL
    run: str = ""
    inputs: dict[str, Any] = field(default_factory=dict)

    @property
    def facts(self) -> dict[str, Any]:
        """What the receipt has beside the charge."""
        return {"title": self.title, "inputs": self.inputs}

    def is_that_of(self, call: Call) -> bool:
        """Whether a call was written for just this."""
        own = (self.charge, self.operation, self.run, self.facts)
        return own == (call.charged_micros, call.operation, call.run_id, call.facts)


def read(params: Mapping[str, Any], at: datetime | None) -> Used:
    """Return what `params` tell; raise InvalidRequest with what cannot be kept.

    They have the names of the contract's events: `charge_micro_usd`, `api_name`, `model`, `job_id`.
    Whatever else they hold is shown on the receipt, if it is a plain text, number or truth value.
    """
    given = dict(params)
    charge = _charge(given.pop("charge_micro_usd", None))
    named = {name: _named(given.pop(name, ""), name, most) for name, most in LONGEST.items()}
    if len(given) > MOST_FACTS:
        raise InvalidRequest(f"params: at most {MOST_FACTS} beside those that have a meaning.")
    for name, value in given.items():
        if not 0 < len(name) <= LONGEST_NAME or not name.isprintable() or not _is_plain(value):
            raise InvalidRequest(
                f"params: a name has at most {LONGEST_NAME} characters, and a value is a text of at"
                f" most {LONGEST_TEXT}, a number, true or false."
            )
    if at is not None:
        given["timestamp"] = at.isoformat()
    return Used(charge, named["api_name"], named["model"] or USUAL, named["job_id"], given)


def _charge(given: Any) -> Micros:
    if isinstance(given, str) and given.isascii() and given.isdigit() and len(given) < 18:
        given = int(given)
    if type(given) is not int or given <= 0:
        raise InvalidRequest("params.charge_micro_usd: what it cost, in whole micro-USD above 0.")
    most = settings.ADJUSTMENT_LIMIT_MICROS
    if given > most:
        raise InvalidRequest(f"params.charge_micro_usd: one record is at most {show(most)}.")
    return Micros(given)


def _named(given: Any, name: str, most: int) -> str:
    if not isinstance(given, str) or len(given) > most or not given.isprintable():
        raise InvalidRequest(f"params.{name}: a text of at most {most} characters.")
    return given.strip()


def _is_plain(value: Any) -> bool:
    if isinstance(value, str):
        return len(value) <= LONGEST_TEXT and value.isprintable()
    return isinstance(value, bool | int | float) and abs(value) < LARGEST_NUMBER


def take(used: Used, *, transaction_id: UUID, user_id: UUID, workspace_id: UUID) -> bool:
    """Charge a member's workspace for one use, once; False if that was done before.

    Raises IdempotencyMismatch where another use has that id, and as `holds.place` does where it
    cannot be paid: then nothing is written.
    """
    call_id = uuid.uuid5(SPACE, f"{workspace_id}/{transaction_id}")
    owners = [budgets.workspaces(workspace_id), budgets.members(workspace_id, user_id)]
    while (done := _taken(used, call_id, user_id, workspace_id, owners)) is None:
        budgets.brought_up(workspace_id, owners)
    return done


@transaction.atomic
def _taken(
    used: Used, call_id: UUID, user_id: UUID, workspace_id: UUID, owners: Sequence[Owner]
) -> bool | None:
    """Do it; None where budgets must be brought up before."""
    running = budgets.running(workspace_id, owners)
    if running is None:
        return None
    ledger.lock(workspace_id)  # A twin waits here, and then sees what we wrote.
    before = Call.objects.filter(pk=call_id, workspace_id=workspace_id).first()
    if before is not None:
        if not used.is_that_of(before):
            raise IdempotencyMismatch("Another use was recorded under this transaction_id.")
        return False
    hold = holds.place(
        workspace_id,
        amount=used.charge,
        ttl_seconds=HOLD_SECONDS,
        budgets=running,
        apart=True,
        memo=_memo(used, user_id),
        hold_id=call_id,
    )
    with connection.cursor() as cursor:
        cursor.execute(SETTLE, [orjson.dumps([_ask(hold, used.charge)]).decode()])
        assert cursor.fetchone() is not None, "it is ours, and nobody else has seen it"
    log.note(
        "usage.recorded",
        subject=user_id,
        workspace=workspace_id,
        target=call_id,
        after={"charged_micros": used.charge},
    )
    return True


def _memo(used: Used, user_id: UUID) -> dict[str, Any]:
    return {
        "vendor": VENDOR,
        "operation": used.operation,
        "run": used.run,
        "price": "as told",
        "user": str(user_id),
        "facts": used.facts,
    }


def _ask(hold: holds.Hold, charge: Micros) -> dict[str, Any]:
    return {
        "hold": hold.id,
        "wallet": str(hold.account),
        "charged": charge,
        "only_expired": False,
        "silent": False,
        "outcome": "delivered",
    }
