"""What a payer sees: the hosted payment and set-up page, the portal, invoices and receipts.

Plain forms, no script. `/` is for the person at the sandbox: what is pending, with a button for
each of its ends.
"""

from collections.abc import Awaitable, Callable
from html import escape

from aiohttp import web

from sandbox.stripe import checkout, control, methods, payments
from sandbox.stripe.desk import Desk
from sandbox.stripe.html import (
    STYLE,
    button,
    card_name,
    document,
    link,
    money,
    pdf,
    rows,
    see_other,
)
from sandbox.stripe.wire import Json, Refusal

Page = Callable[[Desk, web.Request], Awaitable[web.StreamResponse]]
SAVED_CARDS = {
    "visa": "Visa 4242 (every payment goes well)",
    "chargeCustomerFail": "Visa 0341 (saved, but later payments are declined)",
    "authenticationRequired": "Visa 3184 (later payments ask for authentication)",
}
PAID_CARDS = {
    "visa": "Visa 4242",
    "mastercard": "Mastercard 4444",
    "createDispute": "Visa 0259 (is disputed at once)",
    "pendingRefund": "Visa 7726 (refunds begin as pending)",
}


def routes(desk: Desk) -> list[web.RouteDef]:
    """Give the pages' addresses."""
    return [
        web.get("/style.css", _style),
        web.get("/", _page(desk, _overview)),
        web.get("/c/pay/{id}", _page(desk, _checkout)),
        web.post("/c/pay/{id}", _page(desk, _checkout_act)),
        web.get("/p/session/{id}", _page(desk, _portal)),
        web.post("/p/session/{id}", _page(desk, _portal_act)),
        web.get("/authenticate/{id}", _page(desk, _authenticate)),
        web.post("/authenticate/{id}", _page(desk, _authenticate_act)),
        web.get("/receipts/{id}", _page(desk, _receipt)),
        web.get("/i/{id}", _page(desk, _invoice)),
        web.get("/i/{id}/pdf", _page(desk, _invoice_pdf)),
    ]


def _page(desk: Desk, show: Page) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            return await show(desk, request)
        except Refusal as refusal:
            message = f'<section><p class="problem">{escape(str(refusal))}</p></section>'
            page = document("This did not work", message)
            page.set_status(404 if refusal.status == 404 else 400)
            return page

    return handle


async def _style(_: web.Request) -> web.Response:
    return web.Response(text=STYLE, content_type="text/css")


async def _checkout(desk: Desk, request: web.Request) -> web.Response:
    session = desk.find("checkout.session", request.match_info["id"])
    checkout.lapse(desk, session)
    if session["status"] != "open":
        done = session["status"] == "complete"
        title = "This payment is complete" if done else "This page has expired"
        back = link(_success(session), "Continue") if done else link(session["cancel_url"], "Back")
        return document(title, f"<section><h2>{title}</h2>{back}</section>")
    setup = session["mode"] == "setup"
    problem = ""
    if "declined" in request.query:
        problem = '<p class="problem" role="alert">Your card was declined. Try another one.</p>'
    title = "Save a payment method" if setup else "Pay for your order"
    return document(
        title, _order(session) + _form(desk, session, title, problem), kind="" if setup else "pay"
    )


def _order(session: Json) -> str:
    if session["mode"] == "setup":
        return ""
    currency = session["currency"]
    pairs = [
        (
            f"{line['description']} x\u00a0{line['quantity']}",
            money(line["amount_subtotal"], currency),
        )
        for line in session["_lines"]
    ]
    if session["automatic_tax"]["enabled"]:
        pairs.append(("Tax", money(session["total_details"]["amount_tax"], currency)))
    total = money(session["amount_total"], currency)
    pairs.append(("Total", total))
    return (
        f"<section><h1>{escape(session['_lines'][0]['description'])}</h1>"
        f'<p class="amount">{total}</p>{rows(pairs, total=True)}</section>'
    )


def _form(desk: Desk, session: Json, title: str, problem: str) -> str:
    setup = session["mode"] == "setup"
    known = desk.objects.get(session["customer"] or "")
    email = session["customer_email"] or (known["email"] if known else None) or ""
    fixed = " readonly" if email else ""
    cards = "".join(
        f'<option value="{value}">{escape(label)}</option>'
        for value, label in (SAVED_CARDS if setup else PAID_CARDS).items()
    )
    buttons = (
        button("save", "Save", mark="main")
        if setup
        else button(
            "pay", f"Pay {money(session['amount_total'], session['currency'])}", mark="main"
        )
        + button("later", "Pay later by bank debit")
    )
    return (
        f'<section><h2>{title}</h2>{problem}<form method="post">'
        f'<label>E-mail<input name="email" type="email" autocomplete="email" '
        f'value="{escape(email)}"{fixed}></label>'
        f'<label>Card<select name="card">{cards}</select></label>{buttons}'
        f"{button('decline', 'Decline the card', mark='bad')}"
        f"{link(session['cancel_url'], 'Cancel and go back')}</form></section>"
    )


