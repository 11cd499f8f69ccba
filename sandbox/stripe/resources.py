"""Which request does what: every address that the fake has, and the parameters it knows.

A parameter that the fake does not know is refused, as Stripe refuses one that it does not; so
nothing is believed to work that was only ignored.
"""

from collections.abc import Callable
from dataclasses import dataclass

from sandbox.stripe import after, checkout, methods, objects, views
from sandbox.stripe.desk import Desk, new_id
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

PAGING = frozenset({"limit", "starting_after", "ending_before", "created", "expand"})


@dataclass(frozen=True, slots=True)
class Call:
    """One request, read."""

    desk: Desk
    params: Json
    id: str = ""
    path: str = ""


@dataclass(frozen=True, slots=True)
class Route:
    """An address, what it does, and what it may be told."""

    method: str
    path: str
    serve: Callable[[Call], Json]
    params: frozenset[str] = frozenset()


def _retrieve(kind: str) -> Callable[[Call], Json]:
    def serve(call: Call) -> Json:
        found = call.desk.objects.get(call.id)
        if kind == "customer" and found and found.get("deleted"):
            return found
        found = call.desk.find(kind, call.id)
        if kind == "checkout.session":
            checkout.lapse(call.desk, found)
        return found

    return serve


def _list(kind: str, *filters: str) -> Callable[[Call], Json]:
    def serve(call: Call) -> Json:
        things = call.desk.all(kind)
        for name in filters:
            if wanted := text(call.params, name):
                things = [each for each in things if each.get(name) == wanted]
        return views.page(call.desk, things, call.params, call.path)

    return serve


def reads(path: str, kind: str, *filters: str) -> tuple[Route, Route]:
    """Give the two requests that every kind has: a list, and one of it."""
    return (
        Route("GET", path, _list(kind, *filters), PAGING | set(filters)),
        Route("GET", path + "/{id}", _retrieve(kind), frozenset({"expand"})),
    )


def _update(kind: str, event: str, *names: str) -> Callable[[Call], Json]:
    def serve(call: Call) -> Json:
        thing = call.desk.find(kind, call.id)
        given = {name: text(call.params, name) for name in names if name in call.params}
        metadata = merged_metadata(thing["metadata"], call.params)
        before = call.desk.change(thing, **given, metadata=metadata)
        if before and event:
            call.desk.emit(event, thing, before)
        return thing

    return serve


PERSON = ("email", "name", "phone", "description")


def _create_customer(call: Call) -> Json:
    desk, params = call.desk, call.params
    customer = objects.customer(
        desk,
        **{name: text(params, name) for name in PERSON},
        metadata=merged_metadata({}, params),
    )
    if mapping(params, "address"):
        customer["address"] = {**objects.NO_ADDRESS, **mapping(params, "address")}
    desk.emit("customer.created", customer)
    if name := text(params, "payment_method"):
        method = methods.resolve(desk, name)
        methods.attach(desk, method, customer["id"])
    if name := text(mapping(params, "invoice_settings"), "default_payment_method"):
        methods.set_default(desk, customer, name)
    return customer


def _update_customer(call: Call) -> Json:
    desk, params = call.desk, call.params
    customer = desk.find("customer", call.id)
    fields: Json = {name: text(params, name) for name in PERSON if name in params}
    fields["metadata"] = merged_metadata(customer["metadata"], params)
    if mapping(params, "address"):
        fields["address"] = {**objects.NO_ADDRESS, **mapping(params, "address")}
    if "invoice_settings" in params:
        name = text(mapping(params, "invoice_settings"), "default_payment_method")
        if name and methods.resolve(desk, name)["customer"] != call.id:
            raise Refusal.invalid(
                "invoice_settings[default_payment_method]",
                "The customer does not have a payment method with the ID " + name,
                code="resource_missing",
            )
        fields["invoice_settings"] = {
            **customer["invoice_settings"],
            "default_payment_method": name,
        }
    if before := desk.change(customer, **fields):
        desk.emit("customer.updated", customer, before)
    return customer


def _delete_customer(call: Call) -> Json:
    return methods.delete_customer(call.desk, call.desk.find("customer", call.id))


def _methods_of_customer(call: Call) -> Json:
    call.desk.find("customer", call.id)
    params = {**call.params, "customer": call.id}
    return _list("payment_method", "customer", "type")(Call(call.desk, params, path=call.path))


