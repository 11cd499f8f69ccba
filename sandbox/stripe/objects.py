"""What each object looks like: every name that Stripe gives, so that none is missing when read."""

from typing import Any

from sandbox.stripe.desk import Desk, new_id
from sandbox.stripe.wire import Json

NO_ADDRESS: Json = dict.fromkeys(("city", "country", "line1", "line2", "postal_code", "state"))
EXCHANGE_RATE = 0.92
CARD_TYPES = ("card", "link")
REFUNDED_CARD = {
    "reference_status": "pending",
    "reference_type": "acquirer_reference_number",
    "type": "refund",
}
DISPUTE_FEE = 1500


def customer(desk: Desk, **fields: Any) -> Json:
    """Build a customer."""
    made: Json = {
        "id": new_id("cus"), "object": "customer", "address": None, "balance": 0,
        "created": desk.now(), "currency": None, "default_source": None, "delinquent": False,
        "description": None, "discount": None, "email": None,
        "invoice_prefix": new_id("x")[2:10].upper(),
        "invoice_settings": {
            "custom_fields": None, "default_payment_method": None, "footer": None,
            "rendering_options": None,
        },
        "livemode": False, "metadata": {}, "name": None, "next_invoice_sequence": 1, "phone": None,
        "preferred_locales": [], "shipping": None, "tax_exempt": "none", "test_clock": None,
    }  # fmt: skip
    return desk.add({**made, **fields})


def payment_method(desk: Desk, kind: str, details: Json, **fields: Any) -> Json:
    """Build a payment method of a kind."""
    made: Json = {
        "id": new_id("pm"), "object": "payment_method", "allow_redisplay": "unspecified",
        "billing_details": billing_details(), "created": desk.now(), "customer": None,
        "livemode": False, "metadata": {}, "type": kind, kind: details,
    }  # fmt: skip
    return desk.add({**made, **fields})


def billing_details(email: str | None = None, name: str | None = None) -> Json:
    """Build what is known of a payer."""
    return {
        "address": dict(NO_ADDRESS), "email": email, "name": name, "phone": None, "tax_id": None,
    }  # fmt: skip


def card(brand: str = "visa", last4: str = "4242") -> Json:
    """Build the card of a payment method."""
    return {
        "brand": brand,
        "checks": {
            "address_line1_check": None, "address_postal_code_check": None, "cvc_check": "pass",
        },
        "country": "US", "display_brand": brand, "exp_month": 12, "exp_year": 2034,
        "fingerprint": f"fake{brand}{last4}", "funding": "credit", "generated_from": None,
        "last4": last4, "networks": {"available": [brand], "preferred": None},
        "three_d_secure_usage": {"supported": True}, "wallet": None,
    }  # fmt: skip


def bank_account() -> Json:
    """Build the bank account of a payment method."""
    return {
        "account_holder_type": "individual", "account_type": "checking",
        "bank_name": "STRIPE TEST BANK", "financial_connections_account": None,
        "fingerprint": "fakebank6789", "last4": "6789",
        "networks": {"preferred": "ach", "supported": ["ach"]},
        "routing_number": "110000000", "status_details": {},
    }  # fmt: skip


def payment_intent(desk: Desk, **fields: Any) -> Json:
    """Build a payment intent that has no method yet."""
    name = new_id("pi")
    made: Json = {
        "id": name, "object": "payment_intent", "amount": 0, "amount_capturable": 0,
        "amount_details": {"tip": {}}, "amount_received": 0, "application": None,
        "application_fee_amount": None, "automatic_payment_methods": None, "canceled_at": None,
        "cancellation_reason": None, "capture_method": "automatic_async",
        "client_secret": f"{name}_{new_id('secret')}", "confirmation_method": "automatic",
        "created": desk.now(), "currency": "usd", "customer": None, "customer_account": None,
        "description": None, "last_payment_error": None, "latest_charge": None, "livemode": False,
        "metadata": {}, "next_action": None, "on_behalf_of": None, "payment_method": None,
        "payment_method_options": {}, "payment_method_types": ["card"], "processing": None,
        "receipt_email": None, "review": None, "setup_future_usage": None, "shipping": None,
        "source": None, "statement_descriptor": None, "statement_descriptor_suffix": None,
        "status": "requires_payment_method", "transfer_data": None, "transfer_group": None,
    }  # fmt: skip
    return desk.add({**made, **fields})


