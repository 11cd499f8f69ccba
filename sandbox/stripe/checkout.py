"""Hosted payments and set-ups: a session is open, then complete or expired, once.

open -> complete (paid | unpaid, then paid or never | no_payment_required)
     -> expired
"""

from typing import Any

from sandbox.stripe import methods, objects, payments
from sandbox.stripe.desk import Desk, new_id
from sandbox.stripe.wire import Json, Refusal, flag, integer, listing, mapping, text

DAY = 24 * 3600
INTENT_DATA = (
    "description",
    "metadata",
    "receipt_email",
    "setup_future_usage",
    "statement_descriptor_suffix",
)
PRICE_DATA = ("currency", "product_data", "tax_behavior", "unit_amount")


def create(desk: Desk, params: Json) -> Json:
    """Open a session; only what Stripe would open."""
    mode = text(params, "mode", required=True)
    if mode not in ("payment", "setup"):
        raise Refusal.invalid("mode", f"Invalid mode: the fake has payment and setup, not {mode}")
    success_url = text(params, "success_url", required=True)
    who = _known_customer(desk, params)
    session = _blank(desk, params, mode)
    if mode == "payment":
        _price(desk, session, params)
    elif params.get("line_items"):
        raise Refusal.invalid("line_items", "`line_items` cannot be used in setup mode.")
    desk.add(session)
    desk.change(
        session, success_url=success_url, customer=who["id"] if who else None,
        url=f"{desk.public_url}/c/pay/{session['id']}",
    )  # fmt: skip
    return session


def _known_customer(desk: Desk, params: Json) -> Json | None:
    if params.get("customer") and params.get("customer_email"):
        raise Refusal(
            400, "You may only specify one of these parameters: customer, customer_email."
        )
    name = text(params, "customer")
    if name is None:
        return None
    who = desk.find("customer", name, param="customer")
    taxed = flag(mapping(params, "automatic_tax"), "enabled")
    if taxed and not who["address"] and "auto" not in mapping(params, "customer_update").values():
        raise Refusal.invalid(
            "customer",
            "Automatic tax calculation in Checkout requires a valid address on the Customer. Add "
            "a valid address to the Customer or set either `customer_update[address]` to 'auto' "
            "or `customer_update[shipping]` to 'auto' to save the address entered in Checkout to "
            "the Customer.",
            code="customer_tax_location_invalid",
        )
    return who


def _blank(desk: Desk, params: Json, mode: str) -> Json:
    taxed, invoiced = (
        mapping(params, "automatic_tax", "enabled", "liability"),
        mapping(params, "invoice_creation", "enabled", "invoice_data"),
    )
    data, now = mapping(invoiced, "invoice_data", "description", "metadata"), desk.now()
    free = mode == "setup"
    expires_at = integer(params, "expires_at") if "expires_at" in params else now + DAY
    if not now + 1790 <= expires_at <= now + DAY + 10:
        raise Refusal.invalid("expires_at", "It must be between 30 minutes and 24 hours from now.")
    always = params.get("customer_creation") == "always"
    return {
        "id": f"cs_test_{new_id('a')[2:]}{new_id('b')[2:]}", "object": "checkout.session",
        "adaptive_pricing": {"enabled": False}, "after_expiration": None,
        "allow_promotion_codes": None, "amount_subtotal": None, "amount_total": None,
        "automatic_tax": {
            "enabled": flag(taxed, "enabled"), "liability": None, "provider": None,
            "status": "requires_location_inputs" if flag(taxed, "enabled") else None,
        },
        "billing_address_collection": text(params, "billing_address_collection"),
        "cancel_url": text(params, "cancel_url"),
        "client_reference_id": text(params, "client_reference_id"), "client_secret": None,
        "collected_information": None, "consent": None, "consent_collection": None,
        "created": now, "currency": text(params, "currency"), "currency_conversion": None,
        "custom_fields": [],
        "custom_text": {
            "after_submit": None, "shipping_address": None, "submit": None,
            "terms_of_service_acceptance": None,
        },
        "customer": None,
        "customer_creation": None if params.get("customer") or (free and not always)
        else "always" if always else "if_required",
        "customer_details": _details(text(params, "customer_email")),
        "customer_email": text(params, "customer_email"), "discounts": [],
        "expires_at": expires_at, "invoice": None,
        "invoice_creation": None if free else {
            "enabled": flag(invoiced, "enabled"),
            "invoice_data": {
                "account_tax_ids": None, "custom_fields": None,
                "description": text(data, "description"), "footer": None, "issuer": None,
                "metadata": mapping(data, "metadata"), "rendering_options": None,
            },
        },
        "livemode": False, "locale": text(params, "locale"),
        "metadata": mapping(params, "metadata"), "mode": mode, "origin_context": None,
        "payment_intent": None, "payment_link": None, "payment_method_collection": "if_required",
        "payment_method_configuration_details": None,
        "payment_method_options": mapping(params, "payment_method_options"),
        "payment_method_types": listing(params, "payment_method_types") or (
            ["card"] if free else list(desk.switches.methods)
        ),
        "payment_status": "no_payment_required" if free else "unpaid", "permissions": None,
        "phone_number_collection": {"enabled": False}, "recovered_from": None,
        "saved_payment_method_options": None, "setup_intent": None,
        "shipping_address_collection": None, "shipping_cost": None, "shipping_options": [],
        "status": "open", "submit_type": text(params, "submit_type"), "subscription": None,
        "success_url": None, "total_details": None, "ui_mode": "hosted_page", "url": None,
        "wallet_options": None,
        "_lines": [], "_intent_data": mapping(params, "payment_intent_data", *INTENT_DATA),
        "_setup_data": mapping(params, "setup_intent_data", "description", "metadata"),
    }  # fmt: skip


