"""The pieces that every page is made of: escaped, without script, under a strict policy."""

from html import escape
from pathlib import Path

from aiohttp import web

from sandbox.stripe.wire import Json

STYLE = (Path(__file__).parent / "style.css").read_text(encoding="utf-8")
# No `form-action`: it would also forbid the redirect back to the shop.
POLICY = "default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'"


def money(amount: int | None, currency: str | None) -> str:
    """Show an amount of cents."""
    whole, cents = divmod(abs(amount or 0), 100)
    sign = "-" if (amount or 0) < 0 else ""
    return f"{sign}{whole:,}.{cents:02d} {(currency or 'usd').upper()}"


def document(title: str, main: str, *, kind: str = "") -> web.Response:
    """Give a whole page."""
    text = (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>{escape(title)}</title><link rel="stylesheet" href="/style.css">'
        '<p class="notice">Sandbox: nothing here is real, and no card is ever charged.</p>'
        f'<main class="{kind}">{main}</main></html>'
    )
    headers = {
        "Content-Security-Policy": POLICY,
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
    }
    return web.Response(text=text, content_type="text/html", headers=headers)


def see_other(address: str) -> web.Response:
    """Send the reader on, after a form."""
    return web.Response(status=303, headers={"Location": address})


def rows(pairs: list[tuple[str, str]], *, total: bool = False) -> str:
    """Show names and values; the last is the total, where there is one."""
    shown = []
    for position, (name, value) in enumerate(pairs):
        mark = ' class="total"' if total and position == len(pairs) - 1 else ""
        shown.append(f"<dt{mark}>{escape(name)}</dt><dd{mark}>{escape(value)}</dd>")
    return f"<dl>{''.join(shown)}</dl>"


def button(action: str, label: str, *, mark: str = "") -> str:
    """Show a button that sends its action."""
    style = f' class="{mark}"' if mark else ""
    return f'<button{style} name="action" value="{escape(action)}">{escape(label)}</button>'


def link(address: str | None, label: str, *, mark: str = "back") -> str:
    """Show a link, where there is somewhere to go; only to the web."""
    if not address or not address.startswith(("https://", "http://", "/")):
        return ""
    return f'<a class="{mark}" href="{escape(address)}">{escape(label)}</a>'


def card_name(method: Json) -> str:
    """Name a payment method as a person knows it."""
    details = method[method["type"]]
    brand = details.get("brand") or details.get("bank_name") or method["type"]
    return f"{str(brand).capitalize()} •••• {details.get('last4', '')}"


def pdf(lines: list[str]) -> bytes:
    """Make a one-page document of plain lines."""
    safe = [
        each.encode("latin-1", "replace").decode("latin-1").replace("\\", "\\\\")
        .replace("(", "\\(").replace(")", "\\)")
        for each in lines
    ]  # fmt: skip
    text = "BT /F1 12 Tf 72 760 Td 18 TL " + " ".join(f"({each}) Tj T*" for each in safe) + " ET"
    stream = text.encode("latin-1")
    parts = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Contents 4 0 R"
        b"/Resources<</Font<</F1 5 0 R>>>>>>",
        b"<</Length %d>>stream\n%s\nendstream" % (len(stream), stream),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding>>",
    ]
    made, offsets = b"%PDF-1.4\n", []
    for number, part in enumerate(parts, start=1):
        offsets.append(len(made))
        made += b"%d 0 obj%s\nendobj\n" % (number, part)
    table = b"".join(b"%010d 00000 n \n" % each for each in offsets)
    start = len(made)
    made += b"xref\n0 6\n0000000000 65535 f \n" + table
    return made + b"trailer<</Size 6/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % start
