"""Charging: what a payment method does when money is asked of it, and what follows.

requires_payment_method -> requires_confirmation -> processing -> succeeded
        ^  ^----- declined -------'   |     ^           |
        '---------- failed -----------+-----|-----------'
                              requires_action           canceled, before it succeeded
"""

import copy

from sandbox.stripe import after, objects
from sandbox.stripe.desk import Desk
from sandbox.stripe.wire import Json, Refusal

DECLINES = {
    "declined": ("card_declined", "generic_decline"),
    "insufficient_funds": ("card_declined", "insufficient_funds"),
    "expired": ("expired_card", None),
    "declined_later": ("card_declined", "generic_decline"),
}
SLOW_TYPES = ("us_bank_account", "sepa_debit", "bacs_debit", "acss_debit", "au_becs_debit")
OPEN = ("requires_payment_method", "requires_confirmation", "requires_action")


def confirm(
    desk: Desk, intent: Json, method: Json, *, off_session: bool = False, proven: bool = False
) -> None:
    """Ask the money of the method; raises the refusal of a declined card after noting it.

    `proven` says that the payer has just authenticated; off-session there is nobody to ask.
    """
    behaviour = desk.behaviours.get(method["id"], "ok")
    desk.change(intent, payment_method=method["id"], next_action=None, last_payment_error=None)
    if behaviour in DECLINES:
        code, decline = DECLINES[behaviour]
        failed = _failed_charge(desk, intent, method, code, decline)
        _refuse(desk, intent, method, Refusal.card(code, decline, charge=failed["id"]))
    if behaviour == "authenticate" and not proven:
        if off_session:
            refusal = Refusal.card("authentication_required", "authentication_required")
            _refuse(desk, intent, method, refusal)
        _ask_payer(desk, intent)
        return
    charge = objects.charge(desk, intent, method)
    desk.change(intent, latest_charge=charge["id"])
    if method["type"] in SLOW_TYPES:
        desk.change(intent, status="processing")
        desk.emit("charge.pending", charge)
        desk.emit("payment_intent.processing", intent)
        return
    succeed(desk, intent)
    if behaviour == "dispute":
        after.open_dispute(desk, charge)


def succeed(desk: Desk, intent: Json) -> None:
    """Take the money: the charge is paid and on our balance, less the fee."""
    charge = desk.objects[intent["latest_charge"]]
    direct = charge["payment_method_details"]["type"] in objects.CARD_TYPES
    kind = "charge" if direct else "payment"
    moved = objects.balance_transaction(
        desk, charge, amount=charge["amount"], kind=kind, category="charge",
        fee=charge["amount"] * 29 // 1000 + 30,
    )  # fmt: skip
    desk.change(
        charge, amount_captured=charge["amount"], balance_transaction=moved["id"], captured=True,
        outcome=_outcome("approved_by_network", "authorized", "Payment complete."), paid=True,
        receipt_url=f"{desk.public_url}/receipts/{charge['id']}", status="succeeded",
    )  # fmt: skip
    desk.change(intent, amount_received=intent["amount"], status="succeeded", next_action=None)
    desk.emit("charge.succeeded", charge)
    desk.emit("payment_intent.succeeded", intent)


def fail(desk: Desk, intent: Json) -> None:
    """End a slow payment whose money did not come after all."""
    charge = desk.objects[intent["latest_charge"]]
    desk.change(
        charge, failure_code="payment_method_not_available", status="failed",
        failure_message="The bank returned the payment.",
        outcome=_outcome("declined_by_network", "issuer_declined", "The bank returned it."),
    )  # fmt: skip
    error = {
        "charge": charge["id"], "code": "payment_intent_payment_attempt_failed",
        "message": "The payment failed.", "type": "card_error",
        "payment_method": copy.deepcopy(desk.objects[charge["payment_method"]]),
    }  # fmt: skip
    desk.change(
        intent, last_payment_error=error, payment_method=None, status="requires_payment_method"
    )
    desk.emit("charge.failed", charge)
    desk.emit("payment_intent.payment_failed", intent)


def cancel(desk: Desk, intent: Json, reason: str | None) -> None:
    """Give an unfinished intent up."""
    if intent["status"] not in OPEN:
        message = (
            f"You cannot cancel this PaymentIntent because it has a status of {intent['status']}."
        )
        raise Refusal.state(
            "payment_intent_unexpected_state", message, payment_intent=copy.deepcopy(intent)
        )
    desk.change(
        intent, canceled_at=desk.now(), cancellation_reason=reason, next_action=None,
        status="canceled",
    )  # fmt: skip
    desk.emit("payment_intent.canceled", intent)


def _ask_payer(desk: Desk, intent: Json) -> None:
    page = f"{desk.public_url}/authenticate/{intent['id']}"
    action = {
        "type": "redirect_to_url",
        "redirect_to_url": {"return_url": intent.get("_return_url"), "url": page},
    }
    desk.change(intent, next_action=action, status="requires_action")
    desk.emit("payment_intent.requires_action", intent)


def _failed_charge(desk: Desk, intent: Json, method: Json, code: str, decline: str | None) -> Json:
    message = Refusal.card(code).error["message"]
    charge = objects.charge(
        desk, intent, method, failure_code=code, failure_message=message, status="failed",
        outcome=_outcome("declined_by_network", "issuer_declined", message, decline or code),
    )  # fmt: skip
    desk.change(intent, latest_charge=charge["id"])
    desk.emit("charge.failed", charge)
    return charge


def _refuse(desk: Desk, intent: Json, method: Json, refusal: Refusal) -> None:
    """Note the refusal in the intent, and raise it with the intent in it."""
    error = {**refusal.error, "payment_method": copy.deepcopy(method)}
    desk.change(
        intent, last_payment_error=error, payment_method=None, status="requires_payment_method"
    )
    desk.emit("payment_intent.payment_failed", intent)
    refusal.error["payment_intent"] = copy.deepcopy(intent)
    refusal.error["payment_method"] = copy.deepcopy(method)
    raise refusal


def _outcome(network: str, kind: str, message: str, reason: str | None = None) -> Json:
    return {
        "advice_code": None, "network_advice_code": None, "network_decline_code": None,
        "network_status": network, "reason": reason, "risk_level": "normal", "risk_score": 12,
        "seller_message": message, "type": kind,
    }  # fmt: skip
