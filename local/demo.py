"""The demonstration: a member with credits, and one call as a ComfyUI node makes it, paid for.

It knows the product only from outside, by HTTP and by `manage.py`, so what it shows is true.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass
from decimal import Decimal
from email.message import Message
from pathlib import Path
from typing import Any

EMAIL, STAFF = "demo@example.org", "staff@example.org"
SCOPES = ("proxy", "usage:read", "billing:manage", "runs")
OPERATION = "/proxy/bfl/flux-pro-1.1-ultra/generate"
PRICE_CENTS = Decimal(6)
ENOUGH_CENTS = Decimal(40)
"""For the call, and for the most that the run may cost."""
CREDITS_PER_USD = 211
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
POLLS = 120
TIMEOUT_SECONDS = 15

Manage = Callable[..., str]
"""Runs `manage.py` with the given words, and returns what it printed."""


class DemoFailed(Exception):
    """The call was not delivered, or not charged right; the message says which."""


@dataclass(frozen=True)
class Member:
    """What demo.json holds: all that a script needs in order to make a call."""

    base_url: str
    api_key: str
    email: str
    password: str


@dataclass(frozen=True)
class Receipt:
    """What one call did."""

    call_id: str
    picture_bytes: int
    before_cents: Decimal
    after_cents: Decimal

    @property
    def charged_cents(self) -> Decimal:
        """What left the wallet."""
        return self.before_cents - self.after_cents

    def lines(self) -> list[str]:
        """Return the receipt as it is shown in a terminal."""
        rows = [
            ("operation", f"POST {OPERATION}"),
            ("call", self.call_id or "(the answer had no Call-Id)"),
            ("picture", f"PNG, {self.picture_bytes:,} bytes"),
            ("price", money(self.charged_cents)),
            ("balance before", money(self.before_cents)),
            ("balance after", money(self.after_cents)),
        ]
        return [f"  {name:<16}{value}" for name, value in rows]


def money(cents: Decimal) -> str:
    """Show an amount in both units that a member knows."""
    usd = cents / 100
    return f"{usd:.2f} USD  ({(usd * CREDITS_PER_USD).quantize(Decimal('0.01'))} credits)"


def member(file: Path, *, base_url: str, manage: Manage) -> Member:
    """Have the demo member, with enough credits for a call and a run; kept in `file` with its key.

    The member of an earlier run is taken again if its key is still good.
    """
    found = _recall(file, base_url)
    if found is None or not _key_is_good(found):
        password = found.password if found else secrets.token_urlsafe(12)
        found = _add(base_url, password, manage)
    if balance(found) < ENOUGH_CENTS:
        found = _add(base_url, found.password, manage)
    if not signs_in(found):  # One of an earlier version, whose address nobody confirmed.
        manage("member", "add", EMAIL, "--verified")
    write_private(file, json.dumps(asdict(found), indent=2) + "\n")
    return found


def signs_in(who: Member) -> bool:
    """Return whether e-mail and password lead to the dashboard, by the form that a person sees."""
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
    page = f"{who.base_url}/account/login/"
    try:
        with browser.open(page, timeout=TIMEOUT_SECONDS) as answer:
            token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', answer.read().decode())
        form = {"login": who.email, "password": who.password}
        form["csrfmiddlewaretoken"] = token[1] if token else ""
        data = urllib.parse.urlencode(form).encode()
        with browser.open(page, data, timeout=TIMEOUT_SECONDS) as answer:
            return urllib.parse.urlsplit(str(answer.url)).path == "/my/"
    except OSError:
        return False


def balance(who: Member) -> Decimal:
    """Return the balance in cents: the wire calls them micros, and means cents."""
    _, _, body = ask("GET", f"{who.base_url}/customers/balance", key=who.api_key)
    return Decimal(str(object_of(body)["amount_micros"]))


def metered_call(who: Member, *, pause: Callable[[float], None]) -> Receipt:
    """Make one call as the node does: create, poll without credential, fetch the picture.

    Raises DemoFailed unless a picture came and exactly its price left the wallet.
    """
    before = balance(who)
    asked = {
        "prompt": "a lighthouse on a cliff, evening light",
        "prompt_upsampling": False,
        "seed": secrets.randbelow(10**15),
        "aspect_ratio": "1:1",
        "safety_tolerance": 6,
        "output_format": "png",
        "raw": False,
    }
    _, headers, body = ask("POST", who.base_url + OPERATION, key=who.api_key, body=asked)
    picture = _fetch_picture(str(object_of(body)["polling_url"]), pause=pause)
    receipt = Receipt(
        call_id=headers.get("Call-Id", ""),
        picture_bytes=len(picture),
        before_cents=before,
        after_cents=balance(who),
    )
    if receipt.charged_cents != PRICE_CENTS:
        raise DemoFailed(
            f"the call cost {money(receipt.charged_cents)}, and should have cost"
            f" {money(PRICE_CENTS)}: {money(before)} before, {money(receipt.after_cents)} after."
        )
    return receipt


def curl(who: Member) -> str:
    """Return a line that makes the same call, ready to paste."""
    asked = '{"prompt":"a lighthouse","aspect_ratio":"1:1","output_format":"png"}'
    return (
        f"curl -s {who.base_url}{OPERATION} -H 'X-API-KEY: {who.api_key}'"
        f" -H 'Content-Type: application/json' -d '{asked}'"
    )


def curl_credit(who: Member) -> str:
    """Return a line that begins a purchase of 25 USD, and prints where to pay."""
    asked = '{"amount_micros":25000000,"currency":"usd"}'
    return f"curl -s {who.base_url}/customers/credit -H 'X-API-KEY: {who.api_key}' -d '{asked}'"


def _fetch_picture(polling_url: str, *, pause: Callable[[float], None]) -> bytes:
    if not polling_url.startswith(("http://", "https://")):
        raise DemoFailed(f"polling_url is not absolute, a node could not poll it: {polling_url}")
    for _ in range(POLLS):
        job = object_of(ask("GET", polling_url)[2])
        if job["status"] == "Ready":
            _, _, picture = ask("GET", str(job["result"]["sample"]))
            if not picture.startswith(PNG_SIGNATURE):
                raise DemoFailed("what came is not a PNG.")
            return picture
        if job["status"] != "Pending":
            raise DemoFailed(f"the job ended as {job['status']!r}.")
        pause(0.25)
    raise DemoFailed("the job did not end in time.")


def _recall(file: Path, base_url: str) -> Member | None:
    """Return the member of an earlier run, at today's address."""
    try:
        return Member(**{**json.loads(file.read_text()), "base_url": base_url})
    except (FileNotFoundError, ValueError, TypeError):
        return None


