"""What must hold after each draw, and the account of all of it in the end.

The books are asked what they say, and the clients, staff and Stripe what they saw: neither is made
of the other.
"""

from __future__ import annotations

import asyncio
import itertools
import re
from collections import Counter
from dataclasses import dataclass
from typing import Any

from common.money import credits_text
from tests.chaos.chaos_clients import Intention, Ledger, Member
from tests.chaos.chaos_house import House
from tests.chaos.chaos_moves import Moves
from tests.chaos.chaos_office import AGAIN, Office

OURS = ("web1", "web2", "worker", "jobs", "beat", "runner")
SHOWN = 8
TRACE = re.compile(r"Traceback \(most recent call last\)")

NEGATIVE = """
    SELECT 'wallet ' || id || ': balance ' || balance_micros || ', held ' || held_micros AS said
      FROM credits_account
     WHERE kind = 'wallet'
       AND (balance_micros < 0 OR held_micros < 0 OR held_micros > balance_micros)
"""
TWICE = """
    SELECT 'intention ' || run_id || ' was charged ' || count(*) || ' times' AS said
      FROM usage_call WHERE run_id LIKE 'chaos-%%' AND charged_micros > 0
     GROUP BY run_id HAVING count(*) > 1
"""
CHARGED = """
    SELECT call.id::text, call.run_id AS name, call.outcome, call.charged_micros AS micros,
           entry.amount_micros AS entered, entry.debit_id::text AS payer,
           call.workspace_id::text AS workspace
      FROM usage_call call LEFT JOIN credits_entry entry ON entry.key = 'call:' || call.id
     WHERE call.run_id = ANY (%s)
"""
BY_KIND = """
    SELECT kind, sum(amount)::bigint AS micros FROM (
        SELECT kind, amount_micros AS amount FROM credits_entry
         WHERE credit_id = ANY (%(all)s::uuid[])
        UNION ALL
        SELECT kind, -amount_micros FROM credits_entry WHERE debit_id = ANY (%(all)s::uuid[])
    ) AS moved GROUP BY kind
"""
LEFT = """
    SELECT coalesce(sum(balance_micros), 0)::bigint AS micros
      FROM credits_account WHERE id = ANY (%s::uuid[])
"""


@dataclass
class Line:
    """One kind of money, as it was seen from outside, and as the books have it."""

    what: str
    outside: int
    books: int


