"""Hyper3D Rodin: 3D models, from pictures or a text, sent as a form.

A task has two names: its state is asked for by the long `subscription_key`, its files by `uuid`,
and both questions are POSTs. It is several jobs, done one after the other; links to files live for
ten minutes, and asking again gives new ones. What is wrong stands in `error`, also in a 201.
Prices: the nodes' published ones of August 2026. Source: the vendor's pages.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from common.errors import InvalidRequest
from common.money import usd
from proxy.catalogue import Job, Kind, Named, Operation, Takes, Vendor
from proxy.credentials import bearer
from proxy.dialect import DELIVERING, Judged, Verdict
from proxy.pricing.shapes import Ruled, choice_of, known, one_only

if TYPE_CHECKING:
    from collections.abc import Iterable

    from proxy.asked import Asked
    from proxy.catalogue import Asset
    from proxy.dialect import Said
    from proxy.pricing import Quote

VERSION = "rodin-2026-08"
TIERS = {
    **dict.fromkeys(("Regular", "Detail", "Smooth", "Sketch", "Gen-2"), "0.4"),
    **dict.fromkeys(
        ("Gen-2.5-Extreme-Low", "Gen-2.5-Low", "Gen-2.5-Medium", "Gen-2.5-High"), "0.75"
    ),
    "Gen-2.5-Extreme-High": "1.5",
}
PRICES = {tier.lower(): usd(price) for tier, price in TIERS.items()}
HIGH_PACK = usd("0.8")
ADDON = re.compile(r'[\[\]"\s]*HighPack[\[\]"\s]*', re.I)
"""As it is, or as the text of a list of it."""
DECISIVE = ("tier", "addons")


def price(asked: Asked) -> Quote:
    """Price a model by tier and addon, wherever in the form they may be understood to stand."""
    assert asked.form is not None, "a form was read"
    asked.form.check_files("images")
    one_only(asked.body)
    for name in asked.body:
        if name not in DECISIVE and re.sub(r"[^a-z]", "", name.lower()) in DECISIVE:
            raise InvalidRequest(f"The form has the unknown field {name[:100]}.")
    tier = choice_of(asked.body, "tier", TIERS, default="Regular")
    addons = [each for each in asked.body.get("addons", []) if each.strip('[]" ')]
    if not all(ADDON.fullmatch(each) for each in addons):
        raise InvalidRequest("addons has no price here: it must be HighPack.")
    high_pack = HIGH_PACK if addons else 0
    return known(PRICES[tier] + high_pack, tier=tier, high_pack=bool(addons))


OPERATOR = re.compile(r"FUND|CREDIT|BALANCE|QUOTA|SUBSCRI|AUTH|FORBIDDEN|PERMISSION|API_?KEY")
BUSY = re.compile(r"TOO_MANY|RATE_?LIMIT|CONCURREN|BUSY")
UNCLEAR = re.compile(r"INTERNAL|SERVER|GATEWAY|TIME_?OUT")
STATES = ("Done", "Failed", "Generating", "Waiting")
"""All that clients know."""
ENDED_BADLY = ("Failed", "Canceled", "Cancelled")


def _error(said: Said) -> str:
    """Return the word of what is wrong, in capitals; empty if nothing is."""
    found = said.object.get("error")
    return f"{found}".upper() if found else ""


def _judge(said: Said) -> Judged | None:
    """Return what an error's word means: Rodin tells of it in a 201, too."""
    word = _error(said)
    if OPERATOR.search(word):
        return Judged(Verdict.OPERATOR)
    if said.status not in DELIVERING:
        return None
    if not word:
        return None if isinstance(said.json, dict) else Judged(Verdict.UNKNOWN)
    if BUSY.search(word):
        return Judged(Verdict.BUSY)
    if "UNAVAILABLE" in word:
        return Judged(Verdict.BROKEN)
    return Judged(Verdict.UNKNOWN if UNCLEAR.search(word) else Verdict.REJECTED)


def _says(body: Any) -> str:
    said = (body.get("message") or body.get("error")) if isinstance(body, dict) else None
    return said if isinstance(said, str) else ""


def _job_id(answer: Any) -> str | None:
    """Return the key by which the state is asked for, of a task whose files can be asked for."""
    jobs = answer.get("jobs") if isinstance(answer, dict) else None
    key = jobs.get("subscription_key") if isinstance(jobs, dict) else None
    named = isinstance(key, str) and re.fullmatch(r"[!-~]{1,1000}", key) and list(_task(answer))
    return key if named else None


def _task(answer: Any) -> Iterable[Asset]:
    found = answer.get("uuid") if isinstance(answer, dict) else None
    return [("task", found)] if isinstance(found, str) and 0 < len(found) <= 200 else []


def _states(answer: Any) -> list[str]:
    jobs = answer.get("jobs") if isinstance(answer, dict) else None
    listed = jobs if isinstance(jobs, list) else []
    return [f"{each.get('status')}" for each in listed if isinstance(each, dict)]


def _judge_poll(said: Said) -> Judged | None:
    """Return what the jobs of a task come to: one that ends badly ends all of them."""
    if said.status == 404 or _error(said) == "NOT_FOUND":
        return Judged(Verdict.MISSING)
    states = [] if said.status not in DELIVERING or _error(said) else _states(said.json)
    if not states:
        return None
    if any(state in ENDED_BADLY for state in states):
        return Judged(Verdict.FAILED)
    return Judged(Verdict.DONE if set(states) == {"Done"} else Verdict.RUNNING)


def _reply(answer: Any) -> Any:
    """Return a poll's answer in the words that clients know."""
    if not isinstance(answer, dict) or not isinstance(answer.get("jobs"), list):
        return answer
    jobs = [
        {**each, "status": _known(each.get("status"))} if isinstance(each, dict) else each
        for each in answer["jobs"]
    ]
    return {**answer, "jobs": jobs}


def _known(state: Any) -> str:
    if state in ENDED_BADLY:
        return "Failed"
    return state if state in STATES else "Waiting"


TASK = Job(
    poll="rodin/api/v2/status",
    job_id=_job_id,
    judge=_judge_poll,
    pending=lambda _: {"jobs": [{"uuid": "", "status": "Generating"}]},
    failed=lambda _, why: {"jobs": [{"uuid": "", "status": "Failed"}], "message": why},
    assets=_task,
    scope="subscription",
    interval_seconds=3.0,
)

RODIN = Vendor(
    name="rodin",
    display="Hyper3D Rodin",
    base_url="https://api.hyper3d.com",
    credential=bearer(),
    operations=(
        Operation(
            "POST",
            "rodin/api/v2/rodin",
            "/api/v2/rodin",
            Ruled(price),
            Kind.SUBMIT,
            takes=Takes.FORM,
            repeated=("addons", "bbox_condition"),
            job=TASK,
            timeout_seconds=300,
            price_version=VERSION,
            title="Hyper3D Rodin",
        ),
        Operation(
            "POST",
            "rodin/api/v2/status",
            "/api/v2/status",
            kind=Kind.POLL,
            names=Named("body", "subscription_key"),
            scope="subscription",
            reply=_reply,
            timeout_seconds=60,
        ),
        Operation(
            "POST",
            "rodin/api/v2/download",
            "/api/v2/download",
            kind=Kind.RESULT,
            names=Named("body", "task_uuid"),
            timeout_seconds=60,
        ),
    ),
    judge=_judge,
    says=_says,
)
