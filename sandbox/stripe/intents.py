"""Payment and set-up intents, as requests: made, confirmed, given up."""

import copy

from sandbox.stripe import methods, objects, payments
from sandbox.stripe.desk import Desk
from sandbox.stripe.resources import EXPAND, Call, Route, names, reads
from sandbox.stripe.wire import (
    Json,
    Refusal,
    flag,
    integer,
    listing,
    mapping,
    merged_metadata,
    text,
)

LARGEST = 99_999_999


def _types(call: Call) -> list[str]:
    automatic = flag(mapping(call.params, "automatic_payment_methods"), "enabled")
    given = [str(each) for each in listing(call.params, "payment_method_types")]
    return given or (list(call.desk.switches.methods) if automatic else ["card"])


def _automatic(call: Call) -> Json | None:
    given = mapping(call.params, "automatic_payment_methods")
    if not flag(given, "enabled"):
        return None
    return {"allow_redirects": given.get("allow_redirects", "always"), "enabled": True}


def _customer(call: Call) -> str | None:
    name = text(call.params, "customer")
    return name and str(call.desk.find("customer", name, param="customer")["id"])


def _own_method(call: Call, owner: str | None) -> Json | None:
    """Find the method to use; another customer's is refused."""
    name = text(call.params, "payment_method")
    if name is None:
        return None
    method = methods.resolve(call.desk, name)
    if method["customer"] is not None and method["customer"] != owner:
        raise Refusal.invalid(
            "payment_method",
            "The provided PaymentMethod is attached to another customer, or to one that this "
            "request does not name.",
        )
    return method


def _create_payment(call: Call) -> Json:
    desk, params = call.desk, call.params
    amount = integer(params, "amount")
    currency = (text(params, "currency", required=True) or "").lower()
    if amount < 50:
        message = "Amount must be at least $0.50 usd"
        raise Refusal.invalid("amount", message, code="amount_too_small")
    if amount > LARGEST:
        message = "Amount must be no more than $999,999.99"
        raise Refusal.invalid("amount", message, code="amount_too_large")
    if flag(params, "off_session") and not flag(params, "confirm"):
        message = "The parameter `off_session` cannot be passed when creating a PaymentIntent "
        raise Refusal.invalid("off_session", message + "unless `confirm` is set to true.")
    owner = _customer(call)
    method = _own_method(call, owner)
    intent = objects.payment_intent(
        desk, amount=amount, currency=currency, customer=owner,
        automatic_payment_methods=_automatic(call), description=text(params, "description"),
        metadata=merged_metadata({}, params), payment_method_types=_types(call),
        receipt_email=text(params, "receipt_email"),
        setup_future_usage=text(params, "setup_future_usage"),
        statement_descriptor_suffix=text(params, "statement_descriptor_suffix"),
        _return_url=text(params, "return_url"),
    )  # fmt: skip
    desk.emit("payment_intent.created", intent)
    if method is not None:
        desk.change(intent, payment_method=method["id"], status="requires_confirmation")
    if flag(params, "confirm"):
        _confirm(call, intent, method)
    return intent


def _confirm_payment(call: Call) -> Json:
    intent = call.desk.find("payment_intent", call.id)
    if intent["status"] not in payments.OPEN:
        message = (
            f"You cannot confirm this PaymentIntent because it has a status of {intent['status']}."
        )
        raise Refusal.state(
            "payment_intent_unexpected_state", message, payment_intent=copy.deepcopy(intent)
        )
    if "return_url" in call.params:
        intent["_return_url"] = text(call.params, "return_url")
    given = _own_method(call, intent["customer"])
    _confirm(call, intent, given or call.desk.objects.get(intent["payment_method"] or ""))
    return intent


def _confirm(call: Call, intent: Json, method: Json | None) -> None:
    if method is None:
        raise Refusal.invalid(
            "payment_method", "You cannot confirm this PaymentIntent: it has no payment method.",
            code="payment_intent_unexpected_state",
        )  # fmt: skip
    absent = flag(call.params, "off_session") or flag(call.params, "error_on_requires_action")
    payments.confirm(call.desk, intent, method, off_session=absent)
    if intent["setup_future_usage"] and intent["customer"] and intent["status"] == "succeeded":
        methods.attach(call.desk, method, intent["customer"])


