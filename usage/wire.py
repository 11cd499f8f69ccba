"""What our own API says of calls, runs, refusals and sums: our words, in its names and units."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from common.money import credits_text

if TYPE_CHECKING:
    from usage.history import Receipt
    from usage.refusals import Refused
    from usage.runs import Run
    from usage.spend import Part


def call_told(call: Receipt) -> dict[str, Any]:
    """Return a call."""
    return {
        "id": call.id,
        "vendor": call.vendor,
        "operation": call.operation,
        "title": call.title,
        "run": call.run,
        "project": call.project,
        "member": call.user_id,
        "key": call.key_id,
        "status": call.outcome,
        "reason": call.reason,
        "held_micro_usd": call.held,
        "charged_micro_usd": call.charged,
        "credits": credits_text(call.charged),
        "price_version": call.price_version,
        "price_inputs": call.inputs,
        "attempts": call.attempts,
        "vendor_request": call.vendor_request,
        "started_at": call.started_at,
        "settled_at": call.settled_at,
    }


def run_told(run: Run) -> dict[str, Any]:
    """Return a run."""
    return {
        "id": run.id,
        "member": run.user_id,
        "key": run.key_id,
        "project": run.project,
        "status": run.state,
        "calls": run.calls,
        "failures": run.failures,
        "charged_micro_usd": run.charged,
        "credits": credits_text(run.charged),
        "vendors": run.vendors,
        "nodes": run.nodes,
        "began_at": run.began_at,
        "ended_at": run.ended_at,
    }


def refusal_told(refused: Refused) -> dict[str, Any]:
    """Return a refusal."""
    return {
        "id": refused.id,
        "code": refused.code,
        "limit": refused.limit,
        "of": refused.whose,
        "remedy": refused.remedy,
        "message": refused.message,
        "vendor": refused.vendor,
        "operation": refused.operation,
        "run": refused.run,
        "project": refused.project,
        "member": refused.user_id,
        "key": refused.key_id,
        "needed_micro_usd": refused.needed,
        "left_micro_usd": refused.left,
        "most_micro_usd": refused.most,
        "left_calls": refused.left_calls,
        "most_calls": refused.most_calls,
        "resets_at": refused.resets_at,
        "times": refused.times,
        "first_at": refused.first_at,
        "last_at": refused.last_at,
    }


def part_told(part: Part) -> dict[str, Any]:
    """Return a sum."""
    return {
        "begins_at": part.begins_at,
        "of": part.of,
        "calls": part.calls,
        "delivered": part.delivered,
        "uncharged": part.uncharged,
        "charged_micro_usd": part.charged,
    }
