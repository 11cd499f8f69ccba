"""What vendors ask of us, matched with our calls by request id: missing, double, different.

An export is brought in whole, in one transaction, some thousand lines at a time: a request is one
row, whatever the number of its lines. Then each is looked up among our calls by its index, and has
one verdict (models.BilledCall.Verdict). What differs is told as findings, one of each kind.

Exports overlap: what an earlier one said of a request is not counted again, and where they differ
only the difference is. So the cost of a request over all exports is what the last one said of it.
"""

from __future__ import annotations

import hashlib
import itertools
from typing import TYPE_CHECKING, Any, Final

from django.db import connection, transaction

from audit import log
from common.errors import InvalidRequest, NotFound
from common.money import show
from credits.books import findings, reasons
from credits.models import Finding
from prices import exports
from prices.models import Bill, BilledCall
from usage.record import OWN_ACCOUNT

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import BinaryIO
    from uuid import UUID

    from prices.exports import Form, Line

Verdict = BilledCall.Verdict
AT_ONCE: Final = 5_000
"""So many lines go to the database in one statement."""
MOST_UNBILLED: Final = 10_000
"""So many calls that an export does not name have rows; all are counted."""
PIECE: Final = 1 << 20
TOLD: Final = {
    Verdict.MISSING: "asks for {n} requests that are not among our calls, {amount} together",
    Verdict.DOUBLE: "asks more than once for {n} requests, {amount} together",
    Verdict.DIFFERENT: "asks {amount} for {n} calls that cost less, or that it did not deliver",
    Verdict.UNBILLED: "does not ask for {n} calls that were delivered in the time of its export",
}