async def _checkout_act(desk: Desk, request: web.Request) -> web.Response:
    session = desk.find("checkout.session", request.match_info["id"])
    form = await request.post()
    action, email = str(form.get("action", "")), str(form.get("email") or "") or None
    if session["status"] == "complete":
        return see_other(_success(session))
    try:
        card = str(form.get("card") or "visa")
        control.operate(desk, session, action, email=email, card=card)
    except Refusal as refusal:
        if refusal.status != 402:
            raise
        return see_other(f"/c/pay/{session['id']}?declined=1")
    return see_other(_success(session))


def _success(session: Json) -> str:
    return str(session["success_url"]).replace("{CHECKOUT_SESSION_ID}", session["id"])


async def _portal(desk: Desk, request: web.Request) -> web.Response:
    session = desk.find("billing_portal.session", request.match_info["id"])
    customer = desk.find("customer", session["customer"])
    saved = [each for each in desk.all("payment_method") if each["customer"] == customer["id"]]
    default = customer["invoice_settings"]["default_payment_method"]
    cards = "".join(
        f'<form class="row" method="post"><span>{escape(card_name(each))}'
        f"{' (default)' if each['id'] == default else ''}</span>"
        f'<input type="hidden" name="method" value="{each["id"]}">'
        f"{button('default', 'Make default')}{button('detach', 'Remove', mark='bad')}</form>"
        for each in saved
    )
    invoices = "".join(
        f"<p>{link(each['hosted_invoice_url'], each['number'], mark='')} "
        f"{money(each['total'], each['currency'])}</p>"
        for each in desk.all("invoice")
        if each["customer"] == customer["id"]
    )
    return document(
        "Billing",
        f"<section><h2>Payment methods</h2>{cards or '<p class=soft>None is saved.</p>'}</section>"
        f"<section><h2>Invoices</h2>{invoices or '<p class=soft>There are none yet.</p>'}</section>"
        f'<section><h2>Details</h2><form method="post"><label>E-mail<input name="email" '
        f'type="email" value="{escape(customer["email"] or "")}"></label>'
        f"{button('email', 'Save', mark='main')}</form></section>"
        f"{link(session['return_url'], 'Return')}",
    )


async def _portal_act(desk: Desk, request: web.Request) -> web.Response:
    session = desk.find("billing_portal.session", request.match_info["id"])
    customer = desk.find("customer", session["customer"])
    form = await request.post()
    action = form.get("action")
    if action == "email":
        if before := desk.change(customer, email=str(form.get("email") or "") or None):
            desk.emit("customer.updated", customer, before)
        return see_other(f"/p/session/{session['id']}")
    method = desk.find("payment_method", str(form.get("method")))
    if method["customer"] != customer["id"]:
        raise Refusal(404, "This is not a payment method of yours.")
    if action == "detach":
        methods.detach(desk, method)
    elif action == "default":
        methods.set_default(desk, customer, method["id"])
    return see_other(f"/p/session/{session['id']}")


def _waiting_intent(desk: Desk, request: web.Request) -> Json:
    name = request.match_info["id"]
    kind = "setup_intent" if name.startswith("seti_") else "payment_intent"
    intent = desk.find(kind, name)
    if intent["status"] != "requires_action":
        raise Refusal(400, "There is nothing to authenticate.")
    return intent


async def _authenticate(desk: Desk, request: web.Request) -> web.Response:
    intent = _waiting_intent(desk, request)
    amount = money(intent["amount"], intent["currency"]) if "amount" in intent else "Save a card"
    return document(
        "Authenticate",
        f'<section><h1>Your bank asks whether this is you</h1><p class="amount">{amount}</p>'
        f'<form method="post">{button("complete", "Complete", mark="main")}'
        f"{button('fail', 'Fail', mark='bad')}</form></section>",
    )


async def _authenticate_act(desk: Desk, request: web.Request) -> web.Response:
    intent = _waiting_intent(desk, request)
    back = intent["next_action"]["redirect_to_url"]["return_url"]
    authenticate(desk, intent, passed=(await request.post()).get("action") == "complete")
    if back:
        return see_other(back)
    return document("Done", f"<section><h2>The payment {intent['status']}</h2></section>")


