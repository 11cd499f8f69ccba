"""What the history of calls knows of people (common/personal.py)."""

from __future__ import annotations

from django.db.models import Q

from common.personal import Fate, Known

KNOWN = (
    Known(
        "usage.Call",
        Fate.PSEUDONYM,
        "What was called, when, and what it cost: the receipts of the books' entries. They hold no "
        "prompt, file, name or address, only numbers that are nobody's any more.",
        # Found by the wallet's numbers: what somebody called in a team is its team's receipt.
        whose=lambda person: Q(workspace_id__in=person.workspaces)
        | Q(workspace_id__in=person.others, user_id=person.id),
        shown=(
            "id", "workspace_id", "started_at", "settled_at", "vendor", "operation", "outcome",
            "reason", "held_micros", "charged_micros", "price_version", "run_id", "key_id", "facts",
        ),
        order=("workspace_id", "number"),
    ),
)  # fmt: skip