def _details(email: str | None) -> Json | None:
    if email is None:
        return None
    return {
        "address": None, "business_name": None, "email": email, "individual_name": None,
        "name": None, "phone": None, "tax_exempt": "none", "tax_ids": None,
    }  # fmt: skip


def _price(desk: Desk, session: Json, params: Json) -> None:
    """Work the amounts out; a tax is added, or is within where a price says so."""
    items = listing(params, "line_items")
    if not items:
        raise Refusal.missing("line_items")
    percent = desk.switches.tax_percent if session["automatic_tax"]["enabled"] else 0
    lines = [_line(desk, item, percent, f"line_items[{at}]") for at, item in enumerate(items)]
    if len({line["currency"] for line in lines}) != 1:
        raise Refusal.invalid("line_items", "All line items must have the same currency.")
    total = sum(line["amount_total"] for line in lines)
    if 0 < total < 50:
        raise Refusal.invalid(
            "line_items", "The total amount due must add up to at least $0.50 usd.",
            code="amount_too_small",
        )  # fmt: skip
    session.update(
        _lines=lines, amount_subtotal=sum(line["amount_subtotal"] for line in lines),
        amount_total=total, currency=lines[0]["currency"],
        total_details={
            "amount_discount": 0, "amount_shipping": 0,
            "amount_tax": sum(line["amount_tax"] for line in lines),
        },
        payment_status="unpaid" if total else "no_payment_required",
    )  # fmt: skip


def _line(desk: Desk, item: Json, percent: int, param: str) -> Json:
    data = mapping(item, "price_data", *PRICE_DATA)
    if not data:
        raise Refusal.invalid(param, "The fake has no stored prices: send price_data.")
    product = mapping(data, "product_data")
    name = text(product, "name", required=True)
    currency = (text(data, "currency", required=True) or "").lower()
    unit, quantity = integer(data, "unit_amount", least=0), integer(item, "quantity", least=1)
    amount = unit * quantity
    within = data.get("tax_behavior") == "inclusive"
    tax = amount - amount * 100 // (100 + percent) if within else amount * percent // 100
    return {
        "id": new_id("li"), "object": "item", "amount_discount": 0, "amount_subtotal": amount,
        "amount_tax": tax, "amount_total": amount if within else amount + tax,
        "currency": currency, "description": name, "metadata": {},
        "price": objects.price(desk, data, currency, unit), "quantity": quantity,
    }  # fmt: skip


def require_open(desk: Desk, session: Json) -> None:
    """Refuse what only an open session can do."""
    lapse(desk, session)
    if session["status"] != "open":
        message = f"This Session is {session['status']}; only an open one can be used."
        raise Refusal.state("checkout_session_unexpected_state", message)


def pay(desk: Desk, session: Json, *, email: str | None = None, card: str = "visa") -> None:
    """Pay with a test card, or with a bank account that takes its time (`card="later"`).

    Raises the refusal of a declined card; the session stays open then.
    """
    require_open(desk, session)
    who = _who(desk, session, email)
    if not session["amount_total"]:
        _complete(desk, session, "no_payment_required")
        return
    method = methods.resolve(desk, "pm_usBankAccount" if card == "later" else f"pm_card_{card}")
    method["billing_details"]["email"] = session["customer_details"]["email"]
    intent = _intent(desk, session, who)
    payments.confirm(desk, intent, method, proven=True)
    if intent["setup_future_usage"] and who:
        methods.attach(desk, method, who["id"])
    paid = intent["status"] == "succeeded"
    _complete(desk, session, "paid" if paid else "unpaid")