def _update_payment(call: Call) -> Json:
    desk, intent = call.desk, call.desk.find("payment_intent", call.id)
    fields: Json = {"metadata": merged_metadata(intent["metadata"], call.params)}
    if "description" in call.params:
        fields["description"] = text(call.params, "description")
    if "amount" in call.params:
        if intent["status"] not in payments.OPEN:
            message = "This PaymentIntent's amount could not be updated."
            raise Refusal.state("payment_intent_unexpected_state", message)
        fields["amount"] = integer(call.params, "amount", least=50)
    desk.change(intent, **fields)
    return intent


def _cancel_payment(call: Call) -> Json:
    intent = call.desk.find("payment_intent", call.id)
    payments.cancel(call.desk, intent, text(call.params, "cancellation_reason"))
    return intent


def _create_setup(call: Call) -> Json:
    desk, params = call.desk, call.params
    owner = _customer(call)
    method = _own_method(call, owner)
    intent = objects.setup_intent(
        desk, customer=owner, automatic_payment_methods=_automatic(call),
        description=text(params, "description"), metadata=merged_metadata({}, params),
        payment_method_types=_types(call), usage=text(params, "usage") or "off_session",
    )  # fmt: skip
    desk.emit("setup_intent.created", intent)
    if method is not None:
        desk.change(intent, payment_method=method["id"], status="requires_confirmation")
    if flag(params, "confirm"):
        _confirm_intent(desk, intent, method)
    return intent


def _confirm_setup(call: Call) -> Json:
    intent = call.desk.find("setup_intent", call.id)
    if intent["status"] not in payments.OPEN:
        message = f"You cannot confirm this SetupIntent: it is {intent['status']}."
        raise Refusal.state("setup_intent_unexpected_state", message)
    given = _own_method(call, intent["customer"])
    known = call.desk.objects.get(intent["payment_method"] or "")
    _confirm_intent(call.desk, intent, given or known)
    return intent


def _confirm_intent(desk: Desk, intent: Json, method: Json | None) -> None:
    if method is None:
        message = "You cannot confirm this SetupIntent: it has no payment method."
        raise Refusal.invalid("payment_method", message, code="setup_intent_unexpected_state")
    methods.set_up(desk, intent, method)


def _cancel_setup(call: Call) -> Json:
    intent = call.desk.find("setup_intent", call.id)
    if intent["status"] not in payments.OPEN:
        message = f"You cannot cancel this SetupIntent: it is {intent['status']}."
        raise Refusal.state("setup_intent_unexpected_state", message)
    reason = text(call.params, "cancellation_reason")
    call.desk.change(intent, cancellation_reason=reason, next_action=None, status="canceled")
    call.desk.emit("setup_intent.canceled", intent)
    return intent


PAYMENT = names(
    "amount currency customer payment_method payment_method_types automatic_payment_methods "
    "confirm off_session error_on_requires_action description metadata receipt_email "
    "return_url setup_future_usage statement_descriptor_suffix payment_method_options expand"
)
CONFIRM = frozenset(
    {"payment_method", "off_session", "error_on_requires_action", "return_url", "expand"}
)
SETUP = names(
    "customer payment_method payment_method_types automatic_payment_methods confirm usage "
    "description metadata return_url expand"
)
CANCEL = EXPAND | {"cancellation_reason"}
PI, SI = "/v1/payment_intents", "/v1/setup_intents"

ROUTES = (
    *reads(PI, "payment_intent", "customer"),
    *reads(SI, "setup_intent", "customer", "payment_method"),
    Route("POST", PI, _create_payment, PAYMENT),
    Route("POST", PI + "/{id}", _update_payment, EXPAND | {"metadata", "description", "amount"}),
    Route("POST", PI + "/{id}/confirm", _confirm_payment, CONFIRM),
    Route("POST", PI + "/{id}/cancel", _cancel_payment, CANCEL),
    Route("POST", SI, _create_setup, SETUP),
    Route("POST", SI + "/{id}/confirm", _confirm_setup, CONFIRM - {"off_session"}),
    Route("POST", SI + "/{id}/cancel", _cancel_setup, CANCEL),
)
