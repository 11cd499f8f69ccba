"""Ask a vendor for a job: one question in an interval, shared by all who ask, in all processes.

fresh in this process? --> that answer
asked for at this moment here? --> wait for that
claimed in the database? --> ask, write down what was said
else --> what was said last (another process asks now)
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import orjson

from common.errors import ProviderDisabled
from proxy import choosing, delivery, dialect, remembered
from proxy.catalogue import Ask, Route, asking
from proxy.dialect import Verdict
from proxy.recent import SAID_LIMIT_BYTES
from proxy.relay import Lost, Outgoing, Refused

if TYPE_CHECKING:
    from apikeys.callers import Caller
    from proxy.asked import Asked
    from proxy.catalogue import Job, Vendor
    from proxy.credentials import Account
    from proxy.dialect import Judged, Said
    from proxy.process import Platform
    from proxy.remembered import FoundJob

ANSWER_LIMIT_BYTES = 64 << 20
ASK_SECONDS = 20.0
"""The longest that one question may take, all in all: no vendor holds a thread for longer."""
NOT_YET_SECONDS = 60
"""In a job's first minute "task not found" means "not yet": vendors are not consistent at once."""


async def look(platform: Platform, vendor: Vendor, found: FoundJob, shape: Job) -> Said | None:
    """Return what the vendor says of a job, at most an interval old; None if nothing is known."""
    recent = platform.recent
    if (said := recent.fresh(found.id, shape.interval_seconds)) is not None:
        return said
    task = recent.asking.get(found.id)
    if task is None:
        task = asyncio.get_running_loop().create_task(_look(platform, vendor, found, shape))
        recent.asking[found.id] = task
        task.add_done_callback(lambda _: recent.asking.pop(found.id, None))
    # Who leaves does not take the question away from those who wait for its answer.
    return await asyncio.shield(task)


async def _look(platform: Platform, vendor: Vendor, found: FoundJob, shape: Job) -> Said | None:
    if not await remembered.claim_ask(platform.books, found, shape.interval_seconds):
        return found.said
    said = await ask(platform, vendor, found, shape)
    judged = shape.judge(said) if said is not None else None
    if said is None or judged is None:  # A bad moment: it is asked again later.
        return found.said
    if found.outcome == "delivered" and judged.verdict is not Verdict.DONE:
        return found.said  # Its result was paid for: whatever is said later takes none of it away.
    platform.recent.note(found.id, said)
    await note(platform, found, said, judged)
    return said


async def before(
    platform: Platform, route: Route, asked: Asked, caller: Caller, account: Account
) -> None:
    """Ask the vendor what it says of a job that is not paid for yet; `asked.told` has it then.

    Only for whose job it is, and under the account that made it. Raises what the vendor's refusal
    becomes; nothing was done by then.
    """
    vendor, operation = route.vendor, route.operation
    assert operation.names is not None, "the request names its job"
    assert operation.job is not None, "it is a submit"
    uses = list(operation.uses(asked)) if operation.uses is not None else []
    workspace = await platform.books.may_call(vendor.name, caller, uses)
    account = choosing.of_maker(
        platform,
        Route(vendor, vendor.poll(operation.job), {}),
        account.name,
        workspace=workspace,
    )
    how = asking(vendor, vendor.poll(operation.job), operation.names.of(asked))
    try:
        question = _ask(platform, vendor, how, operation.job, account, owner=caller.label)
        said = await asyncio.wait_for(question, ASK_SECONDS)
    except (Refused, Lost, TimeoutError) as exc:
        raise dialect.unreachable(vendor) from exc
    judged = dialect.judge(vendor, said)
    if judged.verdict is not Verdict.DONE:
        if judged.verdict in dialect.UNSERVED:
            await choosing.unserved(platform, account, judged.verdict, said)
        raise dialect.refusal(vendor, judged, said, is_own=account.is_own)
    asked.told = said.json


async def note(platform: Platform, found: FoundJob, said: Said, judged: Judged) -> None:
    """Write down what was said, for every other process; not again what it said before."""
    before = found.said
    same = before is not None and (before.body, before.status) == (said.body, said.status)
    if not same and len(said.body) <= SAID_LIMIT_BYTES:
        is_result = judged.verdict is Verdict.DONE
        await remembered.note(platform.books, found, said, is_result=is_result)
    found.said = said


async def ask(platform: Platform, vendor: Vendor, found: FoundJob, shape: Job) -> Said | None:
    """Ask the vendor once, in bounded time; None if it cannot be asked or understood now."""
    how = Ask(found.poll_url, found.poll_method, found.poll_body)
    if not vendor.may_sign(how.url):
        return None  # The operator moved the vendor's address; the deadline ends this job.
    try:
        await platform.vault.ready(platform.books)
        account = choosing.of_maker(
            platform,
            Route(vendor, vendor.poll(shape), {}),
            found.account,
            workspace=found.workspace,
        )
        question = _ask(platform, vendor, how, shape, account, owner=f"job {found.id}")
        return await asyncio.wait_for(question, ASK_SECONDS)
    except (Refused, Lost, TimeoutError, ProviderDisabled):
        return None


async def _ask(
    platform: Platform, vendor: Vendor, how: Ask, shape: Job, account: Account, *, owner: str
) -> Said:
    poll = vendor.poll(shape)
    outgoing = Outgoing(
        how.method,
        how.url,
        {"accept": "application/json"},
        silence_seconds=ASK_SECONDS,
        total_seconds=ASK_SECONDS,
        cover=account.redacted,
    )
    if how.body is not None:
        outgoing.body = orjson.dumps(how.body)
        outgoing.headers["content-type"] = "application/json"
    scheme = poll.credential or vendor.credential
    await scheme.sign(outgoing, account, platform.relay.exchange)
    reply = await platform.relay.exchange(outgoing)
    try:
        return await delivery.gather(reply, owner=owner, limit=ANSWER_LIMIT_BYTES, account=account)
    finally:
        reply.close()
