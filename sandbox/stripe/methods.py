"""Payment methods and what becomes of them: made, attached, set up, detached."""

import copy

from sandbox.stripe import objects
from sandbox.stripe.desk import Desk
from sandbox.stripe.payments import DECLINES
from sandbox.stripe.wire import Json, Refusal

# Stripe's own test names: brand, last digits, and how the method behaves when it is charged.
TEST_CARDS = {
    "visa": ("visa", "4242", "ok"),
    "mastercard": ("mastercard", "4444", "ok"),
    "amex": ("amex", "8431", "ok"),
    "chargeDeclined": ("visa", "0002", "declined"),
    "visa_chargeDeclined": ("visa", "0002", "declined"),
    "chargeDeclinedInsufficientFunds": ("visa", "9995", "insufficient_funds"),
    "visa_chargeDeclinedInsufficientFunds": ("visa", "9995", "insufficient_funds"),
    "chargeDeclinedExpiredCard": ("visa", "0069", "expired"),
    "chargeCustomerFail": ("visa", "0341", "declined_later"),
    "authenticationRequired": ("visa", "3184", "authenticate"),
    "threeDSecure2Required": ("visa", "3220", "authenticate"),
    "createDispute": ("visa", "0259", "dispute"),
    "pendingRefund": ("visa", "7726", "refund_pending"),
    "refundFail": ("visa", "5126", "ok"),
}
BEHAVIOURS = ("ok", "authenticate", "dispute", "refund_pending", *DECLINES)


def resolve(desk: Desk, name: str, *, param: str = "payment_method") -> Json:
    """Find a payment method; a test name makes a new one at each use, as on Stripe."""
    if name == "pm_usBankAccount":
        return objects.payment_method(desk, "us_bank_account", objects.bank_account())
    test_name = name.removeprefix("pm_card_")
    if name.startswith("pm_card_") and test_name in TEST_CARDS:
        return test_card(desk, test_name)
    return desk.find("payment_method", name, param=param)


def test_card(desk: Desk, name: str) -> Json:
    """Make a card that behaves as its test name says."""
    brand, last4, behaviour = TEST_CARDS[name]
    method = objects.payment_method(desk, "card", objects.card(brand, last4))
    desk.behaviours[method["id"]] = behaviour
    return method


def of_number(desk: Desk, number: str) -> Json:
    """Make the card that has one of Stripe's test numbers; any other number is no card."""
    for name, (_, last4, _) in TEST_CARDS.items():
        if number.endswith(last4):
            return test_card(desk, name)
    raise Refusal.card("incorrect_cvc")


def attach(desk: Desk, method: Json, customer_id: str) -> None:
    """Give a method to a customer; raises a refusal for a card that every charge declines."""
    if method["customer"] == customer_id:
        return
    if method["customer"] is not None:
        raise Refusal.state(
            "payment_method_unexpected_state",
            "The payment method you provided has already been attached to a customer.",
        )
    verify(desk, method)
    desk.change(method, customer=customer_id, allow_redisplay="limited")
    desk.emit("payment_method.attached", method)


def verify(desk: Desk, method: Json) -> None:
    """Ask the issuer whether the card is one; a card that is only declined later passes."""
    behaviour = desk.behaviours.get(method["id"], "ok")
    if behaviour in DECLINES and behaviour != "declined_later":
        raise Refusal.card(*DECLINES[behaviour])


def detach(desk: Desk, method: Json) -> None:
    """Take a method from its customer, for good."""
    owner = method["customer"]
    if owner is None:
        raise Refusal.state(
            "payment_method_unexpected_state",
            "The payment method you provided is not attached to a customer so detachment is "
            "impossible.",
        )
    before = desk.change(method, customer=None)
    desk.emit("payment_method.detached", method, before)
    customer = desk.objects.get(owner)
    if customer and customer["invoice_settings"]["default_payment_method"] == method["id"]:
        set_default(desk, customer, None)


def set_default(desk: Desk, customer: Json, method_id: str | None) -> None:
    """Set what a customer pays with unless told otherwise."""
    together = {**customer["invoice_settings"], "default_payment_method": method_id}
    before = desk.change(customer, invoice_settings=together)
    if before:
        desk.emit("customer.updated", customer, before)


def set_up(desk: Desk, intent: Json, method: Json, *, proven: bool = False) -> None:
    """Prepare a method for later charges; raises the refusal of a declined card after noting it."""
    desk.change(intent, payment_method=method["id"], last_setup_error=None, next_action=None)
    try:
        verify(desk, method)
        if desk.behaviours.get(method["id"]) == "authenticate" and not proven:
            page = f"{desk.public_url}/authenticate/{intent['id']}"
            action = {
                "type": "redirect_to_url",
                "redirect_to_url": {"return_url": None, "url": page},
            }
            desk.change(intent, next_action=action, status="requires_action")
            desk.emit("setup_intent.requires_action", intent)
            return
        if intent["customer"] is not None:
            attach(desk, method, intent["customer"])
    except Refusal as refusal:
        refuse_setup(desk, intent, method, refusal)
    desk.change(intent, status="succeeded")
    desk.emit("setup_intent.succeeded", intent)


def refuse_setup(desk: Desk, intent: Json, method: Json, refusal: Refusal) -> None:
    """Note the refusal in the set-up, and raise it with the set-up in it."""
    error = {**refusal.error, "payment_method": copy.deepcopy(method)}
    desk.change(
        intent, last_setup_error=error, payment_method=None, next_action=None,
        status="requires_payment_method",
    )  # fmt: skip
    desk.emit("setup_intent.setup_failed", intent)
    refusal.error["setup_intent"] = copy.deepcopy(intent)
    refusal.error["payment_method"] = copy.deepcopy(method)
    raise refusal


def delete_customer(desk: Desk, customer: Json) -> Json:
    """Forget a customer and detach its methods; what remains is that it was there."""
    for method in desk.all("payment_method"):
        if method["customer"] == customer["id"]:
            desk.change(method, customer=None)
            desk.emit("payment_method.detached", method, {"customer": customer["id"]})
    desk.emit("customer.deleted", customer)
    gone = {"id": customer["id"], "object": "customer", "deleted": True}
    desk.objects[customer["id"]] = gone
    return gone
