"""The pages of privacy in a browser: narrow and wide, light and dark, without a complaint."""

from __future__ import annotations

import threading
import uuid
from dataclasses import dataclass
from datetime import timedelta
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import pytest
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.db import connections
from django.test import Client
from django.utils import timezone

from common.money import usd
from credits.models import Entry, TopUp
from privacy import deletion, exports, tokens
from privacy.models import Deletion, Export

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("committed")]
SIZES = [(390, 844, "light"), (1440, 900, "dark"), (360, 800, "dark"), (1440, 900, "light")]


class Quiet(WSGIRequestHandler):
    def log_message(self, *_):
        pass


class Threads(ThreadingMixIn, WSGIServer):
    daemon_threads = True


def django_closing(environ, start_response):
    """Django, leaving no connection to the thread that it answered in."""
    try:
        yield from get_wsgi_application()(environ, start_response)
    finally:
        connections.close_all()


@pytest.fixture
def ours():
    server = make_server("127.0.0.1", 0, django_closing, Threads, Quiet)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@dataclass
class Leaver:
    user: object
    page: object
    ours: str
    shots: object

    def see(self, name, path):
        """Look at a page in each size: it must not scroll sideways."""
        for width, height, scheme in SIZES:
            self.page.set_viewport_size({"width": width, "height": height})
            self.page.emulate_media(color_scheme=scheme)
            self.page.goto(self.ours + path)
            wide = self.page.evaluate("document.documentElement.scrollWidth")
            assert wide <= width, (name, width, wide)
            self.page.screenshot(path=self.shots / f"{name}-{width}-{scheme}.png", full_page=True)


@pytest.fixture
def leaver(page, ours, make_member, tmp_path):
    member = make_member("3.00")
    browser = Client()
    browser.force_login(member.user)
    cookie = {"name": settings.SESSION_COOKIE_NAME, "url": ours}
    page.context.add_cookies([{**cookie, "value": browser.session.session_key}])
    entry = Entry.objects.get(credit_id=member.workspace_id)
    bought = TopUp.objects.create(
        wallet=member.wallet, source="checkout", amount_micros=usd("5"), state="credited",
        payment_intent_id=uuid.uuid4().hex, entry=entry, credited_at=timezone.now(),
        next_check_at=None,
    )  # fmt: skip
    granted = entry.lot.kind
    entry.lot.kind = "paid"
    entry.lot.save()
    page.set_default_timeout(120_000)  # Machines are slow at times, and this is not about that.
    yield Leaver(member.user, page, ours, tmp_path)
    bought.delete()  # It was never paid, and others prove the books.
    entry.lot.kind = granted
    entry.lot.save()


def test_each_page_of_leaving_fits_every_screen(leaver):
    export = exports.ask(leaver.user.pk, base_url=leaver.ours)
    exports.make(export.pk)
    leaver.see("before", "/account/privacy/")

    made = deletion.ask(leaver.user, base_url=leaver.ours)
    leaver.see("asked", "/account/privacy/")
    confirm = f"/privacy/confirm/{tokens.token(made.pk, tokens.CONFIRM)}"
    leaver.see("confirm", confirm)
    status = f"/privacy/{tokens.token(made.pk, tokens.STATUS)}"
    leaver.page.get_by_role("button", name="Yes, delete it").click()
    assert leaver.page.url == leaver.ours + status
    leaver.see("status", status)
    assert leaver.page.get_by_role("button", name="Give the credits up").is_visible()
    leaver.page.get_by_role("button", name="Give the credits up").click()
    assert not leaver.page.get_by_role("button", name="Give the credits up").is_visible()

    now = timezone.now()
    Deletion.objects.filter(pk=made.pk).update(
        state="done", ended_at=now, next_try_at=None, books_until=now + timedelta(days=3650)
    )
    leaver.see("certificate", f"{status}/certificate")
    leaver.see("done", status)
    Deletion.objects.filter(pk=made.pk).delete()  # Others count what is there.
    Export.objects.filter(pk=export.pk).delete()
