"""What may happen to a charge afterwards: refunds, disputes, warnings, reviews.

refund   pending -> succeeded | failed;  succeeded -> failed, as banks do
dispute  needs_response -> under_review -> won | lost
         its funds are withdrawn when it opens, and reinstated when it is won
"""

from sandbox.stripe import objects
from sandbox.stripe.desk import Desk, new_id
from sandbox.stripe.wire import Json, Refusal

ENDED = ("won", "lost", "warning_closed", "prevented")


def make_refund(
    desk: Desk, charge: Json, *, amount: int | None, reason: str | None, metadata: Json
) -> Json:
    """Give money back, as far as there is any left to give."""
    left = charge["amount"] - charge["amount_refunded"]
    if not charge["paid"]:
        raise Refusal.state("charge_not_refundable", f"Charge {charge['id']} is not paid.")
    if _is_charged_back(desk, charge):
        message = f"Charge {charge['id']} has been charged back; cannot issue a refund."
        raise Refusal.state("charge_disputed", message)
    if left == 0:
        message = f"Charge {charge['id']} has already been refunded."
        raise Refusal.state("charge_already_refunded", message)
    wanted = left if amount is None else amount
    if wanted > left:
        raise Refusal.invalid(
            "amount",
            f"Refund amount (${wanted / 100:.2f}) is greater than unrefunded amount on charge "
            f"(${left / 100:.2f})",
        )
    refund = objects.refund(
        desk, charge, amount=wanted, reason=reason, metadata=metadata, status=_begins(desk, charge)
    )
    if refund["status"] == "pending":
        refund["pending_reason"] = "processing"
    moved = objects.balance_transaction(
        desk, refund, amount=-wanted, category="refund",
        kind="refund" if charge["id"].startswith("ch_") else "payment_refund",
    )  # fmt: skip
    desk.change(refund, balance_transaction=moved["id"])
    before = _count_refunded(desk, charge, wanted)
    desk.emit("refund.created", refund)
    desk.emit("charge.refunded", charge, before)
    return refund


def finish_refund(desk: Desk, refund: Json, *, succeeded: bool, reason: str = "unknown") -> None:
    """End a refund: a pending one either way; a succeeded one may still fail, as banks do.

    A failed one puts its amount back on the charge and on our balance.
    """
    charge = desk.objects[refund["charge"]]
    allowed = ("pending", "requires_action") if succeeded else ("pending", "succeeded")
    if refund["status"] not in allowed:
        raise Refusal.state("refund_unexpected_state", f"The refund is {refund['status']}.")
    was = {"pending_reason": refund.pop("pending_reason")} if "pending_reason" in refund else {}
    if succeeded:
        before = was | desk.change(refund, status="succeeded")
        desk.emit("refund.updated", refund, before)
        desk.emit("charge.refund.updated", refund, before)
        return
    moved = objects.balance_transaction(
        desk, refund, amount=refund["amount"], kind="refund_failure", category="refund_failure"
    )
    before = was | desk.change(
        refund, failure_balance_transaction=moved["id"], failure_reason=reason, status="failed"
    )
    changed = _count_refunded(desk, charge, -refund["amount"])
    desk.emit("refund.failed", refund, before)
    desk.emit("refund.updated", refund, before)
    desk.emit("charge.refund.updated", refund, before)
    desk.emit("charge.updated", charge, changed)


def open_dispute(
    desk: Desk,
    charge: Json,
    *,
    amount: int | None = None,
    reason: str = "fraudulent",
    status: str = "needs_response",
    withdraw: bool = True,
) -> Json:
    """Let a payer's bank dispute a charge; an inquiry (`warning_...`) withdraws nothing yet."""
    if not charge["paid"]:
        raise Refusal.state("charge_not_paid", f"Charge {charge['id']} is not paid.")
    inquiry = status.startswith("warning")
    dispute = objects.dispute(
        desk, charge, amount=charge["amount"] if amount is None else amount, reason=reason,
        status=status, is_charge_refundable=inquiry,
    )  # fmt: skip
    desk.change(charge, disputed=True)
    desk.emit("charge.dispute.created", dispute)
    if withdraw and not inquiry:
        withdraw_funds(desk, dispute)
    return dispute