def setup_intent(desk: Desk, **fields: Any) -> Json:
    """Build a setup intent that has no method yet."""
    name = new_id("seti")
    made: Json = {
        "id": name, "object": "setup_intent", "application": None,
        "automatic_payment_methods": None, "cancellation_reason": None,
        "client_secret": f"{name}_{new_id('secret')}", "created": desk.now(), "customer": None,
        "customer_account": None, "description": None, "flow_directions": None,
        "last_setup_error": None, "latest_attempt": None, "livemode": False, "mandate": None,
        "metadata": {}, "next_action": None, "on_behalf_of": None, "payment_method": None,
        "payment_method_options": {}, "payment_method_types": ["card"],
        "single_use_mandate": None, "status": "requires_payment_method", "usage": "off_session",
    }  # fmt: skip
    return desk.add({**made, **fields})


def charge(desk: Desk, intent: Json, method: Json, **fields: Any) -> Json:
    """Build the charge of an intent on a method."""
    name, kind = new_id("ch" if method["type"] in CARD_TYPES else "py"), method["type"]
    made: Json = {
        "id": name, "object": "charge", "amount": intent["amount"], "amount_captured": 0,
        "amount_refunded": 0, "application": None, "application_fee": None,
        "application_fee_amount": None, "balance_transaction": None,
        "billing_details": dict(method["billing_details"]),
        "calculated_statement_descriptor": "COMFY CREDITS", "captured": False,
        "created": desk.now(), "currency": intent["currency"], "customer": intent["customer"],
        "description": intent["description"], "disputed": False,
        "failure_balance_transaction": None, "failure_code": None, "failure_message": None,
        "fraud_details": {}, "livemode": False, "metadata": dict(intent["metadata"]),
        "on_behalf_of": None, "outcome": None, "paid": False, "payment_intent": intent["id"],
        "payment_method": method["id"], "payment_method_details": _charged(kind, method[kind]),
        "receipt_email": intent["receipt_email"], "receipt_number": None, "receipt_url": None,
        "refunded": False, "review": None, "shipping": None, "source": None,
        "source_transfer": None, "statement_descriptor": None,
        "statement_descriptor_suffix": None, "status": "pending", "transfer_data": None,
        "transfer_group": None,
    }  # fmt: skip
    return desk.add({**made, **fields})


def _charged(kind: str, details: Json) -> Json:
    if kind != "card":
        kept = ("account_holder_type", "account_type", "bank_name", "last4", "routing_number")
        return {"type": kind, kind: {n: details[n] for n in kept if n in details}}
    names = ("brand", "country", "exp_month", "exp_year", "fingerprint", "funding", "last4")
    return {
        "type": kind,
        kind: {
            **{name: details[name] for name in names},
            "checks": dict(details["checks"]), "network": details["brand"],
            "three_d_secure": None, "wallet": None,
        },
    }  # fmt: skip


def balance_transaction(
    desk: Desk, source: Json, *, amount: int, kind: str, category: str, fee: int = 0
) -> Json:
    """Build a movement of our balance with Stripe; its net is what remains after the fee.

    A balance that is kept in another currency moves by another figure.
    """
    kept_in, rate = desk.switches.balance_currency, None
    if kept_in != source["currency"]:
        rate = EXCHANGE_RATE
        amount, fee = int(amount * rate), int(fee * rate)
    what = "Dispute fee" if category.startswith("dispute") else "Stripe processing fees"
    fees = [
        {
            "amount": fee, "application": None, "currency": kept_in,
            "description": what, "type": "stripe_fee",
        }
    ]  # fmt: skip
    return desk.add(
        {
            "id": new_id("txn"), "object": "balance_transaction", "amount": amount,
            "available_on": desk.now(), "balance_type": "payments", "created": desk.now(),
            "currency": kept_in, "description": source.get("description"),
            "exchange_rate": rate, "fee": fee, "fee_details": fees if fee else [],
            "net": amount - fee, "reporting_category": category, "source": source["id"],
            "status": "available", "type": kind,
        }
    )  # fmt: skip