def authenticate(desk: Desk, intent: Json, *, passed: bool) -> None:
    """Let the payer pass the bank's question, or fail it."""
    method = desk.objects[intent["payment_method"]]
    setup = intent["object"] == "setup_intent"
    if passed and setup:
        methods.set_up(desk, intent, method, proven=True)
    elif passed:
        payments.confirm(desk, intent, method, proven=True)
    else:
        message = "We are unable to authenticate your payment method. Please choose another one."
        code = "setup_intent" if setup else "payment_intent"
        error = {
            "code": f"{code}_authentication_failure", "message": message,
            "type": "invalid_request_error",
        }  # fmt: skip
        named = "last_setup_error" if setup else "last_payment_error"
        changed = {named: error, "status": "requires_payment_method"}
        desk.change(intent, **changed, payment_method=None, next_action=None)
        desk.emit("setup_intent.setup_failed" if setup else "payment_intent.payment_failed", intent)


async def _receipt(desk: Desk, request: web.Request) -> web.Response:
    charge = desk.find("charge", request.match_info["id"])
    currency = charge["currency"]
    pairs = [("Paid", money(charge["amount"], currency)), ("Charge", charge["id"])]
    if charge["amount_refunded"]:
        pairs.append(("Refunded", money(charge["amount_refunded"], currency)))
    return document("Receipt", f"<section><h2>Receipt</h2>{rows(pairs)}</section>")


def _invoice_rows(invoice: Json) -> list[tuple[str, str]]:
    currency = invoice["currency"]
    lines = [
        (str(line["description"]), money(line["amount"], currency))
        for line in invoice["lines"]["data"]
    ]
    tax = invoice["total"] - invoice["total_excluding_tax"]
    return [*lines, ("Tax", money(tax, currency)), ("Paid", money(invoice["total"], currency))]


async def _invoice(desk: Desk, request: web.Request) -> web.Response:
    invoice = desk.find("invoice", request.match_info["id"])
    return document(
        f"Invoice {invoice['number']}",
        f"<section><h2>Invoice {invoice['number']}</h2>{rows(_invoice_rows(invoice), total=True)}"
        f"<p>{link(invoice['invoice_pdf'], 'Download as PDF', mark='')}</p></section>",
    )


async def _invoice_pdf(desk: Desk, request: web.Request) -> web.Response:
    invoice = desk.find("invoice", request.match_info["id"])
    lines = [f"Invoice {invoice['number']}", f"To: {invoice['customer_email']}", ""]
    lines += [f"{name}: {value}" for name, value in _invoice_rows(invoice)]
    return web.Response(body=pdf(lines), content_type="application/pdf")


async def _overview(desk: Desk, _: web.Request) -> web.Response:
    """Show what is pending, with a button for each of its ends."""
    parts = [
        _pending("Open sessions", desk, "checkout.session", "open", "sessions", ("pay", "expire")),
        _pending("Payments under way", desk, "payment_intent", "processing", "payments",
                 ("succeed", "fail")),
        _pending("Refunds", desk, "refund", "pending", "refunds", ("succeed", "fail")),
        _pending("Disputes", desk, "dispute", "needs_response", "disputes", ("won", "lost")),
        _pending("Disputes under review", desk, "dispute", "under_review", "disputes",
                 ("won", "lost")),
    ]  # fmt: skip
    charges = "".join(
        f'<form class="row" method="post" action="/control/disputes"><span>{each["id"]} '
        f"{money(each['amount'], each['currency'])}</span>"
        f'<input type="hidden" name="charge" value="{each["id"]}">'
        f"{button('dispute', 'Dispute it')}</form>"
        for each in desk.all("charge")[:20]
        if each["paid"] and not each["disputed"]
    )
    parts.append(f"<section><h2>Charges</h2>{charges or '<p class=soft>None.</p>'}</section>")
    return document("The fake Stripe", "".join(parts))


def _worth(thing: Json) -> str:
    amount = thing.get("amount", thing.get("amount_total"))
    return "saves a card" if amount is None else money(amount, thing["currency"])


def _pending(
    title: str, desk: Desk, kind: str, status: str, path: str, ends: tuple[str, ...]
) -> str:
    waiting = [each for each in desk.all(kind) if each["status"] == status][:20]
    forms = "".join(
        f'<form class="row" method="post"><span>{each["id"]} '
        f"{_worth(each)}</span>"
        + "".join(
            f'<button formaction="/control/{path}/{each["id"]}/{end}">{end.capitalize()}</button>'
            for end in ends
        )
        + "</form>"
        for each in waiting
    )
    return f"<section><h2>{title}</h2>{forms or '<p class=soft>None.</p>'}</section>"
