"""What Kling says, in both of its designs: what an answer means, and what it tells of.

An error has a code of Kling's own, with a status of 4xx or 5xx, and now and then inside a 200.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from proxy.dialect import DELIVERING, Judged, Verdict
from proxy.pricing.shapes import at

if TYPE_CHECKING:
    from collections.abc import Iterable

    from proxy.catalogue import Asset
    from proxy.dialect import Said


VERDICTS = {
    **dict.fromkeys((1000, 1001, 1002, 1003, 1004), Verdict.OPERATOR),
    **dict.fromkeys((1100, 1101, 1102, 1103, 1304), Verdict.OPERATOR),
    **dict.fromkeys((1200, 1201, 1202, 1203), Verdict.REJECTED),
    **dict.fromkeys((1300, 1301), Verdict.MODERATED),
    **dict.fromkeys((1302, 1303), Verdict.BUSY),
    **dict.fromkeys((5000, 5001), Verdict.BROKEN),
    5002: Verdict.UNKNOWN,  # It timed out behind their door: the work may go on.
}
NO_SUCH_TASK = (1200, 1201, 1203)
"""Of a poll, whose only parameter is the task."""
BLOCKED = re.compile(r"risk control|content security|community (policy|guideline)|sensitive", re.I)
DONE, FAILED = ("succeed", "succeeded"), ("failed",)
SECONDS = re.compile(r"\d{1,5}(\.\d{1,6})?")
OF_THE_ACCOUNT = ("final_unit_deduction", "final_balance_deduction", "billing")


def _code(said: Said) -> int | None:
    code = said.object.get("code")
    return code if isinstance(code, int) and not isinstance(code, bool) else None


def judge(said: Said) -> Judged | None:
    """Return what an answer's code means; one without a code is none of Kling's."""
    code, delivers = _code(said), said.status in DELIVERING
    if code is None:
        return Judged(Verdict.UNKNOWN) if delivers else None
    if code == 0:
        return None
    verdict = VERDICTS.get(code, Verdict.UNKNOWN if delivers else None)
    return Judged(verdict) if verdict is not None else None


def _tasks(answer: Any) -> list[dict[str, Any]]:
    """Return the tasks that an answer tells of: one, or in the newer design a list."""
    data = answer.get("data") if isinstance(answer, dict) else None
    return [each for each in (data if isinstance(data, list) else [data]) if isinstance(each, dict)]


def job_id(answer: Any) -> str | None:
    """Return the id of the task that was taken."""
    for task in _tasks(answer):
        found = task.get("task_id", task.get("id"))
        if isinstance(found, str) and re.fullmatch(r"[!-+\--~]{1,200}", found):
            return found
    return None


def judge_poll(said: Said) -> Judged | None:
    """Return what a poll's answer means; a task that ended well without a file has failed."""
    code = _code(said)
    if code in NO_SUCH_TASK:
        return Judged(Verdict.MISSING)
    if said.status != 200 or code != 0:
        return None
    for task in _tasks(said.json):
        word = task.get("task_status", task.get("status"))
        if word in DONE:
            return Judged(Verdict.DONE if results(said.json) else Verdict.FAILED)
        if word in FAILED:
            why = f"{task.get('task_status_msg', task.get('message', ''))}"
            return Judged(Verdict.MODERATED if BLOCKED.search(why) else Verdict.FAILED)
        return Judged(Verdict.RUNNING) if isinstance(word, str) else None
    return None


def _made(answer: Any) -> list[dict[str, Any]]:
    """Return what the tasks made, in either design."""
    lists = [
        found
        for task in _tasks(answer)
        for path in ("task_result.videos", "task_result.images", "task_result.series_images",
                     "outputs")
        if isinstance(found := at(task, path), list)
    ]  # fmt: skip
    return [each for found in lists for each in found if isinstance(each, dict)]


def results(answer: Any) -> list[str]:
    """Return the addresses of what was made."""
    return [each["url"] for each in _made(answer) if isinstance(each.get("url"), str)]


def videos(answer: Any) -> Iterable[Asset]:
    """Return the ids by which later calls name the videos that were made."""
    return [
        ("video", each["id"])
        for each in _made(answer)
        if isinstance(each.get("id"), str) and 0 < len(each["id"]) <= 1000
    ]


def stated(answer: Any) -> Fraction | None:
    """Return the length of the video as Kling says it."""
    found = next((each["duration"] for each in _made(answer) if each.get("duration")), None)
    return Fraction(f"{found}") if SECONDS.fullmatch(f"{found}") else None


def reply(answer: Any) -> Any:
    """Return a poll's answer without what the account paid for it."""
    if not isinstance(answer, dict):
        return answer
    told = [
        {name: value for name, value in task.items() if name not in OF_THE_ACCOUNT}
        for task in _tasks(answer)
    ]
    data = answer.get("data")
    return {**answer, "data": told if isinstance(data, list) else told[0] if told else data}


def says(body: Any) -> str:
    """Return the sentence of an error."""
    said = body.get("message") if isinstance(body, dict) else None
    return said if isinstance(said, str) else ""