def refund(desk: Desk, of: Json, **fields: Any) -> Json:
    """Build a refund of a charge."""
    kind = of["payment_method_details"]["type"]
    made: Json = {
        "id": new_id("re" if kind in CARD_TYPES else "pyr"), "object": "refund", "amount": 0,
        "balance_transaction": None, "charge": of["id"], "created": desk.now(),
        "currency": of["currency"],
        "destination_details": {
            "type": kind,
            **({"card": dict(REFUNDED_CARD)} if kind == "card" else {}),
        },
        "metadata": {}, "payment_intent": of["payment_intent"], "reason": None,
        "receipt_number": None, "source_transfer_reversal": None, "status": "succeeded",
        "transfer_reversal": None,
    }  # fmt: skip
    return desk.add({**made, **fields})


def dispute(desk: Desk, of: Json, **fields: Any) -> Json:
    """Build a dispute of a charge."""
    made: Json = {
        "id": new_id("du"), "object": "dispute", "amount": of["amount"],
        "balance_transactions": [], "charge": of["id"], "created": desk.now(),
        "currency": of["currency"], "enhanced_eligibility_types": [],
        "evidence": {**dict.fromkeys(EVIDENCE), "enhanced_evidence": {}},
        "evidence_details": {
            "due_by": desk.now() + 7 * 86400, "enhanced_eligibility": {}, "has_evidence": False,
            "past_due": False, "submission_count": 0, "submission_method": "not_submitted",
        },
        "is_charge_refundable": False, "livemode": False, "metadata": {},
        "payment_intent": of["payment_intent"],
        "payment_method_details": {
            "type": "card",
            "card": {
                "brand": "visa", "case_type": "chargeback", "network": "visa",
                "network_reason_code": "10.4",
            },
        },
        "reason": "fraudulent", "status": "needs_response",
    }  # fmt: skip
    return desk.add({**made, **fields})


EVIDENCE = (
    "access_activity_log", "billing_address", "cancellation_policy",
    "cancellation_policy_disclosure", "cancellation_rebuttal", "customer_communication",
    "customer_email_address", "customer_name", "customer_purchase_ip", "customer_signature",
    "duplicate_charge_documentation", "duplicate_charge_explanation", "duplicate_charge_id",
    "product_description", "receipt", "refund_policy", "refund_policy_disclosure",
    "refund_refusal_explanation", "service_date", "service_documentation", "shipping_address",
    "shipping_carrier", "shipping_date", "shipping_documentation", "shipping_tracking_number",
    "uncategorized_file", "uncategorized_text",
)  # fmt: skip