def _create_method(call: Call) -> Json:
    desk, kind = call.desk, text(call.params, "type", required=True)
    given = mapping(call.params, "card")
    if kind == "us_bank_account":
        method = objects.payment_method(desk, kind, objects.bank_account())
    elif kind == "card" and "token" in given:
        method = methods.resolve(desk, str(given["token"]).replace("tok_", "pm_card_", 1))
    elif kind == "card" and "number" in given:
        method = methods.of_number(desk, str(given["number"]))
    else:
        raise Refusal.invalid(
            "type", "The fake makes a card, by token or number, or a bank account"
        )
    details = mapping(call.params, "billing_details")
    method["billing_details"] = {**method["billing_details"], **details}
    method["metadata"] = merged_metadata({}, call.params)
    return method


def _update_method(call: Call) -> Json:
    desk, method = call.desk, methods.resolve(call.desk, call.id, param="id")
    if method["customer"] is None:
        message = "You must save this PaymentMethod to a customer before you can update it."
        raise Refusal.state("payment_method_unexpected_state", message)
    fields: Json = {"metadata": merged_metadata(method["metadata"], call.params)}
    if given := mapping(call.params, "billing_details"):
        fields["billing_details"] = {**method["billing_details"], **given}
    if given := mapping(call.params, "card"):
        fields["card"] = {**method["card"], **{n: integer(given, n) for n in given}}
    if before := desk.change(method, **fields):
        desk.emit("payment_method.updated", method, before)
    return method


def _attach(call: Call) -> Json:
    customer = text(call.params, "customer", required=True) or ""
    call.desk.find("customer", customer, param="customer")
    method = methods.resolve(call.desk, call.id)
    methods.attach(call.desk, method, customer)
    return method


def _detach(call: Call) -> Json:
    method = call.desk.find("payment_method", call.id)
    methods.detach(call.desk, method)
    return method


def _create_session(call: Call) -> Json:
    return checkout.create(call.desk, call.params)


def _expire_session(call: Call) -> Json:
    session = call.desk.find("checkout.session", call.id)
    checkout.expire(call.desk, session)
    return session


def _line_items(call: Call) -> Json:
    session = call.desk.find("checkout.session", call.id)
    return views.page(call.desk, session["_lines"], call.params, call.path)


def _create_portal(call: Call) -> Json:
    desk, customer = call.desk, text(call.params, "customer", required=True) or ""
    desk.find("customer", customer, param="customer")
    name = new_id("bps")
    return desk.add({
        "id": name, "object": "billing_portal.session",
        "configuration": text(call.params, "configuration") or "bpc_fake",
        "created": desk.now(), "customer": customer, "customer_account": None, "flow": None,
        "livemode": False, "locale": text(call.params, "locale"), "on_behalf_of": None,
        "return_url": text(call.params, "return_url"),
        "url": f"{desk.public_url}/p/session/{name}",
    })  # fmt: skip


def _refund(call: Call) -> Json:
    desk, params = call.desk, call.params
    reason = text(params, "reason")
    if reason not in (None, "duplicate", "fraudulent", "requested_by_customer"):
        raise Refusal.invalid("reason", f"Invalid reason: {reason}")
    return after.make_refund(
        desk, charge_of(desk, params), reason=reason, metadata=merged_metadata({}, params),
        amount=integer(params, "amount", least=1) if "amount" in params else None,
    )  # fmt: skip


def charge_of(desk: Desk, params: Json) -> Json:
    """Find the charge that a request means, by itself or by its payment intent."""
    if name := text(params, "charge"):
        return desk.find("charge", name, param="charge")
    name = text(params, "payment_intent")
    if name is None:
        raise Refusal(
            400, "One of the following params should be provided: payment_intent, charge."
        )
    intent = desk.find("payment_intent", name, param="payment_intent")
    if intent["status"] != "succeeded":
        message = f"This PaymentIntent ({name}) does not have a successful charge to refund."
        raise Refusal.state("payment_intent_unexpected_state", message)
    return desk.find("charge", intent["latest_charge"])


def _update_dispute(call: Call) -> Json:
    desk, dispute = call.desk, call.desk.find("dispute", call.id)
    fields: Json = {"metadata": merged_metadata(dispute["metadata"], call.params)}
    if given := mapping(call.params, "evidence"):
        unknown = set(given) - set(objects.EVIDENCE)
        if unknown:
            raise Refusal.invalid("evidence", f"Received unknown parameter: {unknown.pop()}")
        fields["evidence"] = {**dispute["evidence"], **given}
        submitted = flag(call.params, "submit", default=True)
        count = dispute["evidence_details"]["submission_count"] + submitted
        fields["evidence_details"] = {
            **dispute["evidence_details"],
            "has_evidence": True,
            "submission_count": count,
            "submission_method": "manual" if count else "not_submitted",
        }
        if submitted:
            fields["status"] = dispute["status"].replace("needs_response", "under_review")
    after.update_dispute(desk, dispute, **fields)
    return dispute