LOCK = "SELECT pg_advisory_xact_lock(hashtext('prices_bill:' || %s))"
ADD = """
    INSERT INTO prices_billedcall AS had (bill_id, vendor, request, lines, charges, micros, at,
                                          counted_micros, verdict)
    SELECT %(bill)s, %(vendor)s, request, count(*), count(*) FILTER (WHERE micros > 0),
           sum(micros), min(at), 0, 'missing'
      FROM unnest(%(requests)s::text[], %(micros)s::bigint[], %(at)s::timestamptz[])
           AS given(request, micros, at)
     GROUP BY request
        ON CONFLICT (bill_id, request) DO UPDATE
       SET lines = had.lines + excluded.lines, charges = had.charges + excluded.charges,
           micros = had.micros + excluded.micros, at = least(had.at, excluded.at)
"""
_OURS = """
    SELECT id, settled_at, outcome, charged_micros,
           CASE WHEN outcome = 'delivered'
                THEN coalesce((facts->>'retail')::bigint, charged_micros) ELSE 0 END AS due
      FROM usage_call
     WHERE {column} = one.request AND {column} <> '' AND vendor = %(vendor)s
"""
MATCH = f"""
    UPDATE prices_billedcall billed
       SET call_id = call.id, due_micros = call.due, charged_micros = call.charged_micros,
           day = (coalesce(call.settled_at, one.at) AT TIME ZONE 'UTC')::date,
           counted_micros = one.micros - coalesce(before.micros, 0),
           verdict = CASE WHEN before.micros = one.micros THEN 'again'
                          WHEN call.id IS NULL THEN 'missing'
                          WHEN one.charges > 1 THEN 'double'
                          WHEN before.micros IS NOT NULL OR one.micros > call.due THEN 'different'
                          ELSE 'matched' END
      FROM (SELECT id, request, micros, charges, at FROM prices_billedcall
             WHERE bill_id = %(bill)s AND id > %(after)s ORDER BY id LIMIT %(most)s) one
      LEFT JOIN LATERAL (
          SELECT * FROM ({_OURS.format(column="vendor_request_id")}
                         UNION ALL {_OURS.format(column="vendor_job_id")}) either
           ORDER BY outcome = 'delivered' DESC, settled_at DESC LIMIT 1
      ) call ON true
      LEFT JOIN LATERAL (
          SELECT micros FROM prices_billedcall earlier
           WHERE earlier.vendor = %(vendor)s AND earlier.request = one.request
             AND earlier.bill_id < %(bill)s AND earlier.verdict <> 'unbilled'
           ORDER BY earlier.bill_id DESC LIMIT 1
      ) before ON true
     WHERE billed.id = one.id
 RETURNING billed.id, call.settled_at
"""  # noqa: S608 - constants of our own
"""A call that ended twice under one id of the vendor's is the one that was delivered."""
UNBILLED = f"""
    FROM usage_call call
   WHERE call.vendor = %(vendor)s AND call.outcome = 'delivered'
     AND call.settled_at BETWEEN %(first)s AND %(last)s
     AND coalesce(call.facts->>'account', '') <> '{OWN_ACCOUNT}'
     AND NOT EXISTS (
         SELECT FROM prices_billedcall billed
          WHERE billed.vendor = %(vendor)s AND billed.verdict <> 'unbilled'
            AND billed.request IN (nullif(call.vendor_request_id, ''),
                                   nullif(call.vendor_job_id, '')))
"""
ADD_UNBILLED = f"""
    INSERT INTO prices_billedcall (bill_id, vendor, request, lines, charges, micros,
                                   counted_micros, at, day, call_id, due_micros, charged_micros,
                                   verdict)
    SELECT %(bill)s, %(vendor)s, 'call ' || call.id, 0, 0, 0, 0, call.settled_at,
           (call.settled_at AT TIME ZONE 'UTC')::date, call.id,
           coalesce((call.facts->>'retail')::bigint, call.charged_micros), call.charged_micros,
           'unbilled'
    {UNBILLED} LIMIT {MOST_UNBILLED}
"""
DAYS = """
    INSERT INTO prices_billedday (bill_id, vendor, day, calls, charged_micros, cost_micros)
    SELECT %(bill)s, %(vendor)s, day,
           count(*) FILTER (WHERE is_new),
           coalesce(sum(charged_micros) FILTER (WHERE is_new), 0), sum(counted_micros)
      FROM (SELECT billed.*, call_id IS NOT NULL AND NOT EXISTS (
                       SELECT FROM prices_billedcall earlier
                        WHERE earlier.vendor = %(vendor)s AND earlier.request = billed.request
                          AND earlier.bill_id < %(bill)s) AS is_new
              FROM prices_billedcall billed
             WHERE bill_id = %(bill)s AND verdict <> 'unbilled' AND day IS NOT NULL) counted
     GROUP BY day
"""
SUMS = """
    SELECT verdict, count(*), sum(CASE verdict WHEN 'unbilled' THEN due_micros
                                               ELSE micros END)::bigint
      FROM prices_billedcall WHERE bill_id = %s GROUP BY verdict
"""


def bring_in(
    file: BinaryIO, *, vendor: str, filename: str, form: Form, by: UUID, reason: str
) -> Bill:
    """Return the export, matched with our calls; all of it is there, or nothing.

    The file is read twice, from where it stands. Raises InvalidRequest for one that is odd, that
    has nothing in it, or that was brought in before.
    """
    reason = reasons.given(reason, to="An import")
    start = file.tell()
    digest = _digest(file)
    file.seek(start)
    with transaction.atomic():
        _run(LOCK, [vendor])
        if (before := Bill.objects.filter(vendor=vendor, digest=digest).first()) is not None:
            raise InvalidRequest(f"This file was brought in before: it is export {before.pk}.")
        bill = Bill.objects.create(
            vendor=vendor, filename=_printable(filename), digest=digest, by=by, reason=reason
        )
        _add(bill, exports.read(file, form))
        _match(bill)
        _find_unbilled(bill)
        _run(DAYS, {"bill": bill.pk, "vendor": vendor})
        bill.save()
        _tell(bill)
        after = {"vendor": vendor, "lines": bill.lines}
        log.note("bill.brought_in", actor=by, target=bill.pk, after=after, reason=reason)
    return bill


