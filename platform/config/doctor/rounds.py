"""All that the doctor looks at, one after the other; a look that cannot be made is a failure."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from config import preflight
from config.doctor import (
    address,
    books,
    database,
    environment,
    machine,
    mail,
    overdue,
    payments,
    vendors,
    workers,
)
from config.doctor.verdicts import Verdict, failed, warning, without_secrets

Look = Callable[[], Iterator[Verdict]]

ALONE: dict[str, Look] = {
    "settings": environment.look,
    "public url": address.look,
    "broker": workers.look_at_broker,
    "vendors": vendors.look,
    "stripe": payments.look,
    "mail": mail.look,
    "machine": machine.look,
}
"""What can be looked at without a database."""
IN_DATABASE: dict[str, Look] = {
    "keys": environment.look_at_keys,
    "rotation": overdue.look,
    "vendor accounts": vendors.look_at_accounts,
    "queues": workers.look_at_queues,
    "stripe events": payments.look_at_events,
    "mails": mail.look_at_mails,
    "proofs": books.look,
    "answers": books.look_at_answers,
}


def examine() -> Iterator[Verdict]:
    """Look at everything; give a verdict as soon as there is one."""
    yield from _looked("database", database.look)
    for name, look in ALONE.items():
        yield from _looked(name, look)
    if preflight.obstacle():
        sentence = f"Not looked at without a database in order: {', '.join(IN_DATABASE)}."
        yield warning("rest", sentence, "Mend the database first, then ask again.")
        return
    for name, look in IN_DATABASE.items():
        yield from _looked(name, look)


def _looked(name: str, look: Look) -> Iterator[Verdict]:
    try:
        for verdict in look():
            yield without_secrets(verdict)
    except Exception as exc:  # Whatever it is, the others are looked at, too.
        sentence = f"It could not be looked at: {type(exc).__name__}: {preflight.first_line(exc)}"
        yield without_secrets(failed(name, sentence, "Mend that, then ask again."))