class Proofs:
    def __init__(
        self, house: House, office: Office, members: list[Member], ledger: Ledger, moves: Moves
    ) -> None:
        self._house, self._office, self._members = house, office, members
        self._ledger, self._moves = ledger, moves
        self._read: Counter[str] = Counter()
        self._looked_at = 0

    async def after_each(self) -> list[str]:
        """Return what is wrong now: nothing ever may be."""
        found = [row["said"] for sql in (NEGATIVE, TWICE) for row in await self._rows(sql)]
        found += await self._given()
        found += await self._reconciled()
        found += self._logged()
        for faults in (self._ledger.faults, self._moves.faults, self._office.faults):
            found += faults
            faults.clear()
        return found

    async def at_the_end(self) -> list[str]:
        """Return what is wrong when all has come to its end."""
        self._looked_at = 0
        found = await self.after_each()
        held = "SELECT 'wallet ' || id || ' holds ' || held_micros AS said FROM credits_account"
        found += [row["said"] for row in await self._rows(held + " WHERE held_micros <> 0")]
        refused = [each.name for each in self._ledger.of("refused")]
        found += [
            f"{row['name']} was refused, and charged {row['micros']}"
            for row in await self._rows(CHARGED, refused)
            if row["micros"]
        ]
        return found

    async def _given(self) -> list[str]:
        """Each answer that a client got has its row and its charge, as it was told."""
        settled = [each for each in self._ledger.intentions if each.state == "answered"]
        fresh, self._looked_at = settled[self._looked_at :], len(settled)
        rows: dict[str, Any] = {}
        for at in range(0, len(fresh), 5000):
            names = [each.name for each in fresh[at : at + 5000]]
            for row in await self._rows(CHARGED, names):
                rows[row["id"]] = row
        for each in fresh:
            each.micros = rows[each.call]["micros"] if each.call in rows else 0
        return [said for each in fresh if (said := is_wrong(each, rows.get(each.call)))]

    async def _reconciled(self) -> list[str]:
        for _ in range(20):
            status, said = await self._office.manage("reconcile")
            if status == "done":
                break
            await asyncio.sleep(0.5)
        differs = [line for line in str(said).splitlines() if "DIFFERS" in line]
        if status != "done" or "exit status" in said:
            return differs or [f"reconcile: {status} {said[-500:]}"]
        return differs

    def _logged(self) -> list[str]:
        """Return what of ours logged a trace since it was looked at."""
        found = []
        for name in OURS:
            with (self._house.folder / f"{name}.log").open("rb") as log:
                log.seek(self._read[name])
                new = log.read()
            self._read[name] += len(new)
            found += [f"{name} logged {each}" for each in traces(new.decode(errors="replace"))]
        return found

    # --- the account --------------------------------------------------------------------------

    async def account(self) -> list[Line]:
        """Return all money that came, went, and is left; inside and outside must be the same."""
        wallets = [each.workspace_id for each in self._members]
        rows = await self._rows(BY_KIND, {"all": wallets})
        books = Counter({row["kind"]: row["micros"] for row in rows})
        outside = await self._outside()
        lines = [
            Line(name, outside.pop(kind, 0), books.pop(kind, 0)) for kind, name in KINDS.items()
        ]
        lines += [Line(kind, 0, micros) for kind, micros in books.items()]
        (left,) = await self._rows(LEFT, wallets)
        lines.append(Line("left in wallets", sum(each.outside for each in lines), left["micros"]))
        return lines

    async def _outside(self) -> dict[str, int]:
        """Return what others than the books say, by the books' kinds."""
        state = await asyncio.to_thread(self._house.stripe.get, "state")
        paid = [p for p in state.get("payment_intent", []) if p["status"] == "succeeded"]
        back = [r for r in state.get("refund", []) if r["status"] in ("succeeded", "pending")]
        gifts = sum(each.given for each in self._members)
        adjusted = sum([await self._micros(w) for w in self._moves.wishes if w.kind != "voucher"])
        vouchers = sum([await self._micros(w) for w in self._moves.wishes if w.kind == "voucher"])
        return {
            "top_up": 10_000 * sum(each["amount_received"] for each in paid),
            "refund": -10_000 * sum(each["amount"] for each in back),
            "grant": gifts + vouchers,
            "adjustment": adjusted,
            "call": -(await self._spent()),
        }

    async def _micros(self, wish: Any) -> int:
        """Return what a wish of staff or of a member moved; only the unknown are looked up."""
        if wish.state != "unknown":
            return wish.micros if wish.state == "done" else 0
        table = (
            "credits_voucheruse WHERE voucher_id = %s::uuid" if wish.kind == "voucher"
            else "credits_adjustment WHERE reason = %s AND state = 'posted'"
        )  # fmt: skip
        (row,) = await self._rows(f"SELECT count(*) AS n FROM {table}", wish.mark)
        assert row["n"] <= 1, f"{wish} came about more than once"
        return int(wish.micros * row["n"])

    async def _spent(self) -> int:
        """Return what calls and runs cost, as clients were told, and only else as rows say."""
        told = sum(each.micros for each in self._ledger.of("answered"))
        unknown = [each.name for each in self._ledger.of("unknown")]
        rows = await self._rows(CHARGED, unknown)
        return told + sum(row["micros"] for row in rows) + await self._spent_by_runs()

    async def _spent_by_runs(self) -> int:
        """Return what the members' own pages say of their runs, and of the calls inside them."""
        total = 0
        for member, run in self._moves.runs:
            status = 0
            for _ in range(AGAIN):
                path = f"/api/v2/jobs/{run}"
                status, job = await self._moves.http("GET", path, member.manager)
                if status == 200:
                    break
                await asyncio.sleep(0.5)
            assert status == 200, f"the run {run} cannot be read: {status}"
            of_it = job["metrics"]
            total += (of_it["charged_micros"] or 0) + (of_it["inner_micros"] or 0)
        return total

    async def _rows(self, sql: str, *parameters: Any) -> list[dict[str, Any]]:
        given = parameters[0] if parameters and isinstance(parameters[0], dict) else parameters
        return await asyncio.to_thread(self._house.query, sql, given)


KINDS = {
    "grant": "gifts, and vouchers",
    "adjustment": "given and taken by staff",
    "top_up": "bought at Stripe",
    "refund": "given back by Stripe",
    "call": "calls and runs",
}


def is_wrong(each: Intention, row: dict[str, Any] | None) -> str:
    """Return what is wrong with a call of which a client has the result."""
    if row is None:
        return f"{each.name} ({each.kind}) was answered by {each.call}, which has no row"
    if row["outcome"] != "delivered" or row["micros"] <= 0 or row["entered"] != row["micros"]:
        return f"{each.name} ({each.kind}) was answered, and is {row}"
    if row["payer"] != each.member.workspace_id:
        return f"{each.name} was paid by {row['payer']}"
    if each.credits and each.credits != credits_text(row["micros"]):
        return f"{each.name} was told {each.credits} credits, and is {row}"
    return ""


def traces(log: str) -> list[str]:
    """Return the end of each trace in a log, whether it is plain or within a line of JSON."""
    return [_end_of_trace(log[each.start() :]) for each in TRACE.finditer(log)][:SHOWN]


def _end_of_trace(log: str) -> str:
    """Return the last lines of a trace that a log begins with: up to one that is not indented."""
    first, *lines = log[:40_000].splitlines() or [""]
    if "\\n" in first:  # All of it is within a line of JSON.
        return first[-600:]
    inside = list(itertools.takewhile(lambda line: line.startswith(" "), lines))
    return "\n".join([*inside[-4:], *lines[len(inside) : len(inside) + 1]])