def _key_is_good(who: Member) -> bool:
    """Whether it may all that the demonstration does: one of an earlier version runs nothing."""
    try:
        for path in ("/customers/me", "/api/v2/jobs?limit=1"):
            ask("GET", who.base_url + path, key=who.api_key)
    except DemoFailed:
        return False
    return True


def _add(base_url: str, password: str, manage: Manage) -> Member:
    """Have the member, 5 USD richer and with a new key that may do everything."""
    by = of_staff(manage)
    words = ["member", "add", EMAIL, "--credits", "5", "--by", by, "--reason", "demonstration"]
    words += [
        "--verified",
        "--key",
        "demo",
        *(word for scope in SCOPES for word in ("--scope", scope)),
    ]
    added = json.loads(manage(*words, "--password", password, "--json"))
    return Member(base_url=base_url, api_key=added["api_key"], email=EMAIL, password=password)


def of_staff(manage: Manage) -> str:
    """Return who does it: who of staff has most roles, or the first, whom nobody appoints."""
    there = json.loads(manage("member", "list", "--staff", "--json"))
    if not there:
        manage("member", "add", STAFF, "--staff")
    return str(max(there, key=lambda each: len(each["roles"]))["email"]) if there else STAFF


def ask(
    method: str,
    url: str,
    *,
    key: str = "",
    body: dict[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
    fine: Collection[int] = (),
) -> tuple[int, Message, bytes]:
    """One request; anything but a success, or what is fine, is a DemoFailed that quotes it."""
    request = urllib.request.Request(url, method=method)  # noqa: S310  The product's own address.
    if key:
        request.add_header("X-API-KEY", key)
    if body is not None:
        request.data = json.dumps(body).encode()
        request.add_header("Content-Type", "application/json")
    for name, value in (headers or {}).items():
        request.add_header(name, value)
    path = urllib.parse.urlsplit(url).path
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:  # noqa: S310
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        answered = error.read()
        if error.code in fine:
            return error.code, error.headers, answered
        said = answered.decode(errors="replace")[:500]
        raise DemoFailed(f"{method} {path} answered {error.code}: {said}") from None
    except OSError as error:
        raise DemoFailed(f"{method} {path} did not answer: {error}") from None


def object_of(body: bytes) -> dict[str, Any]:
    """Read a JSON object."""
    try:
        found = json.loads(body)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise DemoFailed(f"expected a JSON object, got {body[:200]!r}")
    return found


def write_private(file: Path, text: str) -> None:
    """Replace `file`, readable to its owner alone, whole or not at all."""
    fresh = file.with_name(file.name + ".new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
        out.write(text)
    fresh.replace(file)
