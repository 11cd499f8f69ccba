"""What the proxy finds is a row of the books: one for each thing, and open whenever found again."""

from __future__ import annotations

import uuid

from proxy_stage import in_thread

from common.money import usd
from credits.books import findings as books_findings
from credits.models import Finding
from proxy import findings

GRACE = uuid.UUID(int=7)


async def test_a_finding_that_staff_resolved_is_open_when_it_is_found_again(stage):
    books, call = stage.application._platform.books, str(uuid.uuid4())
    key = f"absurd:sandbox:{call}"

    def now():
        return Finding.objects.get(key=key)

    await findings.absurd(books, "sandbox", call, usd("1000"))
    made = await in_thread(now)
    assert (made.kind, made.resolved_at, made.wallet_id) == ("vendor", None, None)

    assert await in_thread(lambda: books_findings.settle(key, by=GRACE, reason="the bill is right"))
    resolved = await in_thread(now)
    assert (resolved.resolved_by, resolved.resolution) == (GRACE, "the bill is right")

    await findings.absurd(books, "sandbox", call, usd("2000"))
    again = await in_thread(now)
    assert (again.resolved_at, again.resolved_by, again.resolution) == (None, None, "")
    assert (again.created_at, "$2,000" in again.sentence) == (made.created_at, True)
