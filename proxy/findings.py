"""What staff must look at: files that cannot be measured, absurd costs, unserved accounts."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from common import logs, metrics
from common.errors import Unavailable
from common.money import show
from credits.books import findings
from credits.models import Finding

if TYPE_CHECKING:
    from common.money import Micros
    from proxy.books import Books
    from proxy.remembered import FoundJob


async def unmeasured(books: Books, vendor: str, found: FoundJob, urls: list[str]) -> None:
    """Say that what was delivered was charged by the stated minimum: one row for each host."""
    metrics.UNMEASURED.labels(vendor, "delivered").inc()
    host = _host(urls[0]) if urls else "no address"
    await _report(
        books,
        f"unmeasured:{vendor}:{host}",
        f"{vendor} delivered a file at {host} that cannot be measured; call {found.id} and later "
        "ones like it were charged by the stated minimum.",
    )


async def unmeasured_input(books: Books, vendor: str, operation: str, name: str) -> None:
    """Say that a file that is here could not be measured: one row for each input of an operation.

    Members may send anything: what they say of it decides nothing here.
    """
    metrics.UNMEASURED.labels(vendor, "sent").inc()
    await _report(
        books,
        f"unmeasured_input:{operation}:{name}",
        f"A file that was sent to {vendor} as {name} of {operation} cannot be measured; its call, "
        "and later ones like it, are held for the most that such a file can cost.",
    )


def _host(url: str) -> str:
    try:
        host = urlsplit(url).hostname or ""
    except ValueError:
        host = ""
    return host if re.fullmatch(r"[\w.:-]{1,100}", host) else "no address"


async def unreported(books: Books, vendor: str, operation: str, call: str) -> None:
    """Say that an answer did not say what it used: one row for each operation."""
    await _report(
        books,
        f"unreported:{operation}",
        f"{vendor} did not say what call {call} of {operation} used; it and later ones like it "
        "were charged by our own estimate. Compare them with the vendor's bill.",
    )


async def absurd(books: Books, vendor: str, call: str, figure: Micros) -> None:
    """Say that a vendor named a cost that no such call can have; it was not believed."""
    await _report(
        books,
        f"absurd:{vendor}:{call}",
        f"{vendor} named a cost of {show(figure)} for call {call}. It was not believed: the call "
        "was charged by our own rule. Compare it with the vendor's bill.",
    )


async def unserved(books: Books, vendor: str, account: str, status: int) -> None:
    """Say that a vendor does not serve one of our accounts: its credit, its key, its plan."""
    await _report(
        books,
        f"account:{vendor}:{account}",
        f"{vendor} does not serve the account {account} (status {status}): out of credit, or its "
        "key is not valid. Other accounts are taken meanwhile, if there are any.",
    )


async def _report(books: Books, key: str, sentence: str) -> None:
    """Have the row; while the books are away the log alone has it, and the settlement goes on."""
    told = (key, str(Finding.Kind.VENDOR), sentence, None)
    try:
        ((is_new,),) = await books.query(findings.REPORT, *told)
    except Unavailable:
        is_new = True
    if is_new:
        logs.line(level="error", event="finding", key=key, sentence=sentence)