def save(desk: Desk, session: Json, *, email: str | None = None, card: str = "visa") -> None:
    """Set a test card up in setup mode; raises the refusal of a declined card."""
    require_open(desk, session)
    who = _who(desk, session, email)
    if session["setup_intent"] is None:
        given = session["_setup_data"]
        intent = objects.setup_intent(
            desk, customer=who["id"] if who else None, description=text(given, "description"),
            metadata=mapping(given, "metadata"),
            payment_method_types=session["payment_method_types"],
        )  # fmt: skip
        desk.emit("setup_intent.created", intent)
        desk.change(session, setup_intent=intent["id"])
    method = methods.resolve(desk, f"pm_card_{card}")
    method["billing_details"]["email"] = session["customer_details"]["email"]
    methods.set_up(desk, desk.objects[session["setup_intent"]], method, proven=True)
    _complete(desk, session, "no_payment_required")


def _who(desk: Desk, session: Json, email: str | None) -> Json | None:
    """Find who pays, or make them known where the session is to."""
    known: Json | None = desk.objects.get(session["customer"] or "")
    known_email = known["email"] if known else None
    email = session["customer_email"] or known_email or email or "payer@example.com"
    details: Any = _details(email)
    desk.change(session, customer_details={**details, "name": known["name"] if known else "Payer"})
    reused = session["_intent_data"].get("setup_future_usage")
    if known is None and (session["customer_creation"] == "always" or reused):
        known = objects.customer(desk, email=email, name="Payer")
        desk.emit("customer.created", known)
        desk.change(session, customer=known["id"])
    return known


def _intent(desk: Desk, session: Json, who: Json | None) -> Json:
    if session["payment_intent"] is not None:
        before: Json = desk.objects[session["payment_intent"]]
        return before
    given = session["_intent_data"]
    intent = objects.payment_intent(
        desk, amount=session["amount_total"], currency=session["currency"],
        customer=who["id"] if who else None, description=text(given, "description"),
        metadata=mapping(given, "metadata"), payment_method_types=session["payment_method_types"],
        receipt_email=text(given, "receipt_email"),
        setup_future_usage=text(given, "setup_future_usage"),
        statement_descriptor_suffix=text(given, "statement_descriptor_suffix"),
    )  # fmt: skip
    desk.emit("payment_intent.created", intent)
    desk.change(session, payment_intent=intent["id"])
    return intent


def _complete(desk: Desk, session: Json, payment_status: str) -> None:
    tax = session["automatic_tax"]
    desk.change(
        session, automatic_tax={**tax, "status": "complete" if tax["enabled"] else None},
        payment_status=payment_status, status="complete", url=None,
    )  # fmt: skip
    if payment_status == "paid":
        _invoice(desk, session)
    desk.emit("checkout.session.completed", session)


def _invoice(desk: Desk, session: Json) -> None:
    """Make the paid invoice, where the session is to have one."""
    if not session["invoice_creation"]["enabled"]:
        return
    who = desk.objects.get(session["customer"] or "")
    invoice = objects.invoice(desk, session, who, session["_lines"])
    desk.change(session, invoice=invoice["id"])
    for ending in ("created", "finalized", "paid", "payment_succeeded"):
        desk.emit(f"invoice.{ending}", invoice)


def settle(desk: Desk, intent: Json, *, paid: bool) -> None:
    """End a pending payment, and tell its session."""
    if intent["status"] != "processing":
        raise Refusal.state("payment_intent_unexpected_state", "It is not processing.")
    if paid:
        payments.succeed(desk, intent)
    else:
        payments.fail(desk, intent)
    for session in desk.all("checkout.session"):
        if session["payment_intent"] != intent["id"]:
            continue
        if paid:
            desk.change(session, payment_status="paid")
            _invoice(desk, session)
        desk.emit(f"checkout.session.async_payment_{'succeeded' if paid else 'failed'}", session)


def expire(desk: Desk, session: Json) -> None:
    """Close an open session unpaid."""
    if session["status"] != "open":
        message = (
            f'Only Checkout Sessions with a status in ["open"] can be expired. This Checkout '
            f"Session has a status of {session['status']}."
        )
        raise Refusal.state("checkout_session_unexpected_state", message)
    desk.change(session, status="expired", url=None)
    intent = desk.objects.get(session["payment_intent"] or "")
    if intent and intent["status"] in payments.OPEN:
        payments.cancel(desk, intent, "abandoned")
    desk.emit("checkout.session.expired", session)


def lapse(desk: Desk, session: Json) -> None:
    """Expire a session whose time is over."""
    if session["status"] == "open" and session["expires_at"] <= desk.now():
        expire(desk, session)