def invoice(desk: Desk, session: Json, who: Json | None, lines: list[Json]) -> Json:
    """Build the paid invoice of a checkout."""
    name, now = new_id("in"), desk.now()
    desk.invoices_numbered += 1
    details, tax = session["customer_details"], session["total_details"]["amount_tax"]
    paid, page = session["amount_total"], f"{desk.public_url}/i/{name}"
    return desk.add({
        "id": name, "object": "invoice", "account_country": "US", "account_name": "Comfy Credits",
        "account_tax_ids": None, "amount_due": paid, "amount_overpaid": 0, "amount_paid": paid,
        "amount_remaining": 0, "amount_shipping": 0, "application": None, "attempt_count": 0,
        "attempted": True, "auto_advance": False, "automatic_tax": {
            "disabled_reason": None, "enabled": session["automatic_tax"]["enabled"],
            "liability": None, "provider": None, "status": session["automatic_tax"]["status"],
        },
        "automatically_finalizes_at": None, "billing_reason": "manual",
        "collection_method": "charge_automatically", "created": now,
        "currency": session["currency"], "custom_fields": None,
        "customer": who["id"] if who else None, "customer_address": None,
        "customer_email": details["email"], "customer_name": details["name"],
        "customer_phone": None, "customer_shipping": None, "customer_tax_exempt": "none",
        "customer_tax_ids": [], "default_payment_method": None, "default_source": None,
        "default_tax_rates": [],
        "description": session["invoice_creation"]["invoice_data"]["description"],
        "discounts": [], "due_date": None, "effective_at": now, "ending_balance": 0,
        "footer": None, "from_invoice": None, "hosted_invoice_url": page,
        "invoice_pdf": f"{page}/pdf", "issuer": {"type": "self"},
        "last_finalization_error": None, "latest_revision": None,
        "lines": listed([_invoice_line(each, name, now) for each in lines],
                        f"/v1/invoices/{name}/lines"),
        "livemode": False,
        "metadata": dict(session["invoice_creation"]["invoice_data"]["metadata"]),
        "next_payment_attempt": None, "number": f"FAKE-{desk.invoices_numbered:04d}",
        "on_behalf_of": None, "parent": None, "payment_settings": {
            "default_mandate": None, "payment_method_options": None, "payment_method_types": None,
        },
        "period_end": now, "period_start": now, "post_payment_credit_notes_amount": 0,
        "pre_payment_credit_notes_amount": 0, "receipt_number": None, "rendering": None,
        "shipping_cost": None, "shipping_details": None, "starting_balance": 0,
        "statement_descriptor": None, "status": "paid", "status_transitions": {
            "finalized_at": now, "marked_uncollectible_at": None, "paid_at": now,
            "voided_at": None,
        },
        "subtotal": session["amount_subtotal"], "subtotal_excluding_tax": paid - tax,
        "test_clock": None, "total": paid, "total_discount_amounts": [],
        "total_excluding_tax": paid - tax, "total_pretax_credit_amounts": [], "total_taxes": [],
        "webhooks_delivered_at": None,
    })  # fmt: skip


def _invoice_line(item: Json, invoice_id: str, now: int) -> Json:
    price = item["price"]
    return {
        "id": new_id("il"), "object": "line_item", "amount": item["amount_subtotal"],
        "currency": item["currency"], "description": item["description"], "discount_amounts": [],
        "discountable": True, "discounts": [], "invoice": invoice_id, "livemode": False,
        "metadata": {}, "parent": None, "period": {"end": now, "start": now},
        "pretax_credit_amounts": [],
        "pricing": {
            "price_details": {"price": price["id"], "product": price["product"]},
            "type": "price_details", "unit_amount_decimal": price["unit_amount_decimal"],
        },
        "quantity": item["quantity"], "subtotal": item["amount_subtotal"], "taxes": [],
    }  # fmt: skip


def price(desk: Desk, data: Json, currency: str, unit: int) -> Json:
    """Build the price that a line item's `price_data` makes."""
    return {
        "id": new_id("price"), "object": "price", "active": False, "billing_scheme": "per_unit",
        "created": desk.now(), "currency": currency, "custom_unit_amount": None,
        "livemode": False, "lookup_key": None, "metadata": {}, "nickname": None,
        "product": new_id("prod"), "recurring": None,
        "tax_behavior": data.get("tax_behavior", "unspecified"), "tiers_mode": None,
        "transform_quantity": None, "type": "one_time", "unit_amount": unit,
        "unit_amount_decimal": str(unit),
    }  # fmt: skip


def listed(things: list[Json], url: str, *, has_more: bool = False) -> Json:
    """Build a list, as every list is answered."""
    return {"object": "list", "data": things, "has_more": has_more, "url": url}