def _close_dispute(call: Call) -> Json:
    dispute = call.desk.find("dispute", call.id)
    after.end_dispute(call.desk, dispute, "lost")
    return dispute


def _events(call: Call) -> Json:
    wanted = [str(each) for each in listing(call.params, "types")]
    one = text(call.params, "type")
    if wanted and one:
        raise Refusal(400, "You may only specify one of these parameters: type, types.")
    if len(wanted) > 20:
        raise Refusal.invalid("types", "You may specify up to 20 types.")
    names = [one] if one else wanted

    def matches(kind: str) -> bool:
        return any(
            kind == name or (name.endswith("*") and kind.startswith(name[:-1])) for name in names
        )

    found = [each for each in call.desk.all("event") if not names or matches(each["type"])]
    return views.page(call.desk, found, call.params, call.path)


def names(text: str) -> frozenset[str]:
    """Read the names of parameters."""
    return frozenset(text.split())


SESSION = names(
    "mode success_url cancel_url line_items customer customer_email customer_creation "
    "metadata client_reference_id currency expires_at payment_method_types automatic_tax "
    "invoice_creation payment_intent_data setup_intent_data locale submit_type "
    "payment_method_options expand billing_address_collection customer_update adaptive_pricing"
)
CUSTOMER = frozenset(
    {*PERSON, "metadata", "address", "payment_method", "invoice_settings", "expand"}
)
METHOD = frozenset({"billing_details", "metadata", "card", "expand"})
EXPAND = frozenset({"expand"})

ROUTES = (
    *reads("/v1/customers", "customer", "email"),
    Route("POST", "/v1/customers", _create_customer, CUSTOMER),
    Route("POST", "/v1/customers/{id}", _update_customer, CUSTOMER - {"payment_method"}),
    Route("DELETE", "/v1/customers/{id}", _delete_customer),
    Route(
        "GET", "/v1/customers/{id}/payment_methods", _methods_of_customer, PAGING | {"type"}
    ),
    *reads("/v1/payment_methods", "payment_method", "customer", "type"),
    Route("POST", "/v1/payment_methods", _create_method, METHOD | {"type", "us_bank_account"}),
    Route("POST", "/v1/payment_methods/{id}", _update_method, METHOD),
    Route("POST", "/v1/payment_methods/{id}/attach", _attach, EXPAND | {"customer"}),
    Route("POST", "/v1/payment_methods/{id}/detach", _detach, EXPAND),
    *reads(
        "/v1/checkout/sessions", "checkout.session", "payment_intent", "customer", "status"
    ),
    Route("POST", "/v1/checkout/sessions", _create_session, SESSION),
    Route(
        "POST", "/v1/checkout/sessions/{id}", _update("checkout.session", ""),
        EXPAND | {"metadata"},
    ),
    Route("POST", "/v1/checkout/sessions/{id}/expire", _expire_session, EXPAND),
    Route("GET", "/v1/checkout/sessions/{id}/line_items", _line_items, PAGING),
    Route(
        "POST", "/v1/billing_portal/sessions", _create_portal,
        EXPAND | {"customer", "return_url", "configuration", "locale"},
    ),
    *reads("/v1/charges", "charge", "customer", "payment_intent"),
    Route(
        "POST", "/v1/charges/{id}", _update("charge", "charge.updated", "description"),
        EXPAND | {"metadata", "description"},
    ),
    *reads("/v1/refunds", "refund", "charge", "payment_intent"),
    Route(
        "POST", "/v1/refunds", _refund,
        EXPAND | {"charge", "payment_intent", "amount", "reason", "metadata"},
    ),
    Route(
        "POST", "/v1/refunds/{id}", _update("refund", "refund.updated"), EXPAND | {"metadata"}
    ),
    *reads("/v1/disputes", "dispute", "charge", "payment_intent"),
    Route(
        "POST", "/v1/disputes/{id}", _update_dispute,
        EXPAND | {"evidence", "metadata", "submit"},
    ),
    Route("POST", "/v1/disputes/{id}/close", _close_dispute, EXPAND),
    *reads("/v1/invoices", "invoice", "customer", "status"),
    *reads("/v1/balance_transactions", "balance_transaction", "type", "source", "currency"),
    *reads(
        "/v1/radar/early_fraud_warnings", "radar.early_fraud_warning", "charge", "payment_intent"
    ),
    *reads("/v1/reviews", "review"),
    Route("GET", "/v1/events", _events, PAGING | {"type", "types", "delivery_success"}),
    Route("GET", "/v1/events/{id}", _retrieve("event"), EXPAND),
)  # fmt: skip
