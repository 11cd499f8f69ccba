"""A browser takes the stock frontend's way: consent, back to its page, tokens across origins."""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlencode

import pytest
from django.conf import settings
from django.test import Client
from in_process import serving, site
from signin_flow import AUTHORIZE, Flow

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("committed")]


class ComfyUI(BaseHTTPRequestHandler):
    """What a browser is sent back to."""

    def do_GET(self):
        body = b"<!doctype html><title>ComfyUI</title><link rel=icon href=data:,><h1>ComfyUI</h1>"
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def ours():
    with site() as url:
        yield url


@pytest.fixture
def comfy():
    with serving(ThreadingHTTPServer(("127.0.0.1", 0), ComfyUI)) as url:
        yield url


@pytest.fixture
def flow(ours, comfy, page, alice):
    """Alice's browser, signed in at our page; her ComfyUI is open in it."""
    client = Client()
    client.force_login(alice.user)
    name = settings.SESSION_COOKIE_NAME
    value = client.cookies[name].value
    page.context.add_cookies([{"name": name, "value": value, "url": ours}])
    return Flow(client, origin=comfy)


EXCHANGE = """
async ([url, sent]) => {
    const body = new URLSearchParams(sent);
    const answer = await fetch(`${url}/oauth/token`, {method: "POST", body});
    const {access_token} = await answer.json();
    const headers = {"Content-Type": "application/json", Authorization: `Bearer ${access_token}`};
    const balance = await fetch(`${url}/customers/balance`, {headers});
    return [answer.status, balance.status, (await balance.json()).amount_micros];
}
"""


def test_the_browser_lets_the_way_back_and_the_page_gets_its_tokens(flow, page, ours, comfy):
    page.goto(f"{ours}{AUTHORIZE}?{urlencode(flow.parameters(resource=f'{ours}/api'))}")
    assert page.get_by_role("heading").inner_text() == "Let this ComfyUI use your credits?"
    assert page.locator("b", has_text=comfy).is_visible()

    page.get_by_role("button", name="Let it in").click()
    page.wait_for_url(f"{comfy}/?code=*")

    code = page.evaluate("new URL(location).searchParams.get('code')")
    assert page.evaluate("new URL(location).searchParams.get('state')") == flow.state
    sent = {
        "grant_type": "authorization_code",
        "code": code,
        "code_verifier": flow.verifier,
        "redirect_uri": flow.redirect_uri,
        "client_id": "comfy-local-web",
    }
    assert page.evaluate(EXCHANGE, [ours, sent]) == [200, 200, 100]


def test_who_says_no_goes_back_without_a_code(flow, page, ours, comfy):
    page.goto(f"{ours}{AUTHORIZE}?{urlencode(flow.parameters(resource=f'{ours}/api'))}")

    page.get_by_role("button", name="No, go back").click()
    page.wait_for_url(f"{comfy}/?error=access_denied*")


def test_by_form_action_self_alone_the_browser_would_block_it(
    flow, page, ours, comfy, monkeypatch, complaints
):
    """Why the page's policy names the origin that it leads back to."""
    monkeypatch.setattr("accounts.issuing._policy", lambda _: "form-action 'self'")
    page.goto(f"{ours}{AUTHORIZE}?{urlencode(flow.parameters(resource=f'{ours}/api'))}")

    page.get_by_role("button", name="Let it in").click()
    page.wait_for_timeout(500)

    assert not page.url.startswith(comfy)
    assert any("form-action" in each for each in complaints)
    complaints.clear()