def _digest(file: BinaryIO) -> str:
    digest = hashlib.sha256()
    while piece := file.read(PIECE):
        digest.update(piece)
    return digest.hexdigest()


def _printable(name: str) -> str:
    return "".join(each for each in name if each.isprintable())[:200] or "a file"


def _add(bill: Bill, lines: Iterable[Line]) -> None:
    """Write the requests of an export, each once; what is about none is only summed."""
    rest = iter(lines)
    while some := list(itertools.islice(rest, AT_ONCE)):
        bill.lines += len(some)
        named = [each for each in some if each.request]
        unnamed = [each.micros for each in some if not each.request]
        bill.unnamed_lines += len(unnamed)
        bill.unnamed_micros += sum(unnamed)
        columns = {
            "requests": [each.request for each in named],
            "micros": [each.micros for each in named],
            "at": [each.at for each in named],
        }
        _run(ADD, {"bill": bill.pk, "vendor": bill.vendor, **columns})
    if bill.lines == bill.unnamed_lines:
        raise InvalidRequest("No line of the file names a request. Is it the right column?")


def _match(bill: Bill) -> None:
    """Give each request its verdict, and the export the time of the calls that it names."""
    after, times = 0, []
    # Whatever the planner believes of months that are empty yet: each request is looked up.
    _run("SET LOCAL enable_seqscan = off")
    while True:
        asked = {"bill": bill.pk, "vendor": bill.vendor, "after": after, "most": AT_ONCE}
        some = _run(MATCH, asked)
        if not some:
            break
        after = max(number for number, _ in some)
        times += [at for _, at in some if at is not None]
        times = [min(times), max(times)] if times else []
    _run("SET LOCAL enable_seqscan = on")
    if times:
        bill.first_at, bill.last_at = times[0], times[-1]


def _find_unbilled(bill: Bill) -> None:
    if bill.first_at is None:
        return
    span = {"bill": bill.pk, "vendor": bill.vendor, "first": bill.first_at, "last": bill.last_at}
    ((bill.unbilled,),) = _run(f"SELECT count(*) {UNBILLED}", span)
    _run(ADD_UNBILLED, span)


def _tell(bill: Bill) -> None:
    """Have a finding of each kind of difference: a file has thousands, and one cause."""
    for verdict, (count, micros) in sums(bill).items():
        if (said := TOLD.get(Verdict(verdict))) is not None:
            told = said.format(n=count, amount=show(micros))
            sentence = f"{bill.vendor} {told}: export {bill.pk}, {bill.filename[:80]}."
            findings.report(
                f"bill:{bill.pk}:{verdict}", kind=Finding.Kind.VENDOR, sentence=sentence
            )


def sums(bill: Bill) -> dict[str, tuple[int, int]]:
    """Return how many requests have which verdict, and micros: asked; of `unbilled`, due."""
    found = {verdict: (count, micros) for verdict, count, micros in _run(SUMS, [bill.pk])}
    if bill.unbilled:
        found[Verdict.UNBILLED.value] = (bill.unbilled, found.get("unbilled", (0, 0))[1])
    return found


def find(bill_id: int) -> Bill:
    """Return an export, or raise NotFound."""
    found = Bill.objects.filter(pk=bill_id).first()
    if found is None:
        raise NotFound("There is no such export.")
    return found


def page(bill: Bill, *, verdict: str = "", after: int = 0, most: int = 100) -> list[BilledCall]:
    """Return requests of an export behind one of them, in the order in which it named them."""
    found = BilledCall.objects.filter(bill=bill, pk__gt=after)
    if verdict:
        found = found.filter(verdict=verdict)
    return list(found.order_by("pk")[:most])


def _run(sql: str, parameters: Any = None) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return cursor.fetchall() if cursor.description else []