def withdraw_funds(desk: Desk, dispute: Json) -> None:
    """Take the disputed amount, and a fee, from our balance."""
    if len(dispute["balance_transactions"]) % 2:
        raise Refusal.state("dispute_unexpected_state", "The funds are withdrawn already.")
    moved = objects.balance_transaction(
        desk, dispute, amount=-dispute["amount"], kind="adjustment", category="dispute",
        fee=objects.DISPUTE_FEE,
    )  # fmt: skip
    _move(desk, dispute, moved, "charge.dispute.funds_withdrawn")


def reinstate_funds(desk: Desk, dispute: Json, *, amount: int | None = None) -> None:
    """Give the disputed amount, or a part of it, back to our balance; the fee is kept."""
    if not len(dispute["balance_transactions"]) % 2:
        raise Refusal.state("dispute_unexpected_state", "No funds are withdrawn.")
    moved = objects.balance_transaction(
        desk, dispute, amount=dispute["amount"] if amount is None else amount, kind="adjustment",
        category="dispute_reversal",
    )  # fmt: skip
    _move(desk, dispute, moved, "charge.dispute.funds_reinstated")


def update_dispute(desk: Desk, dispute: Json, **fields: object) -> None:
    """Change a dispute that has not ended."""
    if dispute["status"] in ENDED:
        raise Refusal.state("dispute_unexpected_state", f"The dispute is {dispute['status']}.")
    before = desk.change(dispute, **fields)
    if before:
        desk.emit("charge.dispute.updated", dispute, before)


def end_dispute(
    desk: Desk, dispute: Json, outcome: str, *, move_funds: bool = True, returned: int = 0
) -> None:
    """End a dispute; winning it gives back what was withdrawn.

    One that was partly won is `lost`, and a part comes back.
    """
    if dispute["status"] in ENDED:
        raise Refusal.state("dispute_unexpected_state", f"The dispute is {dispute['status']}.")
    before = desk.change(dispute, status=outcome)
    withdrawn = len(dispute["balance_transactions"]) % 2 == 1
    if outcome == "lost" and not withdrawn and move_funds:
        withdraw_funds(desk, dispute)
    if outcome == "lost" and returned:
        reinstate_funds(desk, dispute, amount=returned)
    if outcome in ("won", "prevented") and withdrawn and move_funds:
        reinstate_funds(desk, dispute)
    desk.emit("charge.dispute.closed", dispute, before)


def warn_of_fraud(desk: Desk, charge: Json, fraud_type: str = "made_with_stolen_card") -> Json:
    """Let the issuer warn early that a charge may be fraud."""
    warning = desk.add({
        "id": new_id("issfr"), "object": "radar.early_fraud_warning",
        "actionable": not charge["refunded"] and not charge["disputed"], "charge": charge["id"],
        "created": desk.now(), "fraud_type": fraud_type, "livemode": False,
        "payment_intent": charge["payment_intent"],
    })  # fmt: skip
    desk.emit("radar.early_fraud_warning.created", warning)
    return warning


def open_review(desk: Desk, charge: Json) -> Json:
    """Let Radar ask for a look at a payment."""
    review = desk.add({
        "id": new_id("prv"), "object": "review", "billing_zip": None, "charge": charge["id"],
        "closed_reason": None, "created": desk.now(), "ip_address": None,
        "ip_address_location": None, "livemode": False, "open": True, "opened_reason": "rule",
        "payment_intent": charge["payment_intent"], "reason": "rule", "session": None,
    })  # fmt: skip
    desk.emit("review.opened", review)
    return review


def _begins(desk: Desk, charge: Json) -> str:
    slow = charge["payment_method_details"]["type"] not in objects.CARD_TYPES
    asked = desk.behaviours.get(charge["payment_method"]) == "refund_pending"
    return "pending" if slow or asked else desk.switches.refunds


def _count_refunded(desk: Desk, charge: Json, amount: int) -> Json:
    total = charge["amount_refunded"] + amount
    return desk.change(charge, amount_refunded=total, refunded=total == charge["amount"])


def _is_charged_back(desk: Desk, charge: Json) -> bool:
    return any(
        each["charge"] == charge["id"]
        and each["status"] not in ("won", "prevented", "warning_closed")
        and not each["is_charge_refundable"]
        for each in desk.all("dispute")
    )


def _move(desk: Desk, dispute: Json, moved: Json, event: str) -> None:
    together = [*dispute["balance_transactions"], moved]
    before = desk.change(dispute, balance_transactions=together)
    desk.emit(event, dispute, before)
