"""What the house does in the half year: machines, prices, vendors, what all read."""

from __future__ import annotations

import contextlib
import io
import uuid
from datetime import timedelta

from local.halfyear import calling, cast
from local.halfyear.calling import Press
from local.halfyear.stage import PICTURE, Play


def house_opens(made: Play) -> None:
    """Staff are there, an origin is allowed, and somebody tried from elsewhere."""
    from accounts import origins
    from common.errors import OriginNotAllowed
    from desk import banners
    from runs import workers

    cast.employ(made.cast)
    origins.allow("https://*.lumen-yard.example", by=made.by("support"), reason="their own page")
    with contextlib.suppress(OriginNotAllowed):
        origins.check("https://comfy.free-credits.example")
    terms = workers.Terms(
        base_url=f"http://127.0.0.1:{made.programs.machine}",
        accelerator="demo",
        micros_per_second=400,
        micros_per_output=2000,
        slots=2,
    )
    workers.add("demo", terms, by=made.by("operations"), reason="the first machine")
    other = workers.Terms(
        base_url="http://rack-2.machines.example:8188", accelerator="A100_80GB",
        micros_per_second=900, minimum_micros=5000, micros_per_output=2000, slots=4,
    )  # fmt: skip
    workers.add("rack-2-a100", other, by=made.by("operations"), reason="rented for the summer")
    workers.drain("rack-2-a100", by=made.by("operations"), reason="it is returned in autumn")
    made.programs.start_runner()
    banners.put_up(
        "Welcome: these are the first weeks. Tell us what you miss.", level="info",
        begins_at=made.clock.now(), ends_at=made.clock.now() + timedelta(days=21),
        for_staff=False, by=made.by("operations"),
    )  # fmt: skip


def prices_change(made: Play) -> None:
    """Ask more than is published, after a look at what that would have come to."""
    from prices import comparing, drafts
    from prices.terms import Term
    from proxy import price_book

    changes = [Term("*", "markup", 80_000), Term("kling", "markup", 120_000)]
    draft = drafts.draft(
        changes=changes, known=price_book.names(), by=made.by("finance"),
        reason="the machines and the people who look after them",
    )  # fmt: skip
    comparing.compare(draft.pk)
    at = made.clock.now() + timedelta(minutes=5)
    drafts.publish(draft.pk, at=at, by=made.by("finance"), reason="agreed with the owners")
    made.clock.set(at + timedelta(minutes=1))


def prices_change_again(made: Play) -> None:
    """Ask less of one vendor, and have another draft lie on the desk."""
    from prices import comparing, drafts
    from prices.terms import Term
    from proxy import price_book

    by, known = made.by("finance"), price_book.names()
    draft = drafts.draft(
        changes=[Term("bfl", "markup", 0), Term("*", "markup", 60_000)], known=known, by=by,
        reason="what was bought in advance is passed on as it is",
    )  # fmt: skip
    comparing.compare(draft.pk)
    at = made.clock.now() + timedelta(minutes=5)
    drafts.publish(draft.pk, at=at, by=by, reason="from the new contract on")
    made.clock.set(at + timedelta(minutes=1))
    waiting = drafts.draft(
        changes=[Term("runway", "markup", 150_000)], known=known, by=by, reason="their new list"
    )
    comparing.compare(waiting.pk)


def vendor_is_off(made: Play) -> None:
    """Switch a vendor off for an hour; who calls it meanwhile reads why."""
    from proxy import switches

    by = made.by("operations")
    switches.switch_off("kling", "", "Kling does not answer. What fails costs nothing.", by=by)
    made.clock.set(made.clock.now() + timedelta(minutes=2))
    key = made.cast["jonas"].keys["Workstation"]
    sample = next(iter(calling.affordable()["kling"]))
    made.callers.press([Press(key, [sample, sample, sample])])
    made.clock.set(made.clock.now() + timedelta(hours=1))
    switches.switch_on("kling", "", by=by, reason="it answers again")


def house_pauses(made: Play) -> None:
    """Have a quarter of an hour of maintenance, announced by a banner."""
    from desk import banners, maintenance

    by, now = made.by("operations"), made.clock.now()
    banners.put_up(
        "On Sunday from 9:00 to 9:15 UTC no new calls begin: the database moves to a new disk.",
        level="warning", begins_at=now, ends_at=now + timedelta(hours=1), for_staff=False, by=by,
    )  # fmt: skip
    maintenance.begin("The database moves to a new disk.", until=now + timedelta(minutes=15), by=by)
    made.callers.press([Press(made.cast["mina"].keys["Laptop"], [calling.one(PICTURE)])])
    made.clock.set(now + timedelta(minutes=15))
    maintenance.end(by=by, reason="it moved")


def bill_comes(made: Play) -> None:
    """BFL's export of a month is matched with our calls: some lines fit, and some do not."""
    _bill(made, "bfl", "bfl-usage-october.csv", "the bill of October")


def bills_come(made: Play) -> None:
    """Have the dearest vendors tell within a month what they ask so far."""
    for vendor in ("kling", "luma", "runway", "bfl"):
        _bill(made, vendor, f"{vendor}-usage-to-date.csv", "what they ask so far")


def _bill(made: Play, vendor: str, filename: str, reason: str) -> None:
    from prices import bills
    from prices.exports import Form
    from usage.models import Call

    found = Call.objects.filter(vendor=vendor, outcome="delivered").order_by("-settled_at")[:120]
    lines = ["request_id,cost,created_at"]
    for number, call in enumerate(found):
        if number % 17 == 0:
            continue
        cost = call.charged_micros / 1_250_000 * (3 if number % 43 == 0 else 1)
        request = call.vendor_request_id or call.vendor_job_id
        line = f"{request},{cost:.6f},{call.settled_at.isoformat()}"
        lines += [line] * (2 if number % 59 == 1 else 1)
    lines.append(f"{uuid.UUID(int=made.dice.getrandbits(128))},0.06,{made.clock.now().isoformat()}")
    bills.bring_in(
        io.BytesIO("\n".join(lines).encode()), vendor=vendor, filename=filename,
        form=Form(), by=made.by("finance"), reason=reason,
    )  # fmt: skip
